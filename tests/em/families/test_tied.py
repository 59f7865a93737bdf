"""The M-step of "tied" is scikit-learn's without its constant."""

from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.em.families.tied import TIED
from tests.em.families.test_full import hard_and_soft, theirs


def test_is_scikit_learns_m_step(rng):
    X, r, scatter = hard_and_soft(rng)
    assert_allclose(TIED.pack(TIED.maximise(scatter, r.sum(axis=0))), theirs(X, r, "tied"), rtol=1e-9)


def test_every_component_has_the_same_covariance(rng):
    _, r, scatter = hard_and_soft(rng)
    covariances = TIED.maximise(scatter, r.sum(axis=0))
    assert_array_equal(covariances, covariances[:1].repeat(3, axis=0))
