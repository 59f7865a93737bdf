"""Figures of a mismatch: against SciPy's, by hand, and in their limit where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from bayesgmm.diagnostics.goodness_of_fit import discrepancies
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.quantiles import cumulative
from bayesgmm.mixture.simulation import draw_rows
from tests.support import noisy, oracle
from tests.support.strategies import random_mixture

K_ERRORS = 5


@pytest.fixture(scope="module")
def mixture():
    return random_mixture(np.random.default_rng(5), 3, 3)


@pytest.fixture(scope="module")
def rows(mixture):
    return draw_rows(np.random.default_rng(6), mixture, 3000)[0]


def test_kolmogorov_is_scipys(mixture, rows):
    found = discrepancies.kolmogorov(rows, mixture)
    for j in range(3):
        expected = stats.kstest(rows[:, j], lambda x, j=j: cumulative(mixture.marginal([j]), x)).statistic
        assert_allclose(found[j], expected * np.sqrt(len(rows)), rtol=1e-10)


def test_rosenblatt_is_the_conditional_distribution(mixture, rows):
    found = discrepancies.rosenblatt(rows[:20], mixture, 2, 0)
    for n in range(20):
        given_one = condition(mixture.marginal([2, 0]), [0], rows[n, 2:3])
        assert_allclose(found[n, 1], cumulative(given_one, rows[n, :1])[0], rtol=1e-9)
    assert_allclose(found[:, 0], cumulative(mixture.marginal([2]), rows[:20, 2]))


def test_pairs_of_the_mixture_have_the_chi_squared_distribution(mixture):
    """Mean 8^2 - 1 and variance 2 (8^2 - 1) of Pearson's figure on fixed cells."""
    rng, R = np.random.default_rng(1), 200
    found = [discrepancies.pair_chi_squared(draw_rows(rng, mixture, 700)[0], mixture, [(0, 1)])[0] for _ in range(R)]
    assert abs(np.mean(found) - 63) < K_ERRORS * np.sqrt(2 * 63 / R)


def test_distances_are_the_responsibilities_and_mahalanobis(mixture, rows):
    r, squared = discrepancies.distances(rows[:50], mixture)
    assert_allclose(r, oracle.memberships(rows[:50], mixture).T, rtol=1e-9, atol=1e-300)
    for k in range(3):
        away = rows[:50] - mixture.means[k]
        expected = np.einsum("nd,nd->n", away, np.linalg.solve(mixture.covariances[k], away.T).T)
        assert_allclose(squared[k], expected, rtol=1e-9)


def test_weighted_distances_have_a_chi_squared_distribution(mixture):
    """The law behind the component's figure: E[r_k(x) 1(d_k^2 <= t)] = weights_k P(chi2_D <= t)."""
    rows = draw_rows(np.random.default_rng(2), mixture, 40_000)[0]
    r, squared = discrepancies.distances(rows, mixture)
    for t in (1.0, 3.0, 8.0):
        held = r * (squared <= t)
        error = held.std(axis=1) / np.sqrt(len(rows))
        assert (np.abs(held.mean(axis=1) - mixture.weights * stats.chi2(3).cdf(t)) < K_ERRORS * error).all()
    fourth = r * squared**2
    error = fourth.std(axis=1) / np.sqrt(len(rows)) / (mixture.weights * 15)
    assert (np.abs(discrepancies.kurtosis(r, squared, 3) - 1) < 2 * K_ERRORS * error).all()


def test_one_component_is_the_ordinary_kolmogorov():
    rng = np.random.default_rng(0)
    p = MixtureParameters.from_covariances(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    x = rng.normal(size=(300, 2))
    found = discrepancies.component_kolmogorov(*discrepancies.distances(x, p), 2)
    expected = stats.kstest((x**2).sum(axis=1), stats.chi2(2).cdf).statistic * np.sqrt(300)
    assert_allclose(found, expected, rtol=1e-9)
    quantiles = discrepancies.distance_quantiles(*discrepancies.distances(x, p), np.array([0.5]))
    assert_allclose(quantiles[0], np.median((x**2).sum(axis=1)), rtol=0.02)


def test_modes_of_a_kernel_density_are_those_one_sees():
    far = MixtureParameters.from_covariances(np.full(3, 1 / 3), np.array([[0.0], [10], [25]]), np.ones((3, 1, 1)))
    rows = draw_rows(np.random.default_rng(0), far, 600)[0]
    assert discrepancies.n_kernel_modes(rows, far).tolist() == [3]


@pytest.fixture(scope="module")
def mixture_with_noise(mixture):
    middle, sd = mixture.means.mean(axis=0), np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2)).max(axis=0)
    return noisy.with_noise(mixture, 0.25, Background.box(middle - 6 * sd, middle + 4 * sd))


def test_rosenblatt_of_noise_is_the_conditional_distribution(mixture_with_noise):
    rows = draw_rows(np.random.default_rng(6), mixture_with_noise, 3000)[0]
    found = discrepancies.rosenblatt(rows, mixture_with_noise, 2, 0)
    for n in range(30):
        given_one = condition(mixture_with_noise.marginal([2, 0]), [0], rows[n, 2:3])
        assert_allclose(found[n, 1], cumulative(given_one, rows[n, :1])[0], rtol=1e-9)
    # uniform on the unit square for rows of the mixture: tests at 1e-4
    for column in found.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(found.T)[0, 1]) < K_ERRORS / np.sqrt(len(rows))


def test_rows_of_noise_are_of_no_component(mixture_with_noise):
    mixture = mixture_with_noise
    rows = np.concatenate([draw_rows(np.random.default_rng(2), mixture, 50)[0], [[1e3, 0.0, 0.0]]])
    r, squared = discrepancies.distances(rows, mixture)
    assert_allclose(r, noisy.memberships(rows, mixture)[:, :3].T, rtol=1e-9, atol=1e-12)
    assert_allclose(squared, discrepancies.distances(rows, replace(mixture, noise=None))[1], rtol=1e-12)


def test_weighted_distances_have_a_chi_squared_distribution_in_noise_too(mixture_with_noise):
    rows = draw_rows(np.random.default_rng(9), mixture_with_noise, 20_000)[0]
    r, squared = discrepancies.distances(rows, mixture_with_noise)
    for k, weight in enumerate(0.75 * mixture_with_noise.weights):
        for t in (1.0, 3.0, 8.0):
            values = r[k] * (squared[k] <= t)
            error = values.std() / np.sqrt(len(rows))
            assert abs(values.mean() - weight * stats.chi2(3).cdf(t)) < K_ERRORS * error
