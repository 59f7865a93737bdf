"""Conditioning, against the joint density and the textbook formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.features import given_values, positions
from bayesgmm.mixture.noise import BackgroundError
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError
from tests.support import noisy

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
