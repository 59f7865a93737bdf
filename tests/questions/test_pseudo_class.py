"""Pseudo-class draws are draws from the memberships, in a tidy table."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.observations import as_observations
from bayesgmm.kernel.allocations import draw_allocations, spread_over
from bayesgmm.posterior.datatree import view
from bayesgmm.questions.membership import membership
from bayesgmm.questions.pseudo_class import pseudo_class
from tests.support import noisy
from tests.support.posteriors import fake_posterior


def test_a_tidy_table():
    gm, dt, X = fake_posterior()
    frame = pd.DataFrame(X.values[:3], columns=["eruptions", "waiting"], index=list("abc"))
    found = pseudo_class(dt, frame, n_draws=2, random_seed=0)
    assert list(found.columns) == ["draw", "row", "label"]
    assert found["draw"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["row"].tolist() == list("abcabc")
    assert set(found["label"]) <= {0, 1}
    assert len(pseudo_class(gm, X, random_seed=0)) == 20 * len(X)
    with pytest.raises(ValueError, match="`n_draws` must be an integer of at least 1"):
        pseudo_class(dt, n_draws=0)


def test_the_share_of_draws_is_the_membership():
    _, dt, _ = fake_posterior()
    M = 4000
    found = pseudo_class(dt, n_draws=M, random_seed=1).pivot(index="draw", columns="row", values="label").to_numpy()
    p = membership(dt, n_simulated=0)["probability"].values[:, 1]
    standard_error = np.sqrt(p * (1 - p) / M)
    # 5 standard errors for 272 rows; and one draw, where memberships are all but certain
    assert (np.abs(found.mean(axis=0) - p) <= 5 * standard_error + 1 / M).all()


def test_a_seed_gives_the_same_draws_on_any_number_of_threads(monkeypatch):
    gm, dt, _ = fake_posterior()
    X = gm.sample(30_000)[0]
    mixture = view(dt)
    rows = as_observations(X)
    many = draw_allocations(rows, mixture.parameters, 10, 3)
    monkeypatch.setattr("bayesgmm.kernel.complete.available_cores", lambda: 1)
    assert_array_equal(draw_allocations(rows, mixture.parameters, 10, 3), many)
    assert (draw_allocations(rows, mixture.parameters, 10, 4) != many).any()


@pytest.mark.parametrize("n, S", [(20, 1000), (7, 7), (1000, 1), (10, 4)])
def test_draws_are_spread_evenly(n, S):
    counts = np.bincount(spread_over(n, S), minlength=S)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_rubins_rules_widen_what_the_labels_alone_would_say():
    """The example of the docstring: a difference of means between clusters, with the error of clustering in it."""
    _, dt, X = fake_posterior("iris", 3)
    outcome = X.values[:, 0]
    M = 50
    draws = pseudo_class(dt, n_draws=M, random_seed=0)
    q, u = [], []
    for _, one in draws.groupby("draw"):
        first, second = (outcome[one["label"].to_numpy() == k] for k in (0, 1))
        q.append(first.mean() - second.mean())
        u.append(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    variance = np.mean(u) + (1 + 1 / M) * np.var(q, ddof=1)
    assert variance > np.mean(u)
    assert_allclose(np.mean(q), np.median(q), atol=3 * np.sqrt(variance))


def test_rows_of_noise_are_drawn_as_such():
    _, dt, draws, X = noisy.noisy_posterior()
    M, S = 600, draws.batch_shape[0]
    z = pseudo_class(dt, n_draws=M, random_seed=2)["label"].values.reshape(M, -1)
    assert set(np.unique(z)) == {-1, 0, 1}
    r = noisy.over_draws(noisy.memberships, X.values, draws)[(np.arange(M) * S) // M]
    # given the parameters, draws of one row are independent: the count of each label to 5 standard errors
    for label, column in ((-1, 2), (0, 0), (1, 1)):
        error = np.sqrt((r[:, :, column] * (1 - r[:, :, column])).sum(axis=0))
        assert (np.abs((z == label).sum(axis=0) - r[:, :, column].sum(axis=0)) <= 5 * error + 1e-6).all()
