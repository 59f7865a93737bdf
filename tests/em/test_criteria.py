"""Criteria are their formulas, written out with SciPy's densities."""

import numpy as np
from hypothesis import given
from numpy.testing import assert_allclose
from scipy.stats import entropy

from bayesgmm.data.observations import as_observations
from bayesgmm.em.criteria import criteria
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support import oracle
from tests.support.strategies import problems


@given(problem=problems(max_rows=60))
def test_are_the_textbook_formulas(problem):
    observations, parameters = problem
    weights = np.ones(observations.n_rows) if observations.weights is None else observations.weights
    n, p = weights.sum(), 7
    log_likelihood = weights @ oracle.log_density(observations.values, parameters)
    r = oracle.memberships(observations.values, parameters)
    bic = p * np.log(n) - 2 * log_likelihood
    found = criteria(observations, parameters, p)
    tolerance = {"rtol": 1e-9, "atol": 1e-7}
    assert_allclose(found.log_likelihood, log_likelihood, **tolerance)
    assert_allclose(found.bic, bic, **tolerance)
    assert_allclose(found.aic, 2 * p - 2 * log_likelihood, **tolerance)
    assert_allclose(found.icl, bic - 2 * weights @ np.log(r.max(axis=1)), **tolerance)
    assert_allclose(found.entropy, weights @ entropy(r, axis=1), **tolerance)
    assert found.icl >= found.bic and found.entropy >= 0


@given(problem=problems(weighted=True))
def test_an_integer_weight_is_that_many_rows(problem):
    weighted = problem.observations
    repeated = weighted.unweighted().take(np.repeat(np.arange(weighted.n_rows), weighted.weights.astype(int)))
    found, expected = (criteria(o, problem.parameters, 5) for o in (weighted, repeated))
    assert_allclose(found, expected, rtol=1e-9, atol=1e-8)


def test_a_certain_allocation_has_no_entropy_and_icl_is_bic(rng):
    X = np.concatenate([rng.normal(size=(30, 1)), rng.normal(size=(30, 1)) + 1000])
    found = GaussianMixture(2, random_state=0).fit(X).criteria(X)
    assert found.entropy == 0.0
    assert found.icl == found.bic


def test_a_component_without_weight_changes_nothing(rng):
    X = as_observations(rng.normal(size=(60, 2)))
    one = MixtureParameters.from_covariances([1.0], np.zeros((1, 2)), np.eye(2)[None])
    two = MixtureParameters.from_covariances([1.0, 0.0], np.zeros((2, 2)), np.stack([np.eye(2)] * 2))
    assert_allclose(criteria(X, two, 5), criteria(X, one, 5), rtol=1e-12, atol=1e-12)


def test_the_estimators_criteria_are_these(rng):
    X = rng.normal(size=(50, 2))
    mixture = GaussianMixture(2, random_state=0, tol=1e-6).fit(X)
    found = mixture.criteria(X)
    assert (mixture.bic(X), mixture.aic(X), mixture.icl(X)) == (found.bic, found.aic, found.icl)
    assert_allclose(found.log_likelihood, 50 * mixture.lower_bound_, rtol=1e-12)
