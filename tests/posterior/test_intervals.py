"""Intervals are NumPy's quantiles or ArviZ's HDI, and follow ArviZ's settings."""

import arviz_base
import arviz_stats
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.posterior.intervals import check_ci_prob, interval


@pytest.fixture
def draws(rng):
    return rng.gamma(2.0, size=(400, 3, 2))


def test_equal_tailed_ends_are_quantiles(draws):
    lower, upper = interval(draws, 0.8)
    assert_allclose(lower, np.quantile(draws, 0.1, axis=0), rtol=1e-14)
    assert_allclose(upper, np.quantile(draws, 0.9, axis=0), rtol=1e-14)


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_are_arvizs_own(kind, draws):
    named = xr.DataArray(draws[None], dims=("chain", "draw", "a", "b"))
    expected = getattr(arviz_stats, kind)(named, prob=0.6)
    with arviz_base.rc_context({"stats.ci_kind": kind}):
        lower, upper = interval(draws, 0.6)
    # ArviZ interpolates quantiles by a rule of its own: within the gap between neighbouring draws
    gap = 0.0 if kind == "hdi" else np.diff(np.sort(draws, axis=0), axis=0)[30:370].max()
    assert_allclose(lower, expected.sel(ci_bound="lower"), rtol=1e-12, atol=gap)
    assert_allclose(upper, expected.sel(ci_bound="upper"), rtol=1e-12, atol=gap)


def test_the_default_probability_is_arvizs(draws):
    assert_array_equal(interval(draws), interval(draws, arviz_base.rcParams["stats.ci_prob"]))
    with arviz_base.rc_context({"stats.ci_prob": 0.5}):
        assert_array_equal(interval(draws), interval(draws, 0.5))
        assert check_ci_prob(None) == 0.5


def test_one_draw_is_its_own_interval():
    for kind in ("eti", "hdi"):
        with arviz_base.rc_context({"stats.ci_kind": kind}):
            lower, upper = interval(np.array([[0.3, 0.7]]), 0.9)
        assert_array_equal(lower, [0.3, 0.7])
        assert_array_equal(upper, [0.3, 0.7])


@pytest.mark.parametrize("wrong", [0, 1, -0.1, 94, np.nan])
def test_a_probability_is_strictly_between_zero_and_one(draws, wrong):
    with pytest.raises(ValueError, match="`ci_prob` must be strictly between 0 and 1; received"):
        interval(draws, wrong)
