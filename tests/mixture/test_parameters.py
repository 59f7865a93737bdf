"""A mixture's parameters: checked once, factorised right, and alike with or without leading batch dimensions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

from bayesgmm.mixture.parameters import MixtureParameters, ParameterError, inverse_cholesky
from tests.support.oracle import log_density
from tests.support.strategies import mixtures, random_mixture, seeds

FIELDS = ("weights", "means", "covariances", "precision_cholesky")


@given(parameters=mixtures(batch=(2, 3)))
def test_the_factor_is_upper_triangular_and_its_square_is_the_precision(parameters):
    U = parameters.precision_cholesky
    assert_array_equal(np.tril(U, -1), 0)
    assert (np.diagonal(U, axis1=-2, axis2=-1) > 0).all()
    identity = np.broadcast_to(np.eye(parameters.n_features), U.shape)
    assert_allclose(np.swapaxes(U, -1, -2) @ parameters.covariances @ U, identity, atol=1e-9)
    assert_allclose(
        parameters.log_det_precision_cholesky, -0.5 * np.linalg.slogdet(parameters.covariances)[1], atol=1e-9
    )


@given(parameters=mixtures())
def test_the_factor_is_scikit_learns(parameters):
    theirs = _compute_precision_cholesky(parameters.covariances, "full")
    assert_allclose(parameters.precision_cholesky, theirs, rtol=1e-9, atol=1e-12)


@given(parameters=mixtures(), seed=seeds, scale=st.floats(1e-3, 1e3))
def test_an_affine_map_moves_the_density_by_its_jacobian(parameters, seed, scale):
    rng = np.random.default_rng(seed)
    D = parameters.n_features
    shift, X = rng.normal(size=D), rng.normal(scale=3, size=(5, D))
    moved = parameters.affine(shift, scale)
    assert_allclose(
        log_density((X - shift) / scale, moved), log_density(X, parameters) + D * np.log(scale), rtol=1e-8, atol=1e-8
    )
    expected = inverse_cholesky(moved.covariances)
    assert_allclose(moved.precision_cholesky, expected, rtol=1e-8, atol=1e-9 / scale)


@given(parameters=mixtures(batch=(4,)), seed=seeds)
def test_permuting_components_changes_no_density(parameters, seed):
    rng = np.random.default_rng(seed)
    orders = np.stack([rng.permutation(parameters.n_components) for _ in range(4)])
    X = rng.normal(size=(3, parameters.n_features))
    permuted = parameters.permute(orders)
    for s in range(4):
        assert_allclose(log_density(X, permuted[s]), log_density(X, parameters[s]), rtol=1e-12, atol=1e-12)
        assert_array_equal(permuted.means[s], parameters.means[s][orders[s]])
    back = permuted.permute(np.argsort(orders, axis=-1))
    for field in FIELDS:
        assert_array_equal(getattr(back, field), getattr(parameters, field))


def test_a_marginal_is_the_mixture_of_the_chosen_features(rng):
    parameters = random_mixture(rng, 3, 4, batch=(2,))
    chosen = parameters.marginal([2, 0])
    assert_array_equal(chosen.means, parameters.means[..., [2, 0]])
    assert_array_equal(chosen.covariances[..., 0, 1], parameters.covariances[..., 2, 0])
    one = parameters[1]
    direct = MixtureParameters.from_covariances(
        one.weights, one.means[:, [2, 0]], one.covariances[:, [2, 0]][:, :, [2, 0]]
    )
    X = rng.normal(size=(4, 2))
    assert_allclose(log_density(X, chosen[1]), log_density(X, direct), rtol=1e-12)


def test_batches_have_shapes_flatten_and_index(rng):
    batch = random_mixture(rng, 3, 2, batch=(4, 5))
    assert (batch.batch_shape, batch.n_components, batch.n_features) == ((4, 5), 3, 2)
    flat = batch.flat()
    assert flat.batch_shape == (20,)
    for field in FIELDS:
        assert_array_equal(getattr(flat[7], field), getattr(batch[1][2], field))
    assert batch[1:3].batch_shape == (2, 5)
    single = random_mixture(rng, 3, 2)
    assert single.batch_shape == () and single.flat().batch_shape == (1,)
    with pytest.raises(IndexError, match="no batch dimension"):
        single[0]


def test_weights_that_nearly_sum_to_one_are_made_to():
    parameters = MixtureParameters.from_covariances([1 / 3 + 1e-9, 2 / 3], [[0.0], [1.0]], np.ones((2, 1, 1)))
    assert abs(parameters.weights.sum() - 1.0) <= 2 * np.finfo(float).eps


def test_an_empty_component_has_log_weight_minus_infinity():
    parameters = MixtureParameters.from_covariances([1.0, 0.0], [[0.0], [1.0]], np.ones((2, 1, 1)))
    assert_array_equal(parameters.log_weights, [0.0, -np.inf])


W, M, S = np.array([0.5, 0.5]), np.zeros((2, 2)), np.stack([np.eye(2)] * 2)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


REFUSED = {
    "weights that sum to more": ([0.5, 0.6], M, S, "`weights` must be non-negative and sum to one"),
    "a negative weight": ([1.5, -0.5], M, S, "`weights` must be non-negative"),
    "a NaN weight": ([0.5, np.nan], M, S, "`weights`"),
    "another number of weights": ([1.0], M, S, r"must agree, received shapes \(1,\), \(2, 2\), \(2, 2, 2\)"),
    "variances for matrices": (W, M, np.ones((2, 2)), "must agree"),
    "means of one component": (W, np.zeros(2), S, "must agree"),
    "an infinite mean": (W, changed(M, (1, 0), np.inf), S, "`means` must be finite"),
    "a NaN covariance": (W, M, changed(S, (1, 0, 1), np.nan), "`covariances` must be finite"),
    "an asymmetric matrix": (W, M, changed(S, (1, 0, 1), 0.1), "`covariances` must be symmetric"),
    "a singular matrix": (W, M, changed(S, 1, 1.0), "covariance of component 1 is not positive definite"),
    "a negative variance": (W, M, changed(S, (0, 1, 1), -1.0), "covariance of component 0 is not positive"),
    "zero variance in one feature": (W, M[:, :1], np.array([[[1.0]], [[0.0]]]), "covariance of component 1 is not"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
def test_parameters_that_are_no_mixture_are_refused_whatever_the_unit(kind, unit):
    weights, means, covariances, message = REFUSED[kind]
    with pytest.raises(ParameterError, match=message):
        MixtureParameters.from_covariances(weights, np.multiply(means, unit), np.multiply(covariances, unit**2))


@pytest.mark.parametrize("D", [1, 2])
def test_the_mixture_of_a_batch_is_named(D):
    covariances = np.broadcast_to(np.eye(D), (2, 3, 2, D, D)).copy()
    covariances[1, 2, 1] = 0.0
    with pytest.raises(ParameterError, match=r"component 1 \(mixture \(1, 2\)\)"):
        inverse_cholesky(covariances)
