"""Gaussian mixture regression: E[y | x] is the quadrature of y p(x, y), and a new value lies where it should."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import bayesgmm as bg
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.noise import BackgroundError
from bayesgmm.mixture.quantiles import cumulative
from bayesgmm.questions.conditional import conditional
from bayesgmm.questions.conditional_mean import conditional_mean
from bayesgmm.questions.quantiles import quantile
from tests.support import noisy
from tests.support.posteriors import fake_posterior, one_draw
from tests.support.strategies import random_mixture, seeds


def test_is_the_quadrature_of_the_joint_density():
    """The trapezoid rule on a smooth integrand that vanishes at both ends is exact to rounding."""
    gm, _, _ = fake_posterior()
    y = np.linspace(-2, 9, 3001)
    for waiting in (45.0, 68.0, 71.5, 95.0):
        joint = bg.density(gm, np.column_stack([y, np.full_like(y, waiting)]))["density"].values
        mean = np.trapezoid(y * joint, y) / np.trapezoid(joint, y)
        variance = np.trapezoid((y - mean) ** 2 * joint, y) / np.trapezoid(joint, y)
        found = conditional_mean(gm, {"waiting": [waiting]})
        assert_allclose(found["mean"].item(), mean, rtol=1e-10)
        assert_allclose(found["sd"].item(), np.sqrt(variance), rtol=1e-9)


@settings(max_examples=15)
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(2, 4))
def test_is_the_mean_of_the_conditional_mixture(seed, K, D):
    p = random_mixture(np.random.default_rng(seed), K, D)
    gm = bg.from_parameters(p.weights, p.means, p.covariances)
    values = np.random.default_rng(seed + 1).normal(scale=2.0, size=2 if D > 2 else 1)
    chosen = dict(zip(("x1", "x0"), values, strict=False))
    given_mixture = conditional(gm, chosen)
    found = conditional_mean(gm, {name: [value] for name, value in chosen.items()})
    expected = given_mixture.weights_ @ given_mixture.means_
    assert_allclose(found["mean"].values[0], expected, rtol=1e-9, atol=1e-9)


def test_mean_and_interval_are_those_over_draws():
    _, dt, _ = fake_posterior()
    found = conditional_mean(dt, {"waiting": [60.0, 75.0]}, ci_prob=0.8)
    for n, waiting in enumerate((60.0, 75.0)):
        posterior = conditional(dt, {"waiting": waiting})["posterior"].to_dataset()
        draws = (posterior["weights"] * posterior["means"].isel(feature=0)).sum("component").values.ravel()
        assert_allclose(found["mean"].values[n, 0], draws.mean(), rtol=1e-10)
        assert_allclose(found["mean_lower"].values[n, 0], np.quantile(draws, 0.1), rtol=1e-9)
        assert_allclose(found["mean_upper"].values[n, 0], np.quantile(draws, 0.9), rtol=1e-9)


def test_the_predictive_interval_is_of_the_conditional_mixture():
    gm, dt, _ = fake_posterior()
    for source in (gm, dt):
        found = conditional_mean(source, {"waiting": [50.0, 69.0]}, ci_prob=0.9)
        for n, waiting in enumerate((50.0, 69.0)):
            ends = quantile(conditional(source, {"waiting": waiting}), [0.05, 0.95])["quantile"]
            assert_allclose(found["predictive_lower"].values[n, 0], ends[0], rtol=1e-8)
            assert_allclose(found["predictive_upper"].values[n, 0], ends[1], rtol=1e-8)


def test_far_from_the_origin_no_digits_are_lost():
    gm, _, _ = fake_posterior()
    away = 1e9
    moved = bg.from_parameters(gm.weights_, gm.means_ + away, gm.covariances_)
    here = conditional_mean(gm, {"waiting": [60.0, 75.0]})
    there = conditional_mean(moved, {"x1": [60.0 + away, 75.0 + away]})
    assert_allclose(there["mean"].values - away, here["mean"].values, atol=1e-6)
    assert_allclose(there["predictive_lower"].values - away, here["predictive_lower"].values, atol=1e-6)


def test_one_draw_is_the_fit():
    gm, dt, _ = one_draw()
    bayes, fit = (conditional_mean(source, {"waiting": [50, 70, 90]}) for source in (dt, gm))
    for name in ("mean", "sd", "predictive_lower", "predictive_upper"):
        assert_allclose(bayes[name], fit[name], rtol=1e-9)
    assert_allclose(bayes["mean_lower"], fit["mean"], rtol=1e-9)
    assert "mean_lower" not in fit


def test_tables_of_every_kind_and_their_labels():
    gm, dt, X = fake_posterior()
    frame = pd.DataFrame({"waiting": [50.0, 70.0]}, index=["short", "long"])
    found = conditional_mean(dt, frame, predictive=False)
    assert found["obs_id"].values.tolist() == ["short", "long"]
    assert found["given"].values.ravel().tolist() == [50.0, 70.0]
    assert found["mean"].attrs["units"] == "min" and "predictive_lower" not in found
    assert_allclose(conditional_mean(gm, X[:, 1:])["mean"][:2], conditional_mean(gm, X[:2, 1:])["mean"])
    assert found["feature"].values.tolist() == ["eruptions"]


def test_wrong_features_are_named():
    gm, _, _ = fake_posterior()
    with pytest.raises(ValueError, match="every feature is given"):
        conditional_mean(gm, {"waiting": [1.0], "eruptions": [2.0]})
    with pytest.raises(ValueError, match="no feature 'height'"):
        conditional_mean(gm, {"height": [1.0]})
    with pytest.raises(ValueError, match="must say which features"):
        conditional_mean(gm, np.zeros((3, 1)))
    with pytest.raises(ValueError, match="NaN"):
        conditional_mean(gm, {"waiting": [70.0, np.nan]})
    with pytest.raises(ValueError, match="as many values of each feature"):
        conditional_mean(gm, {"waiting": [[1.0]]})
    with pytest.raises(ValueError, match="names no feature"):
        conditional_mean(gm, {})


def test_noise_pulls_the_expected_value_to_the_middle_of_the_box():
    _fit, dt, draws, _ = noisy.noisy_posterior()
    box = draws.noise.background
    x = np.array([50.0, 75.0, 105.0, float(box.upper[1]) + 1.0])
    found = conditional_mean(dt, {"waiting": x})
    # the mixture at each value, by quadrature of its density on a fine grid, in every draw
    grid = np.linspace(0.0, 8.0, 4001)
    for m, value in enumerate(x):
        given = condition(draws, [1], np.array([value]))
        p = noisy.over_draws(noisy.density, grid[:, None], given)
        total = np.trapezoid(p, grid, axis=1)
        # an edge of the box lies within a cell of the grid: half a cell of its density is lost or won
        assert_allclose(total, 1.0, atol=2e-3)
        mean = np.trapezoid(p * grid, grid, axis=1) / total
        assert_allclose(found["mean"][m], mean.mean(), rtol=2e-3)
        for end, q in (("lower", 0.055), ("upper", 0.945)):
            assert_allclose(found[f"mean_{end}"][m], np.quantile(mean, q), rtol=2e-3)
        everything = p.mean(axis=0)
        second = np.trapezoid(everything * grid**2, grid) / np.trapezoid(everything, grid)
        assert_allclose(found["sd"][m], np.sqrt(second - mean.mean() ** 2), rtol=5e-3)
        # the ends of new values are quantiles of the same mixture, which the distribution function knows
        for end, q in (("lower", 0.055), ("upper", 0.945)):
            at = found[f"predictive_{end}"].values[m]
            assert_allclose(cumulative(given, at).mean(), q, atol=1e-8)


def test_one_draw_with_noise_is_the_regression_of_the_fit():
    gm, dt, _ = noisy.one_noisy_draw()
    of_fit, of_draw = (conditional_mean(s, {"waiting": [50.0, 105.0]}) for s in (gm, dt))
    for name in ("mean", "sd", "predictive_lower", "predictive_upper"):
        assert_allclose(of_fit[name], of_draw[name], rtol=1e-9)


def test_regression_refuses_noise_in_a_hull():
    fit, _, _, _ = noisy.noisy_posterior(hull=True, draws=10)
    with pytest.raises(BackgroundError, match="hull"):
        conditional_mean(fit, {"waiting": [50.0]})
