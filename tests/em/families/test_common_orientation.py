"""EVE and VVE: the equations of common principal components hold at the answer, and both steps go down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import expm

from bayesgmm.em.families import common_orientation
from bayesgmm.em.families.common_orientation import EVE, VVE
from tests.support.strategies import random_covariances, seeds

criteria = pytest.mark.parametrize("vve", [True, False], ids=["VVE", "EVE"])


def problem(seed, K, D):
    rng = np.random.default_rng(seed)
    N = rng.uniform(5, 50, size=K)
    return random_covariances(rng, (K,), D) * N[:, None, None], N, np.linalg.qr(rng.normal(size=(D, D)))[0]


def slopes(covariances, W, weights):
    """Flury (1984): d_i^T (sum_k weight_k (v_ki - v_kj) / (v_ki v_kj) W_k) d_j = 0 in every plane (i, j)."""
    axes = np.linalg.eigh(np.tensordot(1 / np.arange(2, len(W) + 2), covariances, 1))[1]
    v = np.einsum("ij,kil,lj->kj", axes, covariances, axes)
    contrast = (v[:, :, None] - v[:, None, :]) / (v[:, :, None] * v[:, None, :])
    return (weights[:, None, None] * contrast * (axes.T @ W @ axes)).sum(axis=0)


@given(K=st.integers(2, 5), D=st.integers(2, 4), seed=seeds)
def test_vve_satisfies_flurys_equations(K, D, seed):
    W, N, _ = problem(seed, K, D)
    found = VVE.maximise(W, N, VVE.maximise(W, N, None))
    assert np.abs(slopes(found, W, np.ones(K))).max() < 1e-6 * N.sum()


@pytest.mark.parametrize("D", [9, 20, 50])
@pytest.mark.parametrize("family", [EVE, VVE], ids=lambda f: f.name)
def test_so_do_both_in_many_features(family, D):
    """A component's part in EVE's equations is its volume's over lambda: one, because lambda is common."""
    W, N, _ = problem(D, 3, D)
    start = family.maximise(W, N, None)
    found = family.maximise(W, N, start)
    assert np.abs(slopes(start, W, np.ones(3))).max() > 1e-2 * N.sum()
    assert np.abs(slopes(found, W, np.ones(3))).max() < 1e-6 * N.sum()
    # the last step leaves its square, times a ratio of third to second derivatives, here taken to be below ten; axes
    # that turn by so much change a covariance by twice that part of its largest variance
    left = 2 * 10 * common_orientation.SMALL_STEP**2
    assert_allclose(family.maximise(W, N, found), found, rtol=0, atol=left * np.abs(found).max())


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
@given(K=st.integers(1, 4), D=st.integers(2, 7), seed=seeds)
def test_conjugate_gradients_give_newtons_step(vve, K, D, seed):
    """Near a minimum, where the second derivatives are positive: almost all of the way down that the exact step has.

    Both minimise one quadratic, whose least value is half of the gradient times its minimiser.
    """
    W, N, axes = problem(seed, K, D)
    weights = N if vve else None
    axes = common_orientation._descend(W, weights, axes)[0]
    turn = 1e-3 * np.random.default_rng(seed).normal(size=(D, D))
    _, F, a = common_orientation._look(W, weights, axes @ expm(turn - turn.T))
    exact = common_orientation._newton_step(F, a, weights)
    found = common_orientation._conjugate_step(F, a, weights)
    assert_allclose(found, -found.T, atol=1e-15)
    c = weights if vve else np.exp(np.log(a).mean(axis=1)) / D
    gradient = np.einsum("k,kij,kj->ij", c, F, 1 / a)
    gradient -= gradient.T
    assert 0.95 <= (gradient * found).sum() / (gradient * exact).sum() <= 1 + 1e-6


@criteria
@given(K=st.integers(1, 4), D=st.integers(9, 12), seed=seeds)
def test_conjugate_gradients_go_down_from_anywhere(vve, K, D, seed):
    W, N, axes = problem(seed, K, D)
    weights = N if vve else None
    value, F, a = common_orientation._look(W, weights, axes)
    step = common_orientation._conjugate_step(F, a, weights)
    assert common_orientation._look(W, weights, axes @ expm(1e-4 * step))[0] < value or np.abs(step).max() < 1e-9


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
    found = family.maximise(truth * N[:, None, None], N, None)
    assert_allclose(family.maximise(truth * N[:, None, None], N, found), truth, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("family", [EVE, VVE], ids=lambda f: f.name)
def test_without_a_place_to_begin_the_axes_are_those_of_the_pooled_scatter(family, rng):
    W, N, _ = problem(3, 3, 4)
    axes = np.linalg.eigh(W.sum(axis=0))[1]
    turned = axes.T @ family.maximise(W, N, None) @ axes
    assert_allclose(turned * (1 - np.eye(4)), 0, atol=1e-12 * np.abs(turned).max())
    if family is VVE:
        assert_allclose(
            np.diagonal(turned, axis1=1, axis2=2) * N[:, None], np.diagonal(axes.T @ W @ axes, axis1=1, axis2=2)
        )
