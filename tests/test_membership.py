"""Memberships of a fit and of a posterior: one implementation, so one draw is the fit."""

import arviz_base
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.estimator import GaussianMixture
from bayesgmm.membership import membership
from tests import oracle
from tests.posteriors import as_datatree, fake_posterior, one_draw


def draws_of(dt):
    """Memberships (S, N, K) draw by draw, by SciPy."""
    posterior = dt["posterior"].to_dataset().stack(s=("chain", "draw"), create_index=False)
    X = dt["observed_data"].to_dataset()["x"].values
    out = []
    for s in range(posterior.sizes["s"]):
        one = posterior.isel(s=s)
        p = oracle.MixtureParameters.from_covariances(
            one["weights"].values, one["means"].values, one["covariances"].values
        )
        out.append(oracle.memberships(X, p))
    return np.array(out)


@pytest.fixture(scope="module")
def by_hand():
    _, dt, _ = fake_posterior()
    return dt, draws_of(dt)


def test_the_probability_is_the_mean_over_draws(by_hand):
    dt, r = by_hand
    found = membership(dt)
    assert_allclose(found["probability"], r.mean(axis=0), atol=1e-9)
    assert_allclose(found["probability"].sum("component"), 1.0, rtol=1e-12)


def test_label_and_agreement_count_draws(by_hand):
    dt, r = by_hand
    found = membership(dt)
    label = r.mean(axis=0).argmax(axis=1)
    assert_array_equal(found["label"], label)
    assert_allclose(found["label_agreement"], (r.argmax(axis=2) == label).mean(axis=0), atol=1e-12)
    assert 0 < found["label_agreement"].min() < 1


@pytest.mark.parametrize("prob", [None, 0.5])
def test_intervals_are_quantiles_over_draws(by_hand, prob):
    dt, r = by_hand
    found = membership(dt, ci_prob=prob)
    used = arviz_base.rcParams["stats.ci_prob"] if prob is None else prob
    assert found.attrs["ci_prob"] == used
    lower, upper = np.quantile(r, [(1 - used) / 2, (1 + used) / 2], axis=0)
    assert_allclose(found["probability_lower"], lower, atol=1e-9)
    assert_allclose(found["probability_upper"], upper, atol=1e-9)


def test_intervals_follow_arvizs_settings(by_hand):
    dt, _ = by_hand
    wide, narrow = (membership(dt, ci_prob=prob) for prob in (0.95, 0.5))
    assert (wide["probability_lower"] <= narrow["probability_lower"]).all()
    with arviz_base.rc_context({"stats.ci_prob": 0.5}):
        assert membership(dt).equals(narrow)
    with arviz_base.rc_context({"stats.ci_kind": "hdi", "stats.ci_prob": 0.5}):
        hdi = membership(dt)
    width = {
        name: found["probability_upper"] - found["probability_lower"] for name, found in (("eti", narrow), ("hdi", hdi))
    }
    # the narrowest interval; quantiles interpolate between draws, where an HDI ends on them
    assert float(width["hdi"].mean()) < float(width["eti"].mean())


@pytest.mark.parametrize("name", ["faithful", "galaxies"])
def test_one_draw_is_the_fit(name):
    gm, dt, X = one_draw(name)
    bayes, fit = membership(dt), membership(gm, X)
    assert_allclose(fit["probability"], gm.predict_proba(X), atol=1e-13)
    assert_allclose(bayes["probability"], gm.predict_proba(X), atol=1e-10)
    assert_allclose(bayes["probability_lower"], bayes["probability_upper"], atol=1e-14)
    assert_array_equal(bayes["label"], gm.predict(X))
    assert_array_equal(bayes["label_agreement"], 1.0)


def test_a_fit_has_no_interval():
    gm, _, X = fake_posterior()
    found = membership(gm, X)
    assert set(found.data_vars) == {"probability", "label"}
    assert "ci_prob" not in found.attrs
    with pytest.raises(ValueError, match="keeps no data: pass the rows as `X`"):
        membership(gm)


def test_dimensions_and_labels_are_those_of_the_rows():
    gm, dt, X = fake_posterior()
    found = membership(dt)
    assert found["probability"].dims == ("obs_id", "component")
    assert found["label"].dtype == np.int64
    assert_array_equal(found["obs_id"], np.arange(len(X)))
    frame = pd.DataFrame(X.values[:3], columns=["eruptions", "waiting"], index=["p", "q", "r"])
    for source in (dt, gm):
        new = membership(source, frame)
        assert new["obs_id"].values.tolist() == ["p", "q", "r"]
        assert_allclose(new["probability"], membership(source, X)["probability"][:3], atol=1e-12)


def test_rows_named_by_text_survive_in_the_posterior():
    gm, dt, X = fake_posterior()
    frame = pd.DataFrame(X.values, columns=["eruptions", "waiting"], index=[f"eruption {n}" for n in range(len(X))])
    named = as_datatree(
        gm,
        frame,
        oracle.MixtureParameters.from_covariances(
            *(dt["posterior"].to_dataset()[v].values for v in ("weights", "means", "covariances"))
        ),
    )
    assert membership(named)["obs_id"].values[:2].tolist() == ["eruption 0", "eruption 1"]


@pytest.mark.parametrize("wrong", [0.0, 1.0, 94])
def test_a_wrong_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="`ci_prob`"):
        membership(fake_posterior()[1], ci_prob=wrong)


def test_what_is_neither_fit_nor_posterior_is_refused():
    _, dt, X = fake_posterior()
    with pytest.raises(TypeError, match=r"expected a posterior .* or a fitted GaussianMixture"):
        membership(X)
    with pytest.raises(ValueError, match="fitted to"):
        membership(dt, X[:, ::-1])
    with pytest.raises(ValueError, match="NaN"):
        membership(dt, X.where(X < 90))
    with pytest.raises(ValueError, match="not fitted"):
        membership(GaussianMixture(2), X)
