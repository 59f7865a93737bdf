"""Laws of the sufficient statistics, which everything else relies on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.observations import as_observations
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.passes import expected_statistics
from tests.support import oracle
from tests.support.strategies import problems, seeds

FIELDS = ("log_likelihood", "N", "S1", "S2")


def assert_same(first, second, rtol=1e-10):
    """Sums of numbers of order one: errors are measured against how many were added."""
    for field in FIELDS:
        a, b = getattr(first, field), getattr(second, field)
        assert_allclose(a, b, rtol=rtol, atol=rtol * second.N.sum(), err_msg=field)


@given(problem=problems(), cut=st.floats(0, 1), seed=seeds)
def test_are_additive_over_any_split_of_the_rows(problem, cut, seed):
    observations = problem.observations
    order = np.random.default_rng(seed).permutation(observations.n_rows)
    middle = 1 + int(cut * (observations.n_rows - 2))
    parts = [
        expected_statistics(observations.take(rows), problem.standard) for rows in (order[:middle], order[middle:])
    ]
    assert_same(parts[0] + parts[1], expected_statistics(observations, problem.standard))


@given(problem=problems(max_rows=40))
def test_are_what_loops_over_rows_and_components_say(problem):
    observations, standard = problem.observations, problem.standard
    Y = (observations.values - observations.shift) / observations.scale
    log_likelihood, N, S1, S2 = oracle.statistics(Y, standard, observations.weights)
    found = expected_statistics(observations, standard)
    assert_allclose(
        found.log_likelihood + observations.total_weight * observations.log_jacobian,
        log_likelihood,
        rtol=1e-9,
        atol=1e-8,
    )
    for value, expected in ((found.N, N), (found.S1, S1), (found.S2, S2)):
        assert_allclose(value, expected, rtol=1e-8, atol=1e-8)


@given(problem=problems(max_rows=40))
def test_the_log_likelihood_is_in_the_units_of_the_data(problem):
    observations = problem.observations
    weights = np.ones(observations.n_rows) if observations.weights is None else observations.weights
    expected = weights @ oracle.log_density(observations.values, problem.parameters)
    assert_allclose(expected_statistics(observations, problem.standard).log_likelihood, expected, rtol=1e-9, atol=1e-8)


@given(problem=problems())
def test_components_share_out_the_rows(problem):
    """sum_k N_k = total weight, sum_k S1_k = sum_n w_n y_n, sum_k S2_k = sum_n w_n y_n y_n^T."""
    observations = problem.observations
    found = expected_statistics(observations, problem.standard)
    Y = (observations.values - observations.shift) / observations.scale
    weights = np.ones(len(Y)) if observations.weights is None else observations.weights
    total = observations.total_weight
    assert_allclose(found.N.sum(), total, rtol=1e-12)
    assert_allclose(found.S1.sum(axis=0), weights @ Y, atol=1e-10 * total)
    assert_allclose(found.S2.sum(axis=0), (Y.T * weights) @ Y, atol=1e-10 * total)
    assert (found.N >= 0).all()


@given(problem=problems(), seed=seeds)
def test_relabelling_permutes_them(problem, seed):
    standard = problem.standard
    order = np.random.default_rng(seed).permutation(standard.n_components)
    plain = expected_statistics(problem.observations, standard)
    permuted = expected_statistics(problem.observations, standard.permute(order))
    expected = dataclasses.replace(plain, N=plain.N[order], S1=plain.S1[order], S2=plain.S2[order])
    assert_same(permuted, expected, rtol=1e-12)


@given(problem=problems(weighted=True))
def test_an_integer_weight_is_that_many_equal_rows(problem):
    weighted = problem.observations
    repeated = weighted.unweighted().take(np.repeat(np.arange(weighted.n_rows), weighted.weights.astype(int)))
    assert_same(expected_statistics(weighted, problem.standard), expected_statistics(repeated, problem.standard))


@given(problem=problems(diagonal=True))
def test_the_diagonal_variant_is_the_diagonal_of_the_full_one(problem):
    full = expected_statistics(problem.observations, problem.standard)
    diagonal = expected_statistics(problem.observations, problem.standard, Moments.DIAGONAL)
    assert diagonal.S2.shape == full.S1.shape
    assert_same(diagonal, dataclasses.replace(full, S2=np.diagonal(full.S2, axis1=1, axis2=2)))


@given(problem=problems(), seed=seeds)
def test_scatter_is_the_second_moment_about_any_means(problem, seed):
    observations, standard = problem.observations, problem.standard
    means = np.random.default_rng(seed).normal(size=standard.means.shape)
    Y = (observations.values - observations.shift) / observations.scale
    weights = np.ones(len(Y)) if observations.weights is None else observations.weights
    r = oracle.memberships(Y, standard) * weights[:, None]
    expected = np.einsum("nk,nki,nkj->kij", r, Y[:, None] - means, Y[:, None] - means)
    full = expected_statistics(observations, standard)
    assert_allclose(full.scatter(means), expected, atol=1e-9 * len(Y))
    diagonal = dataclasses.replace(full, S2=np.diagonal(full.S2, axis1=1, axis2=2))
    assert_allclose(diagonal.scatter(means), np.diagonal(expected, axis1=1, axis2=2), atol=1e-9 * len(Y))


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 1.0), (2.0, 0.0)], ids=["shift", "scale"])
def test_refuse_to_add_what_is_seen_from_elsewhere(rng, factor, offset):
    X = rng.normal(size=(30, 2))
    parameters = oracle.from_free(np.zeros(4 + 1 + 6), "full", 2, 2)
    here = expected_statistics(as_observations(X), parameters)
    there = expected_statistics(as_observations(X * factor + offset), parameters)
    with pytest.raises(ValueError, match=r"cannot be added.*share one shift and scale"):
        here + there


def test_add_to_nothing_else(rng):
    statistics = expected_statistics(
        as_observations(rng.normal(size=(9, 1))), oracle.from_free(np.zeros(2), "full", 1, 1)
    )
    with pytest.raises(TypeError):
        statistics + 1


def test_keep_the_shift_and_scale_they_are_about(rng):
    observations = as_observations(rng.normal(size=(9, 1)))
    statistics = expected_statistics(observations, oracle.from_free(np.zeros(2), "full", 1, 1))
    assert_array_equal(statistics.shift, observations.shift)
    assert statistics.scale == observations.scale
