"""The forms with fewer features say what the full kernel says, of all that their families ask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bayesgmm.data.observations import as_observations
from bayesgmm.kernel.forms import CommonForm
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.strategies import random_covariances, random_rows, seeds

RTOL = 1e-9


def problem(seed, K, D, weighted, covariances):
    rng = np.random.default_rng(seed)
    X = random_rows(rng, 150, D)
    weights = rng.integers(1, 4, size=150).astype(float) if weighted else None
    mixture = MixtureParameters.from_covariances(
        rng.dirichlet(np.full(K, 2.0)), rng.normal(size=(K, D)), covariances(rng, K, D)
    )
    return as_observations(X, weights=weights), mixture


def shared(rng, K, D):
    return np.repeat(random_covariances(rng, (1,), D), K, axis=0)


def shared_axes(rng, K, D):
    return np.repeat(random_covariances(rng, (1,), D, diagonal=True), K, axis=0)


def balls(rng, K, D):
    return rng.uniform(0.5, 2.0, size=(K, 1, 1)) * np.eye(D)


cases = given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 4), weighted=st.booleans())


@pytest.mark.parametrize(
    ("each", "pooled"), [(Moments.FULL, Moments.POOLED), (Moments.DIAGONAL, Moments.POOLED_DIAGONAL)]
)
@cases
def test_common_covariances_need_no_products_of_features(each, pooled, seed, K, D, weighted):
    observations, mixture = problem(seed, K, D, weighted, shared_axes if each.diagonal else shared)
    whole = expected_statistics(observations, mixture, each)
    short = expected_statistics(observations, mixture, pooled)
    assert_allclose(short.log_likelihood, whole.log_likelihood, rtol=RTOL)
    assert_allclose(short.N, whole.N, rtol=RTOL)
    assert_allclose(short.S1, whole.S1, rtol=RTOL, atol=1e-9)
    assert_allclose(short.S2.sum(axis=0), whole.S2.sum(axis=0), rtol=RTOL, atol=1e-9)
    pooled = whole.scatter(whole.S1 / whole.N[:, None]).sum(axis=0)
    assert_allclose(short.scatter(short.S1 / short.N[:, None]).sum(axis=0), pooled, rtol=1e-7, atol=1e-8)


@cases
def test_balls_need_the_squared_length_only(seed, K, D, weighted):
    observations, mixture = problem(seed, K, D, weighted, balls)
    whole = expected_statistics(observations, mixture, Moments.DIAGONAL)
    short = expected_statistics(observations, mixture, Moments.TRACE)
    assert_allclose(short.log_likelihood, whole.log_likelihood, rtol=RTOL)
    for name in ("N", "S1"):
        assert_allclose(getattr(short, name), getattr(whole, name), rtol=RTOL, atol=1e-9)
    assert_allclose(short.S2.sum(axis=1), whole.S2.sum(axis=1), rtol=RTOL)


def test_what_is_not_common_or_round_is_not_taken_for_it():
    """A start may lie outside the family; the shorter forms would be wrong there."""
    rng = np.random.default_rng(0)
    observations, mixture = problem(0, 3, 2, False, lambda rng, K, D: random_covariances(rng, (K,), D))
    whole = expected_statistics(observations, mixture)
    asked = expected_statistics(observations, mixture, Moments.POOLED)
    assert_allclose(asked.S2, whole.S2, rtol=1e-12)
    for moments in (Moments.DIAGONAL, Moments.TRACE, Moments.POOLED_DIAGONAL, Moments.POOLED_TRACE):
        found = expected_statistics(observations, mixture, moments)
        assert_allclose(found.log_likelihood, whole.log_likelihood, rtol=1e-12)
        assert_allclose(found.S2, np.diagonal(whole.S2, axis1=1, axis2=2), rtol=1e-12)
    oval = MixtureParameters.from_covariances(
        mixture.weights, mixture.means, random_covariances(rng, (3,), 2, diagonal=True)
    )
    whole = expected_statistics(observations, oval, Moments.DIAGONAL)
    for moments in (Moments.TRACE, Moments.POOLED_DIAGONAL, Moments.POOLED_TRACE):
        assert_allclose(expected_statistics(observations, oval, moments).S2, whole.S2, rtol=1e-12)


def test_rows_that_weigh_nothing_say_nothing_of_shared_covariances():
    """Such rows may be all that see some of the features."""
    X = np.array([[0.0, 1.0], [2.0, -1.0], [np.nan, 5.0], [np.nan, 6.0]])
    observations = as_observations(X, weights=np.array([1.0, 2.0, 0.0, 0.0]))
    mixture = MixtureParameters.from_covariances(
        [0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], shared(np.random.default_rng(0), 2, 2)
    )
    whole, pooled = (expected_statistics(observations, mixture, asked) for asked in (Moments.FULL, Moments.POOLED))
    assert_allclose(pooled.S2.sum(axis=0), whole.S2.sum(axis=0), rtol=1e-12)


def test_the_common_form_has_one_row_of_features_for_each_column_and_one_more():
    parameters = MixtureParameters.from_covariances(np.ones(1), np.zeros((1, 10)), np.eye(10)[None])
    form = CommonForm(parameters, np.eye(10), 1.0)
    assert len(form.workspace(1)) == 1 + 10 + 1
