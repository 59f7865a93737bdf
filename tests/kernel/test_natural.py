"""The natural form against SciPy, row by row; the residual form has the same contract and the same tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bayesgmm.kernel.forms import NaturalForm, ResidualForm
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.natural import n_natural_features, natural_parameters
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support import oracle
from tests.support.strategies import mixtures, random_covariances, random_mixture, seeds

FORMS = {"natural": NaturalForm, "residual": ResidualForm}


def log_joint(form_class, parameters, Y, moments=Moments.FULL):
    """(..., K, N) of rows Y (N, D) in one block."""
    form = form_class(parameters, moments)
    workspace = form.workspace(len(Y))
    form.standard_rows(workspace, len(Y))[...] = Y.T
    return form.log_joint(workspace, len(Y)).copy()


def statistics(form_class, parameters, Y, weights=None, moments=Moments.FULL):
    form = form_class(parameters, moments)
    workspace = form.workspace(len(Y))
    form.standard_rows(workspace, len(Y))[...] = Y.T
    log_likelihood, sums = form.expected_statistics(workspace, len(Y), weights)
    return log_likelihood, *form.unpack(sums)


@pytest.mark.parametrize("form", FORMS)
@given(parameters=mixtures(), seed=seeds)
def test_log_joint_is_scipys_per_row(form, parameters, seed):
    Y = np.random.default_rng(seed).normal(scale=4, size=(30, parameters.n_features))
    assert_allclose(log_joint(FORMS[form], parameters, Y), oracle.log_joint(Y, parameters).T, rtol=1e-9, atol=1e-9)


@given(seed=seeds, rho=st.floats(0, 1e3), D=st.integers(1, 4))
def test_rows_of_a_component_a_thousand_sd_away_agree_to_1e_8(seed, rho, D):
    """One component at Mahalanobis distance rho from the shift in a random direction, its own rows, uncorrelated."""
    rng = np.random.default_rng(seed)
    sd = np.exp(rng.uniform(-3, 0, size=D))
    direction = rng.normal(size=D)
    mean = rho * sd * direction / np.linalg.norm(direction)
    far = MixtureParameters.from_covariances(np.ones(1), mean[None], np.diag(sd**2)[None])
    Y = mean + sd * rng.normal(size=(50, D))
    expected = oracle.log_joint(Y, far).T
    assert_allclose(log_joint(NaturalForm, far, Y), expected, rtol=0, atol=1e-8)
    assert_allclose(log_joint(ResidualForm, far, Y), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@given(parameters=mixtures(batch=(2, 3)), seed=seeds)
def test_batch_dimensions_are_a_loop_over_mixtures(form, parameters, seed):
    Y = np.random.default_rng(seed).normal(scale=3, size=(7, parameters.n_features))
    found = log_joint(FORMS[form], parameters, Y)
    assert found.shape == (2, 3, parameters.n_components, 7)
    for i in range(2):
        for j in range(3):
            # one product of matrices adds in another order than many
            assert_allclose(found[i, j], log_joint(FORMS[form], parameters[i][j], Y), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@given(parameters=mixtures(), seed=seeds, weighted=st.booleans())
def test_statistics_are_what_loops_say(form, parameters, seed, weighted):
    rng = np.random.default_rng(seed)
    Y = rng.normal(scale=3, size=(25, parameters.n_features))
    weights = rng.integers(0, 3, size=25).astype(float) if weighted else None
    found = statistics(FORMS[form], parameters, Y, weights)
    for value, expected in zip(found, oracle.statistics(Y, parameters, weights), strict=True):
        assert_allclose(value, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
@given(parameters=mixtures(diagonal=True), seed=seeds)
def test_the_diagonal_variant_is_the_full_one(form, parameters, seed):
    Y = np.random.default_rng(seed).normal(scale=3, size=(25, parameters.n_features))
    assert_allclose(
        log_joint(FORMS[form], parameters, Y, Moments.DIAGONAL),
        log_joint(FORMS[form], parameters, Y),
        rtol=1e-10,
        atol=1e-10,
    )
    full = statistics(FORMS[form], parameters, Y)
    diagonal = statistics(FORMS[form], parameters, Y, moments=Moments.DIAGONAL)
    assert_allclose(diagonal[3], np.diagonal(full[3], axis1=1, axis2=2), rtol=1e-10, atol=1e-10)
    for a, b in zip(diagonal[:3], full[:3], strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rows", [9, 100])
@pytest.mark.parametrize("form", FORMS)
def test_a_component_without_weight_takes_no_rows(form, rows, rng):
    parameters = random_mixture(rng, 2, 2)
    empty = MixtureParameters.from_covariances([1.0, 0.0], parameters.means, parameters.covariances)
    Y = rng.normal(size=(rows, 2))
    _, N, S1, S2 = statistics(FORMS[form], empty, Y)
    assert_allclose(N, [rows, 0.0])
    assert_allclose(S1[0], Y.sum(axis=0), rtol=1e-12)
    assert not S1[1].any() and not S2[1].any()


@given(parameters=mixtures(), seed=seeds)
def test_natural_parameters_against_the_features_are_the_log_joint(parameters, seed):
    """<T(y), eta_k> with T(y) = (1, y, y_i y_j for i <= j, by j - i), written out."""
    D = parameters.n_features
    y = np.random.default_rng(seed).normal(size=D)
    features = np.concatenate([[1.0], y, [y[i] * y[i + apart] for apart in range(D) for i in range(D - apart)]])
    assert len(features) == n_natural_features(D)
    eta = natural_parameters(parameters)
    assert_allclose(eta @ features, oracle.log_joint(y[None], parameters)[0], rtol=1e-9, atol=1e-9)


def test_fewer_moments_are_fewer_features():
    assert [n_natural_features(D, Moments.TRACE) for D in (1, 2, 10)] == [3, 4, 12]
    assert [n_natural_features(D, Moments.DIAGONAL) for D in (1, 2, 10)] == [3, 5, 21]
    assert [n_natural_features(D, Moments.FULL) for D in (1, 2, 10)] == [3, 6, 66]


@pytest.mark.parametrize("form", FORMS)
def test_a_workspace_is_used_again_by_a_shorter_block(form, rng):
    parameters = random_mixture(rng, 3, 2)
    Y = rng.normal(size=(20, 2))
    built = FORMS[form](parameters)
    workspace = built.workspace(20)
    for B in (20, 3):
        built.standard_rows(workspace, B)[...] = Y[:B].T
        assert_allclose(built.log_joint(workspace, B), log_joint(FORMS[form], parameters, Y[:B]), rtol=1e-13)


def test_correlated_components_within_reach_agree_too(rng):
    parameters = MixtureParameters.from_covariances(
        np.full(3, 1 / 3), rng.normal(size=(3, 5)), random_covariances(rng, (3,), 5)
    )
    Y = rng.normal(scale=2, size=(40, 5))
    assert_allclose(log_joint(NaturalForm, parameters, Y), log_joint(ResidualForm, parameters, Y), rtol=0, atol=1e-9)
