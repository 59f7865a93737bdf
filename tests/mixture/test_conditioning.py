"""Conditioning and quantiles, against the joint density, integrals and the textbook formulas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from bayesgmm.mixture.conditioning import condition, cumulative, quantile
from bayesgmm.mixture.features import given_values, positions
from bayesgmm.mixture.noise import Background, BackgroundError
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError
from tests.support import noisy
from tests.support.strategies import seeds

NAMES = ("height", "width", "mass")


def random_mixture(rng, K, D, batch=()):
    weights = rng.dirichlet(np.ones(K), size=batch)
    means = 3 * rng.standard_normal((*batch, K, D))
    A = rng.standard_normal((*batch, K, D, D + 2))
    return MixtureParameters.from_covariances(weights, means, A @ np.swapaxes(A, -1, -2) / D)


def density(parameters, x):
    return sum(
        w * multivariate_normal(m, S).pdf(x)
        for w, m, S in zip(parameters.weights, parameters.means, parameters.covariances, strict=True)
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 5), st.data())
def test_marginal_times_conditional_is_the_joint_density(seed, K, D, data):
    rng = np.random.default_rng(seed)
    parameters = random_mixture(rng, K, D)
    b = data.draw(st.lists(st.integers(0, D - 1), min_size=1, max_size=D - 1, unique=True))
    a = [j for j in range(D) if j not in b]
    x = 3 * rng.standard_normal(D)
    recombined = density(parameters.marginal(b), x[b]) * density(condition(parameters, b, x[b]), x[a])
    np.testing.assert_allclose(recombined, density(parameters, x), rtol=1e-8)


def test_moments_are_those_of_the_textbook(rng):
    """Bishop (2006), equations 2.81 and 2.82, written as they stand."""
    parameters = random_mixture(rng, 3, 4)
    a, b, x_b = [1, 3], [2, 0], np.array([0.3, -1.2])
    conditional = condition(parameters, b, x_b)
    for k, (mu, Sigma) in enumerate(zip(parameters.means, parameters.covariances, strict=True)):
        gain = Sigma[np.ix_(a, b)] @ np.linalg.inv(Sigma[np.ix_(b, b)])
        np.testing.assert_allclose(conditional.means[k], mu[a] + gain @ (x_b - mu[b]), rtol=1e-10)
        schur = Sigma[np.ix_(a, a)] - gain @ Sigma[np.ix_(b, a)]
        np.testing.assert_allclose(conditional.covariances[k], schur, rtol=1e-9, atol=1e-12)


def test_each_of_a_batch_is_conditioned_alone(rng):
    many = random_mixture(rng, 3, 4, batch=(2, 5))
    x_b = np.array([0.5, -0.5])
    together = condition(many, [3, 1], x_b)
    assert together.batch_shape == (2, 5)
    alone = condition(many[1][4], [3, 1], x_b)
    np.testing.assert_allclose(together.weights[1, 4], alone.weights, rtol=1e-12)
    np.testing.assert_allclose(together.means[1, 4], alone.means, rtol=1e-12)
    np.testing.assert_allclose(together.covariances[1, 4], alone.covariances, rtol=1e-12)


def test_a_value_far_from_every_component_still_decides_between_them():
    """Both densities underflow; their ratio does not."""
    parameters = MixtureParameters.from_covariances(
        np.array([0.5, 0.5]), np.array([[0.0, -1.0], [1.0, 1.0]]), np.stack([np.eye(2), np.eye(2)])
    )
    np.testing.assert_array_equal(condition(parameters, [0], np.array([1e5])).weights, [0.0, 1.0])
    np.testing.assert_array_equal(condition(parameters, [0], np.array([-1e5])).weights, [1.0, 0.0])
    with pytest.raises(ParameterError, match=r"\[1e\+200\] are so far from every component"):
        condition(parameters, [0], np.array([1e200]))


def test_nearly_singular_covariances_stay_positive_definite():
    covariance = np.array([[1.0, 1.0 - 1e-13], [1.0 - 1e-13, 1.0]])
    parameters = MixtureParameters.from_covariances(np.ones(1), np.zeros((1, 2)), covariance[None])
    conditional = condition(parameters, [0], np.array([2.0]))
    np.testing.assert_allclose(conditional.covariances, [[[2e-13]]], rtol=1e-2)


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


def test_features_go_by_name_or_position():
    assert positions(NAMES, ["mass", 0]) == [2, 0]
    assert positions(NAMES, [np.int64(1)]) == [1]
    given, values = given_values(NAMES, {"mass": 2, 0: np.float32(0.5)})
    assert given == [2, 0] and values.tolist() == [2.0, 0.5]


@pytest.mark.parametrize("wrong", ["weight", 3, -1, True, 1.0, None])
def test_an_unknown_feature_is_named_with_those_there_are(wrong):
    with pytest.raises(ValueError, match=f"no feature {wrong!r}: give names .height, width, mass. or positions 0 to 2"):
        positions(NAMES, [wrong])


@pytest.mark.parametrize(
    "values, message",
    [
        ({}, "at least one feature"),
        ({"mass": 1, 2: 1}, "none twice"),
        ({"height": 1, "width": 1, "mass": 1}, "every feature is given"),
        ({"mass": float("nan")}, "value of 'mass' must be a finite number; received nan"),
        ({"mass": float("inf")}, "finite number; received inf"),
        ({"mass": "heavy"}, "finite number; received 'heavy'"),
        ({"mass": [1, 2]}, "finite number"),
        ([("mass", 1)], "must be a dict"),
    ],
)
def test_values_that_cannot_be_given_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        given_values(NAMES, values)


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


def test_a_mixture_with_noise_given_a_feature_is_joint_over_marginal():
    _, _, draws, _X = noisy.noisy_posterior()
    draws = draws[::6]
    box = draws.noise.background
    for waiting in (70.0, 111.0, float(box.upper[1]) + 1.0):
        given = condition(draws, [1], np.array([waiting]))
        points = np.linspace(0.5, 7.0, 40)
        joint = noisy.over_draws(noisy.density, np.column_stack([points, np.full(40, waiting)]), draws)
        evidence = noisy.over_draws(noisy.density, np.array([[waiting]]), draws.marginal([1]))
        assert_allclose(noisy.over_draws(noisy.density, points[:, None], given), joint / evidence, rtol=1e-9)
        assert_allclose(given.weights.sum(axis=-1), 1.0, rtol=1e-12)
    assert_array_equal(given.noise.weight, 0.0)
    assert_array_equal(given.noise.background.lower, box.lower[:1])


def test_noise_in_a_hull_has_no_conditional():
    fit, _, _, _ = noisy.noisy_posterior(hull=True, draws=10)
    with pytest.raises(BackgroundError, match="hull are not independent"):
        condition(fit.parameters_, [1], np.array([70.0]))
