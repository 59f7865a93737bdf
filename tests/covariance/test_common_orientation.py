"""EVE and VVE: the equations of common principal components hold at the answer, and both steps go down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import expm

from bayesgmm.covariance import common_orientation
from bayesgmm.covariance.common_orientation import EVE, VVE
from tests.strategies import random_covariances, seeds

criteria = pytest.mark.parametrize("vve", [True, False], ids=["VVE", "EVE"])


def problem(seed, K, D):
    rng = np.random.default_rng(seed)
    N = rng.uniform(5, 50, size=K)
    return random_covariances(rng, (K,), D) * N[:, None, None], N, np.linalg.qr(rng.normal(size=(D, D)))[0]


@given(K=st.integers(2, 5), D=st.integers(2, 4), seed=seeds)
def test_vve_satisfies_flurys_equations(K, D, seed):
    """Flury (1984): d_i^T (sum_k N_k (v_ki - v_kj) / (v_ki v_kj) W_k / N_k) d_j = 0."""
    W, N, _ = problem(seed, K, D)
    covariances = VVE.maximise(W, N, None)
    axes = np.linalg.eigh(np.tensordot(1 / np.arange(2, K + 2), covariances, 1))[1]
    v = np.einsum("ij,kil,lj->kj", axes, covariances, axes)
    for i in range(D):
        for j in range(i):
            pair = ((v[:, i] - v[:, j]) / (v[:, i] * v[:, j])) @ np.einsum("i,kij,j->k", axes[:, i], W, axes[:, j])
            assert abs(pair) < 1e-6 * N.sum()


@criteria
@given(K=st.integers(1, 4), D=st.integers(2, 4), seed=seeds)
def test_newtons_step_is_the_gradient_over_the_hessian_by_differences(vve, K, D, seed):
    W, N, axes = problem(seed, K, D)
    weights = N if vve else None
    i, j = np.triu_indices(D, 1)

    def value(angles):
        S = np.zeros((D, D))
        S[i, j], S[j, i] = angles, -angles
        return common_orientation._look(W, weights, axes @ expm(S))[0]

    step, basis = 1e-4, np.eye(len(i))
    gradient = np.array([(value(step * e) - value(-step * e)) / (2 * step) for e in basis])
    hessian = np.array(
        [
            [
                sum(a * b * value(step * (a * e + b * f)) for a in (1, -1) for b in (1, -1)) / (4 * step**2)
                for e in basis
            ]
            for f in basis
        ]
    )
    _, F, a = common_orientation._look(W, weights, axes)
    found = common_orientation._newton_step(F, a, weights)
    assert_allclose(found, -found.T)
    # the Hessian with its eigenvalues made positive gives the gradient back, unless the step was cut
    values, vectors = np.linalg.eigh(hessian)
    whole = -vectors @ ((gradient @ vectors) / np.abs(values))
    cut = min(1.0, 0.5 / np.abs(whole).max())
    assert_allclose(found[i, j], whole * cut, rtol=1e-3, atol=1e-4)


@criteria
@given(K=st.integers(1, 4), D=st.integers(2, 5), seed=seeds)
def test_the_majorised_step_goes_down_from_anywhere(vve, K, D, seed):
    W, N, axes = problem(seed, K, D)
    weights = N if vve else None
    value, F, a = common_orientation._look(W, weights, axes)
    lower = common_orientation._majorised(W, F, a, weights, axes)
    assert_allclose(lower.T @ lower, np.eye(D), atol=1e-12)
    assert common_orientation._look(W, weights, lower)[0] <= value + 1e-12 * abs(value)


@pytest.mark.parametrize("family", [EVE, VVE], ids=lambda f: f.name)
def test_a_common_orientation_in_the_data_is_found(family, rng):
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    N = np.array([10.0, 20.0, 30.0])
    variances = rng.uniform(0.2, 5, size=(3, 4))
    variances /= np.exp(np.log(variances).mean(axis=1, keepdims=True))  # of volume one, as EVE wants
    truth = np.einsum("ij,kj,lj->kil", axes, variances, axes)
    assert_allclose(family.maximise(truth * N[:, None, None], N, None), truth, rtol=1e-8, atol=1e-8)
