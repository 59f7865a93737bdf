"""The M-step of "full" is scikit-learn's without its constant."""

import numpy as np
from numpy.testing import assert_allclose
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from bayesgmm.em.families.full import FULL
from tests.support.strategies import random_rows


def hard_and_soft(rng, N=40, D=3, K=3):
    """Rows, responsibilities, and the scatter about the weighted means."""
    X, r = random_rows(rng, N, D), rng.dirichlet(np.ones(K), size=N)
    means = (r.T @ X) / r.sum(axis=0)[:, None]
    residual = X[:, None] - means
    return X, r, np.einsum("nk,nki,nkj->kij", r, residual, residual)


def theirs(X, r, kind):
    return _estimate_gaussian_parameters(X, r, 0.0, kind)[2]


def test_is_scikit_learns_m_step(rng):
    X, r, scatter = hard_and_soft(rng)
    assert_allclose(FULL.pack(FULL.maximise(scatter, r.sum(axis=0))), theirs(X, r, "full"), rtol=1e-9)
