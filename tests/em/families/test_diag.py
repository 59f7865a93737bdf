"""The M-step of "diag" is scikit-learn's without its constant."""

import numpy as np
from numpy.testing import assert_allclose

from bayesgmm.em.families.diag import DIAG
from tests.em.families.test_full import hard_and_soft, theirs


def test_is_scikit_learns_m_step(rng):
    X, r, scatter = hard_and_soft(rng)
    covariances = DIAG.maximise(np.diagonal(scatter, axis1=1, axis2=2), r.sum(axis=0))
    assert_allclose(DIAG.pack(covariances), theirs(X, r, "diag"), rtol=1e-8)


def test_features_are_uncorrelated(rng):
    _, r, scatter = hard_and_soft(rng)
    covariances = DIAG.maximise(np.diagonal(scatter, axis1=1, axis2=2), r.sum(axis=0))
    assert np.count_nonzero(covariances) == 3 * 3
