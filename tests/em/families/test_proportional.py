"""The equations of Celeux & Govaert (1995) for proportional covariances hold at what is found."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.em.families.proportional import proportional_matrices, proportional_variances
from tests.support.strategies import random_covariances, seeds


def problem(seed, K, D):
    rng = np.random.default_rng(seed)
    N = rng.uniform(5, 50, size=K)
    return random_covariances(rng, (K,), D) * N[:, None, None], N


@given(K=st.integers(1, 6), D=st.integers(1, 6), seed=seeds)
def test_variances_are_a_fixed_point_of_the_alternating_equations(K, D, seed):
    W, N = problem(seed, K, D)
    s = np.diagonal(W, axis1=1, axis2=2)
    variances = proportional_variances(s, N)
    volumes = np.exp(np.log(variances).mean(axis=1))
    shape = variances / volumes[:, None]
    assert_allclose(shape, shape[:1].repeat(K, axis=0), rtol=1e-12)
    assert_allclose((s / shape).mean(axis=1) / N, volumes, rtol=1e-11)
    again = (s / volumes[:, None]).sum(axis=0)
    assert_allclose(again / np.exp(np.log(again).mean()), shape[0], rtol=1e-10)


@given(K=st.integers(1, 6), D=st.integers(1, 6), seed=seeds)
def test_matrices_are_a_fixed_point_of_the_alternating_equations(K, D, seed):
    W, N = problem(seed, K, D)
    covariances = proportional_matrices(W, N)
    volumes = np.linalg.det(covariances) ** (1 / D)
    shape = covariances[0] / volumes[0]
    assert_allclose(covariances, volumes[:, None, None] * shape, rtol=1e-11, atol=1e-12 * covariances.max())
    assert_allclose(np.trace(np.linalg.solve(shape, W), axis1=1, axis2=2) / (D * N), volumes, rtol=1e-10)
    again = np.tensordot(1 / volumes, W, 1)
    again /= np.linalg.det(again) ** (1 / D)
    assert_allclose(again, shape, rtol=1e-9, atol=1e-9 * np.abs(shape).max())


def test_diagonal_matrices_are_the_variances(rng):
    s, N = rng.uniform(1, 9, size=(5, 3)), rng.uniform(5, 50, size=5)
    matrices = proportional_matrices(s[:, :, None] * np.eye(3), N)
    assert_allclose(matrices, proportional_variances(s, N)[:, :, None] * np.eye(3), rtol=1e-10, atol=1e-14)


def test_a_component_without_scatter_has_no_volume_and_no_say(rng):
    W, N = problem(1, 4, 3)
    W[2] = 0.0
    rest = [0, 1, 3]
    for found, alone in (
        (proportional_matrices(W, N), proportional_matrices(W[rest], N[rest])),
        (
            proportional_variances(np.diagonal(W, axis1=1, axis2=2), N),
            proportional_variances(np.diagonal(W[rest], axis1=1, axis2=2), N[rest]),
        ),
    ):
        assert_array_equal(found[2], 0.0)
        assert_allclose(found[rest], alone, rtol=1e-10)


def test_far_starts_and_far_volumes_lead_to_the_same_answer():
    """Where Newton's step overshoots, the alternating one takes over."""
    W, N = problem(3, 5, 4)
    W *= 10.0 ** np.arange(-8, 12, 4)[:, None, None]
    far = np.diag(10.0 ** np.arange(-6, 6, 3))
    # volumes are relative to each component's own size
    size = np.trace(W, axis1=1, axis2=2)[:, None, None]
    assert_allclose(proportional_matrices(W, N, far) / size, proportional_matrices(W, N) / size, rtol=1e-7, atol=1e-12)
    s = np.diagonal(W, axis1=1, axis2=2)
    assert_allclose(proportional_variances(s, N, np.diagonal(far)), proportional_variances(s, N), rtol=1e-9)
