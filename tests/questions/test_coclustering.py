"""Co-clustering is the mean over draws of the probability of one component for both, and blind to labels."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.questions.coclustering import coclustering
from bayesgmm.questions.membership import membership
from tests.questions.test_membership import draws_of
from tests.support import noisy
from tests.support.posteriors import fake_posterior, one_draw


@pytest.fixture(scope="module")
def by_hand():
    _, dt, _ = fake_posterior("galaxies", 3)
    r = draws_of(dt)
    whole = np.einsum("sik,sjk->ij", r, r) / len(r)
    np.fill_diagonal(whole, 1.0)
    return dt, whole


def test_is_the_mean_over_draws(by_hand):
    dt, whole = by_hand
    found = coclustering(dt)["probability"]
    assert found.dims == ("obs_id", "obs_id_bis")
    assert_allclose(found, whole, atol=1e-9)


def test_is_a_similarity():
    _, dt, _ = fake_posterior("iris", 3)
    found = coclustering(dt)["probability"].values
    assert found.min() >= 0 and found.max() <= 1
    assert_allclose(found, found.T, atol=1e-14)
    assert_array_equal(np.diag(found), 1.0)
    # a mean of Gram matrices with more than their own diagonal
    assert np.linalg.eigvalsh(found).min() > -1e-10
    # P(i apart from k) <= P(i apart from j) + P(j apart from k) for three different rows: one of them must be so
    apart = 1 - found
    assert (apart[:, None, :] <= apart[:, :, None] + apart[None, :, :] + 1e-9).all()


def test_does_not_depend_on_labels(by_hand):
    dt, whole = by_hand
    rng = np.random.default_rng(0)
    posterior = dt["posterior"].to_dataset().copy(deep=True)
    for c in range(posterior.sizes["chain"]):
        for d in range(posterior.sizes["draw"]):
            order = rng.permutation(3)
            for name in ("weights", "means", "covariances"):
                posterior[name][c, d] = posterior[name].values[c, d][order]
    switched = dt.copy()
    switched["posterior"] = posterior
    assert_allclose(coclustering(switched)["probability"], whole, atol=1e-9)


def test_chosen_rows_are_rows_of_the_whole(by_hand):
    dt, whole = by_hand
    found = coclustering(dt, rows=[5, 2])["probability"]
    assert found["obs_id"].values.tolist() == [5, 2]
    assert_allclose(found, whole[[5, 2]], atol=1e-9)
    with pytest.raises(ValueError, match=r"there is no \[999\]"):
        coclustering(dt, rows=[5, 999])


def test_the_top_list_has_the_largest_of_each_row():
    _, dt, X = fake_posterior("iris", 3)
    whole = coclustering(dt)["probability"].values
    np.fill_diagonal(whole, -1.0)
    top = coclustering(dt, top=6)
    assert top["partner"].dims == top["probability"].dims == ("obs_id", "rank")
    error = top.attrs["largest_error"]
    assert error < 0.01
    largest = -np.sort(-whole, axis=1)[:, :6]
    assert_allclose(top["probability"], largest, atol=error + 1e-9)
    assert_allclose(np.take_along_axis(whole, top["partner"].values, axis=1), top["probability"], atol=error + 1e-9)
    assert (np.diff(top["probability"], axis=1) <= 1e-12).all()
    assert (top["partner"].values != np.arange(len(X))[:, None]).all()


def test_many_rows_have_partners_but_no_matrix(rng):
    gm, _, X = fake_posterior()
    many = X.values[rng.integers(len(X), size=20_000)] + rng.normal(scale=[0.05, 0.5], size=(20_000, 2))
    with pytest.raises(ValueError, match=r"at most 3000 rows. Choose some with `rows=`, or .* `top=10`"):
        coclustering(gm, many)
    top = coclustering(gm, many, top=3)
    r = membership(gm, many, n_simulated=0)["probability"].values
    assert_allclose(top["probability"], np.einsum("nk,ntk->nt", r, r[top["partner"].values]), atol=1e-6)
    assert coclustering(gm, many, rows=[1])["probability"].shape == (1, 20_000)


def test_one_draw_is_the_fit_and_row_labels_are_kept():
    gm, dt, X = one_draw()
    assert_allclose(coclustering(dt)["probability"], coclustering(gm, X)["probability"], atol=1e-9)
    frame = pd.DataFrame(X.values[:4], columns=["eruptions", "waiting"], index=list("abcd"))
    found = coclustering(dt, frame)
    assert found["obs_id"].values.tolist() == found["obs_id_bis"].values.tolist() == list("abcd")
    assert set(coclustering(dt, frame, top=1)["partner"].values.ravel()) <= set("abcd")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"rows": [1], "top": 2}, "were both given"),
        ({"top": 0}, "`top` must be an integer from 1 to 271"),
        ({"top": 272}, "`top` must be"),
        ({"rows": []}, "`rows` must be labels"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        coclustering(fake_posterior()[1], **wrong)


def test_two_rows_of_noise_are_not_together():
    _, dt, draws, X = noisy.noisy_posterior()
    r = noisy.over_draws(noisy.memberships, X.values, draws)[:, :, :2]
    expected = np.einsum("sik,sjk->ij", r, r) / len(r)
    np.fill_diagonal(expected, 1.0)
    assert_allclose(coclustering(dt)["probability"], expected, atol=1e-9)
    noise = np.flatnonzero(membership(dt)["noise_probability"].values > 0.9)
    assert len(noise) > 10
    assert expected[np.ix_(noise, noise)][~np.eye(len(noise), dtype=bool)].max() < 0.01


def test_partners_of_rows_leave_noise_out():
    _, dt, _, _ = noisy.noisy_posterior()
    found = coclustering(dt, top=3)
    whole = coclustering(dt)["probability"].values
    np.fill_diagonal(whole, 0.0)
    best = np.sort(whole, axis=1)[:, ::-1][:, :3]
    assert_allclose(found["probability"], best, atol=found.attrs["largest_error"] + 1e-3)


def test_one_draw_with_noise_is_together_as_the_fit():
    gm, dt, X = noisy.one_noisy_draw()
    assert_allclose(coclustering(dt)["probability"], coclustering(gm, X)["probability"], atol=1e-12)
