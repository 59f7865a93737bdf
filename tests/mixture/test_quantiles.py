"""The distribution function and its inverse, against integrals, the normal distribution and each other."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.quantiles import cumulative, mixed_quantile, quantile
from tests.support import noisy
from tests.support.strategies import random_mixture, seeds


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(-8, 8))
def test_the_distribution_function_is_the_integral_of_the_density(seed, K, x):
    parameters = random_mixture(np.random.default_rng(seed), K, 1)
    mean, sd = parameters.means[:, 0], np.sqrt(parameters.covariances[:, 0, 0])

    def pdf(t):
        return parameters.weights @ norm.pdf(t, mean, sd)

    lowest = (mean - 12 * sd).min()
    knots = sorted({float(t) for t in np.concatenate([mean - 3 * sd, mean, mean + 3 * sd]) if lowest < t < x})
    edges = [lowest, *knots, x] if x > lowest else [lowest, lowest]
    integral = sum(quad(pdf, low, high, epsabs=1e-13)[0] for low, high in itertools.pairwise(edges))
    np.testing.assert_allclose(cumulative(parameters, np.array([x])), [integral], atol=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(1e-300, 1 - 1e-12))
def test_the_quantile_inverts_the_distribution_function(seed, K, q):
    """The error in x is the error in q over the density: where that is not small, x is compared in probability."""
    parameters = random_mixture(np.random.default_rng(seed), K, 1)
    x = quantile(parameters, np.array([q]))
    np.testing.assert_allclose(cumulative(parameters, x), [q], rtol=1e-11)
    assert (cumulative(parameters, x + 1e-9 * np.abs(x) + 1e-9) >= q).all()


@given(st.floats(1e-300, 1 - 1e-15), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_the_quantile_of_one_component_is_the_normals(q, mean, sd):
    parameters = MixtureParameters.from_covariances(np.ones(1), np.array([[mean]]), np.array([[[sd**2]]]))
    exact = mean + sd * norm.ppf(q) if q <= 0.5 else mean + sd * norm.isf(1.0 - q)
    np.testing.assert_allclose(quantile(parameters, np.array([q])), [exact], rtol=1e-12, atol=1e-12 * (sd + abs(mean)))


def test_the_median_in_a_gap_between_components_is_found():
    """P(X <= x) rounds to one half all along the gap; by symmetry its middle is the median."""
    parameters = MixtureParameters.from_covariances(
        np.array([0.5, 0.5]), np.array([[-30.0], [30.0]]), np.ones((2, 1, 1))
    )
    np.testing.assert_allclose(quantile(parameters, np.array([0.5])), [0.0], atol=1e-12)


def test_widths_of_any_ratio_and_the_ends():
    parameters = MixtureParameters.from_covariances(
        np.array([0.5, 0.5]), np.array([[0.0], [0.0]]), np.array([[[1e-20]], [[1e20]]])
    )
    q = np.array([0.0, 0.25, 0.3, 0.5, 0.9, 1.0])
    x = quantile(parameters, q)
    np.testing.assert_allclose(cumulative(parameters, x), q, rtol=1e-12)
    assert x[0] == -np.inf and x[-1] == np.inf
    # with q = 0.3 it is the narrow component that moves
    np.testing.assert_allclose(x[2], 1e-10 * norm.ppf(0.1), rtol=1e-10)


def test_quantiles_of_a_batch(rng):
    many = random_mixture(rng, 2, 1, batch=(3, 4))
    q = np.array([0.1, 0.5, 0.999])
    x = quantile(many, q)
    assert x.shape == (3, 4, 3)
    np.testing.assert_array_equal(x[2, 1], quantile(many[2][1], q))


def test_an_empty_component_has_no_part_in_quantiles():
    parameters = MixtureParameters.from_covariances(np.array([1.0, 0.0]), np.array([[0.0], [1e9]]), np.ones((2, 1, 1)))
    np.testing.assert_allclose(quantile(parameters, np.array([0.975])), [norm.ppf(0.975)], rtol=1e-12)


def one_feature(weights=(0.4, 0.6), means=(0.0, 30.0), variances=(1.0, 0.5), noise=0.2, edges=(-6.0, 50.0)):
    p = MixtureParameters.from_covariances(
        np.array(weights), np.array(means)[:, None], np.array(variances)[:, None, None]
    )
    return noisy.with_noise(p, noise, Background.box(*(np.array([edge]) for edge in edges)))


def test_the_distribution_function_of_noise_is_a_ramp():
    p = one_feature()
    x = np.array([-np.inf, -10.0, -6.0, 0.0, 12.0, 49.0, 50.0, 60.0, np.inf])
    sd = np.sqrt(p.covariances[:, 0, 0])
    clusters = (p.weights * stats.norm(p.means[:, 0], sd).cdf(x[:, None])).sum(axis=1)
    assert_allclose(cumulative(p, x), 0.8 * clusters + 0.2 * stats.uniform(-6, 56).cdf(x), rtol=1e-12, atol=1e-300)


@given(seed=seeds, share=st.sampled_from([0.0, 1e-6, 0.1, 0.9, 1.0]), width=st.floats(0.1, 100.0))
def test_quantiles_with_noise_invert_the_distribution_function(seed, share, width):
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 4))
    lower = rng.normal(0, 20)
    p = one_feature(
        rng.dirichlet(np.ones(K)), rng.normal(0, 20, K), rng.gamma(1, 1, K) + 1e-3, share, (lower, lower + width)
    )
    q = np.array([1e-9, 1e-4, 0.05, 0.3, 0.5, 0.77, 0.99, 1 - 1e-9])
    x = quantile(p, q)
    assert (np.diff(x) >= 0).all()
    # where the density is nearly zero any x in the gap does: the next numbers are on either side
    below, above = cumulative(p, x - 1e-9 * (1 + np.abs(x))), cumulative(p, x + 1e-9 * (1 + np.abs(x)))
    assert (below <= q + 1e-12).all()
    assert (above >= q - 1e-12).all()


@given(seed=seeds, q=st.floats(1e-6, 1 - 1e-6), tolerance=st.sampled_from([0.0, 1e-6]))
def test_mixtures_that_share_standard_deviations_are_solved_side_by_side(seed, q, tolerance):
    """Against a solver of one equation at a time, in the probability and in the place."""
    rng = np.random.default_rng(seed)
    n, M = 4, 3
    weights = rng.dirichlet(np.ones(n), size=M).T
    means, sds = rng.normal(scale=2.0, size=(n, M)), rng.gamma(2.0, 1.0, size=(n, 1)) + 0.1
    share = rng.random(M)
    found = mixed_quantile(weights * (1 - share), means, sds, q, (share, -3.0, 5.0), tolerance=tolerance)
    for m in range(M):

        def excess(x, m=m):
            clusters = weights[:, m] @ norm.cdf(x, means[:, m], sds[:, 0])
            return (1 - share[m]) * clusters + share[m] * np.clip((x + 3) / 8, 0, 1) - q

        exact = brentq(excess, -200, 200, xtol=1e-13)
        assert_allclose(found[m], exact, rtol=0, atol=1e-9 + 2 * tolerance)
