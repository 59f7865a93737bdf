"""Log-sum-exp and responsibilities against SciPy, where numbers are extreme too."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_allclose
from scipy.special import logsumexp, softmax

from bayesgmm.kernel.responsibilities import normalise

logs = arrays(np.float64, array_shapes(min_dims=2, max_dims=4), elements=st.floats(-1e6, 1e3))


@given(log_joint=logs)
def test_is_logsumexp_and_softmax_over_components(log_joint):
    responsibilities = log_joint.copy()
    log_density = normalise(responsibilities)
    assert_allclose(log_density, logsumexp(log_joint, axis=-2), rtol=1e-14, atol=1e-14)
    assert_allclose(responsibilities, softmax(log_joint, axis=-2), rtol=1e-9, atol=1e-300)
    assert_allclose(responsibilities.sum(axis=-2), 1.0, rtol=1e-14)


@given(log_joint=logs, offset=st.floats(-1e3, 1e3))
def test_a_constant_moves_the_density_and_no_responsibility(log_joint, offset):
    plain, moved = log_joint.copy(), log_joint + offset
    assert_allclose(normalise(moved), normalise(plain) + offset, rtol=1e-12, atol=1e-9)
    assert_allclose(moved, plain, atol=1e-9)


def test_a_component_that_cannot_reach_a_row_takes_nothing():
    log_joint = np.array([[-1e308, -np.inf], [-1.0, -3.0]])
    assert_allclose(normalise(log_joint), [-1.0, -3.0])
    assert_allclose(log_joint, [[0.0, 0.0], [1.0, 1.0]])


def test_a_row_that_no_component_reaches_has_density_zero():
    log_joint = np.full((2, 1), -np.inf)
    with np.errstate(invalid="ignore"):
        assert normalise(log_joint)[0] == -np.inf
    assert np.isnan(log_joint).all()
