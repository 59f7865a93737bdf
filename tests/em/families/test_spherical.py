"""The M-step of "spherical" is scikit-learn's without its constant."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.em.families.spherical import EII, SPHERICAL
from tests.em.families.test_full import hard_and_soft, theirs


def test_is_scikit_learns_m_step(rng):
    X, r, scatter = hard_and_soft(rng)
    covariances = SPHERICAL.maximise(np.diagonal(scatter, axis1=1, axis2=2), r.sum(axis=0))
    assert_allclose(SPHERICAL.pack(covariances), theirs(X, r, "spherical"), rtol=1e-8)


def test_every_direction_has_the_same_variance(rng):
    _, r, scatter = hard_and_soft(rng)
    for matrix in SPHERICAL.maximise(np.diagonal(scatter, axis1=1, axis2=2), r.sum(axis=0)):
        assert_array_equal(matrix, matrix[0, 0] * np.eye(3))


def test_one_variance_for_all_is_the_mean_square_of_every_entry(rng):
    X, r, scatter = hard_and_soft(rng)
    found = EII.maximise(np.diagonal(scatter, axis1=1, axis2=2), r.sum(axis=0))
    means = (r.T @ X) / r.sum(axis=0)[:, None]
    expected = np.einsum("nk,nkd->", r, (X[:, None] - means) ** 2) / X.size
    assert_allclose(found, expected * np.eye(3)[None].repeat(3, axis=0))
