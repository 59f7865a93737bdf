import dataclasses

import numpy as np
import pymc as pm
import pytest
from scipy.special import logsumexp

from bayesgmm.sampler.laplace import (
    LaplaceError,
    curvature,
    gaussian_log_density,
    importance_draws,
    laplace,
    resample,
)
from bayesgmm.sampler.log_density import LogDensity, compile_log_density

MEAN = np.array([1.0, -2.0, 30.0])
ROOT = np.array([[1.0, 0.0, 0.0], [0.8, 0.3, 0.0], [-5.0, 2.0, 10.0]])


@pytest.fixture(scope="module")
def gaussian() -> LogDensity:
    with pm.Model() as model:
        pm.MvNormal("x", mu=MEAN, chol=ROOT)
    return compile_log_density(model)


@pytest.fixture(scope="module")
def gamma() -> LogDensity:
    with pm.Model() as model:
        pm.Gamma("rate", alpha=30.0, beta=2.0)
        pm.LogNormal("other", 0.4, 0.2, shape=2)
    return compile_log_density(model)


def test_of_a_gaussian_it_is_the_gaussian_itself(gaussian: LogDensity) -> None:
    found = laplace(gaussian, np.array([3.0, -1.0, 10.0]))
    np.testing.assert_allclose(found.frame.centre, MEAN, atol=1e-3 * np.linalg.norm(ROOT))
    np.testing.assert_allclose(found.frame.factor @ found.frame.factor.T, ROOT @ ROOT.T, rtol=1e-6)
    assert found.log_evidence == pytest.approx(0.0, abs=1e-5)
    # two curvatures, as the start was far from the mode, and a few steps
    assert found.passes <= 2 * 2 * 3 + 15
    draws = importance_draws(gaussian, found, 2000, np.random.default_rng(0))
    assert abs(draws.log_evidence) < 0.1
    # nothing is averaged that is not zero: the mean is exact from any number of draws
    np.testing.assert_allclose(found.frame.to_x(draws.mean), MEAN, atol=1e-4)


def test_a_start_at_the_mode_costs_two_evaluations_for_each_coordinate_and_a_few(gaussian: LogDensity) -> None:
    assert laplace(gaussian, MEAN + 1e-3).passes <= 2 * 3 + 5


def test_it_counts_every_evaluation(gamma: LogDensity) -> None:
    counted = []

    class Counting(LogDensity):
        def at_many(self, points):
            counted.append(len(points))
            return super().at_many(points)

    counting = Counting(*(getattr(gamma, part.name) for part in dataclasses.fields(gamma) if part.init))
    assert laplace(counting, np.array([1.0, 0.0, 0.0])).passes == sum(counted)


def test_the_curvature_is_exact_where_it_is_known(gamma: LogDensity) -> None:
    # log density of y = log rate is 30 y - 2 exp(y)
    y = 1.7
    minus_hessian, _ = curvature(gamma, np.array([y, 0.3, 0.5]))
    np.testing.assert_allclose(minus_hessian, np.diag([2 * np.exp(y), 25.0, 25.0]), rtol=1e-6, atol=1e-6)


def test_weights_correct_what_the_gaussian_gets_wrong(gamma: LogDensity) -> None:
    found = laplace(gamma, np.array([1.0, 0.0, 0.0]))
    draws = importance_draws(gamma, found, 4000, np.random.default_rng(1))
    assert draws.pareto_k < 0.7
    assert logsumexp(draws.log_weights) == pytest.approx(0.0, abs=1e-9)
    rate, weights = np.exp(draws.values[:, 0]), np.exp(draws.log_weights)
    mean, sd = 15.0, np.sqrt(30) / 2
    error = sd / np.sqrt(draws.effective_size)
    assert abs(weights @ rate - mean) < 4.5 * error
    chosen = resample(draws.log_weights, 4000, np.random.default_rng(2))
    assert abs(rate[chosen].mean() - mean) < 4.5 * error
    # E log rate = digamma(30) - log 2, which the mode is short of by 1 / 60: the mean from gradients sees that
    from scipy.special import digamma

    x = found.frame.to_x(draws.mean)
    assert abs(x[0] - (digamma(30) - np.log(2))) < 0.1 / 60
    assert abs(draws.log_evidence) < 4.5 * np.sqrt(1 / draws.effective_size)


def test_the_density_of_the_gaussian_integrates_to_one() -> None:
    from bayesgmm.sampler.log_density import Frame

    frame = Frame(np.array([0.5]), np.array([[2.0]]))
    grid = np.linspace(-20, 20, 4001)[:, None]
    assert np.exp(gaussian_log_density(frame, grid)).sum() * 0.01 == pytest.approx(1.0)


def test_resampling_takes_each_about_in_proportion() -> None:
    weights = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    with np.errstate(divide="ignore"):
        chosen = resample(np.log(weights), 1000, np.random.default_rng(0))
    counts = np.bincount(chosen, minlength=5)
    assert np.all(np.abs(counts - 1000 * weights) <= 1)


def test_a_density_without_a_mode_is_refused() -> None:
    with pm.Model() as model:
        x = pm.Flat("x", shape=2)
        pm.Potential("ridge", -0.5 * (x[0] - x[1]) ** 2 + 0.1 * x[0])
    with pytest.raises(LaplaceError, match="flat in some direction"):
        laplace(compile_log_density(model), np.array([0.1, 0.2]))
