"""Highest-density regions hold the probability they are asked for."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import bayesgmm as bg
from bayesgmm.mixture.draws import predictive_mixture
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.posterior.datatree import view
from bayesgmm.questions.density import density
from bayesgmm.questions.highest_density_regions import highest_density_regions
from tests.support import noisy
from tests.support.posteriors import fake_posterior, one_draw

K_ERRORS = 5


def test_of_a_normal_the_level_is_known():
    """A D-dimensional normal holds P within squared radius chi2(P), where its density is phi(0) exp(-chi2(P) / 2)."""
    for D in (1, 2, 5):
        covariance = np.diag(np.arange(1.0, D + 1))
        gm = bg.from_parameters([1.0], np.zeros((1, D)), covariance[None])
        probabilities = np.array([0.3, 0.5, 0.95])
        found = highest_density_regions(gm, probabilities, n_samples=20_000, random_seed=1)
        top = (2 * np.pi) ** (-D / 2) / np.sqrt(np.linalg.det(covariance))
        expected = top * np.exp(-0.5 * stats.chi2(D).ppf(probabilities))
        assert (np.abs(found["density_level"] - expected) < K_ERRORS * found["density_level_mcse"]).all()


def test_new_rows_fall_inside_as_often_as_asked():
    """Simulation apart: the share inside has a binomial error, and the level's own of the same kind."""
    _, dt, _ = fake_posterior()
    n = 8000
    rows = bg.generate(dt, n // 200, n_datasets=200, random_seed=3)["posterior_predictive/x"].values.reshape(-1, 2)
    probabilities = np.array([0.25, 0.5, 0.9])
    found = highest_density_regions(dt, probabilities, rows, n_samples=n, random_seed=4)
    error = np.sqrt(2 * probabilities * (1 - probabilities) / n)
    assert (np.abs(found["inside"].mean("obs_id") - probabilities) < K_ERRORS * error).all()
    assert_allclose((found["content"] <= 0.5).mean(), found["inside"].sel(probability=0.5).mean(), atol=2 / n)
    assert (found["density_level_lower"] <= found["density_level_upper"]).all()
    # what is well inside is so in every draw; what is at the border in some
    assert found["inside_probability"].max() == 1 and found["inside_probability"].min() == 0


def test_the_level_of_each_draw_is_the_draws_own():
    """Levels by weighting against levels by the draw's own samples, whose errors both report."""
    _, dt, _ = fake_posterior()
    few = dt.isel(chain=[0], draw=[0, 1, 2])
    found = highest_density_regions(few, [0.5], n_samples=20_000, random_seed=0, ci_prob=0.999)
    own = [
        highest_density_regions(few.isel(draw=[d]), [0.5], n_samples=20_000, random_seed=d)["density_level"].item()
        for d in range(3)
    ]
    error = K_ERRORS * 2 * found["density_level_mcse"].item()
    assert found["density_level_lower"].item() == pytest.approx(min(own), abs=error)
    assert found["density_level_upper"].item() == pytest.approx(max(own), abs=error)


def test_one_draw_is_the_fit():
    gm, dt, X = one_draw()
    bayes, fit = (highest_density_regions(s, [0.4], X, n_samples=500, random_seed=0) for s in (dt, gm))
    for name in ("density_level", "content", "inside"):
        assert_allclose(bayes[name], fit[name], rtol=1e-9)
    assert_allclose(bayes["density_level_lower"], fit["density_level"], rtol=0.05)
    assert (bayes["inside_probability"] == bayes["inside"]).mean() > 0.98
    assert set(fit.data_vars) == {"density_level", "density_level_mcse", "content", "inside"}


def test_wrong_input_is_named():
    gm, _, _ = fake_posterior()
    with pytest.raises(ValueError, match="`probabilities` must be strictly between 0 and 1"):
        highest_density_regions(gm, [0.5, 1.0])
    with pytest.raises(ValueError, match="`n_samples` must be an integer of at least 100"):
        highest_density_regions(gm, [0.5], n_samples=5)
    with pytest.raises(ValueError, match="3 features"):
        highest_density_regions(gm, [0.5], np.zeros((2, 3)))


def test_regions_hold_their_share_of_rows_that_are_noise_too():
    fit, dt, _draws, _ = noisy.noisy_posterior()
    n = 20_000
    for source in (fit, dt):
        found = highest_density_regions(source, [0.5, 0.97], n_samples=n, random_seed=0)
        rows, _ = draw_rows(np.random.default_rng(1), predictive_mixture(view(source).parameters), n)
        p = density(source, rows, intervals=False)["density"].values
        for share, level in zip((0.5, 0.97), found["density_level"].values, strict=True):
            # two samples, each with its own error; 5 standard errors
            assert abs((p >= level).mean() - share) < 5 * np.sqrt(2 * share * (1 - share) / n)
