"""The residual form keeps its digits however far a component is from the shift; its contract is in test_natural."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bayesgmm.kernel.forms import NaturalForm, ResidualForm
from bayesgmm.mixture.parameters import MixtureParameters
from tests.kernel.test_natural import log_joint, statistics
from tests.support import oracle
from tests.support.strategies import random_covariances, seeds


def far_problem(rng, rho, D):
    """A component whose mean is rho of its own standard deviations away, and rows of its own."""
    covariance = random_covariances(rng, (1,), D)
    L = np.linalg.cholesky(covariance[0])
    direction = rng.normal(size=D)
    mean = L @ (rho * direction / np.linalg.norm(direction))
    return MixtureParameters.from_covariances(np.ones(1), mean[None], covariance), mean + rng.normal(size=(50, D)) @ L.T


@given(seed=seeds, exponent=st.floats(0, 8), D=st.integers(1, 4))
def test_no_digits_are_lost_up_to_1e8_standard_deviations(seed, exponent, D):
    parameters, Y = far_problem(np.random.default_rng(seed), 10**exponent, D)
    # y - mu is exact (Sterbenz), so SciPy, which works on residuals too, is right here
    assert_allclose(log_joint(ResidualForm, parameters, Y), oracle.log_joint(Y, parameters).T, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rho", [1e6, 1e8])
def test_the_natural_form_would_lose_them(rho, rng):
    """Why there are two forms: eps rho^2 is 2e-4 at 1e6 (and some terms add)."""
    parameters, Y = far_problem(rng, rho, 2)
    lost = np.abs(log_joint(NaturalForm, parameters, Y) - oracle.log_joint(Y, parameters).T).max()
    assert lost > 1e-5


def test_statistics_of_a_far_component_are_its_rows(rng):
    parameters, Y = far_problem(rng, 1e8, 3)
    log_likelihood, N, S1, _ = statistics(ResidualForm, parameters, Y)
    assert_allclose(log_likelihood, oracle.log_density(Y, parameters).sum(), rtol=1e-12)
    assert_allclose(N, [50.0], rtol=1e-14)
    assert_allclose(S1[0], Y.sum(axis=0), rtol=1e-13)


def test_a_row_out_of_every_reach_is_impossible_not_an_error(rng):
    parameters, _ = far_problem(rng, 1.0, 2)
    found = log_joint(ResidualForm, parameters, np.array([[1e200, 0.0], [0.0, 0.0]]))
    assert found[0, 0] == -np.inf
    assert np.isfinite(found[0, 1])
