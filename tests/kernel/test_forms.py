"""The right form runs: what is chosen is accurate to 1e-8 per row wherever a component is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.kernel.forms import LARGEST_CONDITION, NaturalForm, ResidualForm, choose_form, choose_forms, condition
from bayesgmm.kernel.moments import Moments
from bayesgmm.mixture.parameters import MixtureParameters
from tests.kernel.test_natural import log_joint
from tests.kernel.test_residual import far_problem
from tests.support import oracle
from tests.support.strategies import mixtures, random_mixture, seeds


def at_distance(rho, sd=0.1):
    return MixtureParameters.from_covariances([0.5, 0.5], [[0.0, 0.0], [rho * sd, 0.0]], [np.eye(2), sd**2 * np.eye(2)])


def test_beyond_a_thousand_standard_deviations_the_residual_form_runs():
    assert LARGEST_CONDITION == 1e3**2
    assert isinstance(choose_form(at_distance(900)), NaturalForm)
    assert isinstance(choose_form(at_distance(1001)), ResidualForm)
    assert isinstance(choose_form(at_distance(1e8)), ResidualForm)
    assert isinstance(choose_form(at_distance(900), Moments.DIAGONAL), NaturalForm)
    assert isinstance(choose_form(at_distance(1001), Moments.DIAGONAL), ResidualForm)


def test_correlation_counts_as_distance():
    """Nearly collinear features cancel in y^T P y although the mean is at the shift."""
    near_line = np.array([[1.0, 1 - 1e-8], [1 - 1e-8, 1.0]])
    parameters = MixtureParameters.from_covariances([1.0], np.zeros((1, 2)), near_line[None])
    assert isinstance(choose_form(parameters), ResidualForm)


def test_one_far_mixture_of_a_batch_asks_for_the_residual_form(rng):
    batch = random_mixture(rng, 2, 2, batch=(3,))
    assert isinstance(choose_form(batch), NaturalForm)
    means = batch.means.copy()
    means[1, 0, 0] = 1e6
    assert isinstance(
        choose_form(MixtureParameters.from_covariances(batch.weights, means, batch.covariances)), ResidualForm
    )


@pytest.mark.parametrize("moments", Moments)
def test_forms_of_a_batch_are_those_of_its_mixtures(rng, moments):
    """One of them far away."""
    batch = random_mixture(rng, 2, 3, batch=(3,), diagonal=True)
    means = batch.means.copy()
    means[1] += 1e6
    batch = MixtureParameters.from_covariances(batch.weights, means, batch.covariances)
    Y = rng.normal(size=(9, 3)) + batch.means[:, :1]
    of_all_rows = [(np.eye(3) * (1.0 + g), 9.0) for g in range(3)] if moments.pooled else None
    for g, form in enumerate(choose_forms(batch, moments, of_all_rows)):
        alone = choose_form(batch[g], moments, None if of_all_rows is None else of_all_rows[g])
        assert type(form) is type(alone) and isinstance(form, ResidualForm) == (g == 1)
        found, expected = (statistics_of_form(one, Y[g]) for one in (form, alone))
        assert found[0] == expected[0]
        for ours, theirs in zip(found[1:], expected[1:], strict=True):
            assert_array_equal(ours, theirs)


def statistics_of_form(form, Y):
    workspace = form.workspace(len(Y))
    form.standard_rows(workspace, len(Y))[...] = Y.T
    log_likelihood, sums = form.expected_statistics(workspace, len(Y), None)
    return log_likelihood, *form.unpack(sums)


@given(seed=seeds, exponent=st.floats(0, 8), D=st.integers(1, 4))
def test_what_is_chosen_is_accurate_for_the_rows_of_any_component(seed, exponent, D):
    parameters, Y = far_problem(np.random.default_rng(seed), 10**exponent, D)
    chosen = type(choose_form(parameters))
    assert_allclose(log_joint(chosen, parameters, Y), oracle.log_joint(Y, parameters).T, rtol=0, atol=1e-8)


@given(parameters=mixtures(batch=(2,)), factors=st.lists(st.floats(1e-8, 1e8), min_size=4, max_size=4))
def test_the_condition_does_not_depend_on_the_units_of_columns(parameters, factors):
    factor = np.array(factors[: parameters.n_features])
    scaled = MixtureParameters.from_covariances(
        parameters.weights, parameters.means * factor, parameters.covariances * factor[:, None] * factor
    )
    assert_allclose(condition(scaled), condition(parameters), rtol=1e-6)


@given(parameters=mixtures())
def test_the_condition_bounds_the_squared_distance_from_the_shift(parameters):
    root = np.einsum("kij,ki->kj", parameters.precision_cholesky, parameters.means)
    assert condition(parameters) >= (root**2).sum(axis=1).max()


@pytest.mark.parametrize("value", [1e160, 1e300])
def test_numbers_that_overflow_choose_the_residual_form_in_silence(value):
    parameters = MixtureParameters.from_covariances([1.0], [[value]], [[[1.0]]])
    assert isinstance(choose_form(parameters), ResidualForm)
