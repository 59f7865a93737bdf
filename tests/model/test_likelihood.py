"""The Op: value and gradient against the plain graph, compiled against interpreted, safe at any parameters."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pytensor.gradient import NullTypeGradError, verify_grad

from bayesgmm.kernel.compiled import complete as passes
from bayesgmm.kernel.forms import LARGEST_CONDITION
from bayesgmm.model.likelihood import NO_NOISE, MixtureLogLikelihood, mixture_log_likelihood
from bayesgmm.model.likelihood import call_compiled_pass as compiled_with_noise
from tests.support.reference import INTERPRETED, plain_log_likelihood, random_parameters

OP = MixtureLogLikelihood()
INPUTS = (pt.matrix("x"), pt.vector("w"), pt.vector("log_weights"), pt.matrix("means"), pt.tensor3("U"))
NOISE = (pt.scalar("log_noise"), pt.vector("background"))


@pytest.fixture(scope="module")
def interpreted():
    """`perform`, outputs in order."""
    return pytensor.function(INPUTS, OP(*INPUTS), mode=INTERPRETED)


@pytest.fixture(scope="module")
def plain():
    """The plain graph with PyTensor's own gradient."""
    loglik = plain_log_likelihood(*INPUTS)
    gradients = pt.grad(loglik, list(INPUTS[2:]))
    outputs = [loglik, *gradients[:2], pt.triu(gradients[2]), pt.zeros(())]
    return pytensor.function(INPUTS, outputs, mode=INTERPRETED)


@pytest.fixture(scope="module")
def interpreted_with_noise():
    """`perform` with all inputs, outputs in order."""
    return pytensor.function([*INPUTS, *NOISE], OP(*INPUTS, *NOISE), mode=INTERPRETED)


@pytest.fixture(scope="module")
def plain_with_noise():
    """The plain graph with a background, and PyTensor's own gradient."""
    loglik = plain_log_likelihood(*INPUTS, *NOISE)
    gradients = pt.grad(loglik, [*INPUTS[2:], NOISE[0]])
    gradients[2] = pt.triu(gradients[2])
    return pytensor.function([*INPUTS, *NOISE], [loglik, *gradients], mode=INTERPRETED)


def compiled(*arguments):
    """Without noise."""
    return compiled_with_noise(*arguments, *NO_NOISE)


def assert_same(outputs, expected, rtol=1e-9):
    for output, wanted in zip(outputs, expected, strict=True):
        assert_allclose(output, wanted, rtol=rtol, atol=rtol * (1.0 + np.max(np.abs(wanted))))


@given(st.integers(1, 700), st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_value_and_gradient_are_those_of_the_plain_graph(interpreted, plain, N, K, D, seed):
    rng = np.random.default_rng(seed)
    x, w = 2 * rng.normal(size=(N, D)), rng.random(N)
    arguments = (x, w, *random_parameters(rng, K, D))
    expected = plain(*arguments)
    assert_same(interpreted(*arguments), expected)
    assert_same(compiled(*arguments), expected)


@given(st.integers(1, 700), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_with_noise_they_are_those_of_the_plain_graph_too(interpreted_with_noise, plain_with_noise, N, K, D, seed):
    rng = np.random.default_rng(seed)
    parameters = random_parameters(rng, K, D)
    # outside of the background too, where noise is as if it were not there
    background = np.where(rng.random(N) < 0.7, rng.normal(-3.0, 2.0, size=N), -np.inf)
    arguments = (2 * rng.normal(size=(N, D)), rng.random(N), *parameters, np.asarray(rng.normal(-2.0)), background)
    expected = plain_with_noise(*arguments)
    assert_same(interpreted_with_noise(*arguments), expected)
    assert_same(compiled_with_noise(*arguments), expected)


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_the_noise_is_differentiated_as_finite_differences_do(rng, far):
    """Far groups go by residuals, near ones by the natural form."""
    x = rng.normal(size=(400, 2))
    x[200:] += far
    log_weights, means, U = random_parameters(rng, 2, 2)
    means[1] += far
    background, step = np.full(1, -4.0), 1e-5
    d_noise = compiled_with_noise(x, np.ones(1), log_weights, means, U, np.asarray(-1.5), background)[4]
    ends = [
        compiled_with_noise(x, np.ones(1), log_weights, means, U, np.asarray(-1.5 + move), background)[0]
        for move in (step, -step)
    ]
    assert 1.0 < d_noise < 399.0
    assert_allclose((ends[0] - ends[1]) / (2 * step), d_noise, rtol=1e-6)


def test_the_mass_in_components_and_noise_is_all_there_is(rng):
    x, w = rng.normal(size=(500, 3)), rng.random(500)
    outputs = compiled_with_noise(x, w, *random_parameters(rng, 3, 3), np.asarray(-1.0), np.full(1, -3.0))
    assert_allclose(outputs[1].sum() + outputs[4], w.sum(), rtol=1e-12)


def test_a_row_far_from_everything_is_noise_and_moves_nothing(rng):
    x, parameters = rng.normal(size=(300, 2)), random_parameters(rng, 2, 2)
    noise = (np.asarray(-2.0), np.full(1, -5.0))
    before = compiled_with_noise(x, np.ones(1), *parameters, *noise)
    after = compiled_with_noise(np.r_[x, [[1e5, -1e5]]], np.ones(1), *parameters, *noise)
    assert_allclose(after[0] - before[0], -7.0, rtol=1e-9)
    assert_allclose(after[4] - before[4], 1.0, rtol=1e-9)
    assert_same(after[1:4], before[1:4], rtol=1e-9)


def test_noise_without_weight_is_no_noise_bit_for_bit(rng):
    x, parameters = rng.normal(size=(300, 2)), random_parameters(rng, 3, 2)
    expected = compiled(x, np.ones(1), *parameters)
    for ours, theirs in zip(
        compiled_with_noise(x, np.ones(1), *parameters, np.asarray(-np.inf), np.full(300, -3.0)), expected, strict=True
    ):
        assert np.array_equal(ours, theirs)
    nowhere = compiled_with_noise(x, np.ones(1), *parameters, np.asarray(-1.0), np.full(1, -np.inf))
    assert_same(nowhere, expected, rtol=1e-14)


def test_gradient_is_that_of_finite_differences(rng):
    x = rng.normal(size=(30, 2))
    log_weights, means, U = random_parameters(rng, 2, 2)

    def loglik(log_weights, means, U):
        return mixture_log_likelihood(x, np.ones(1), log_weights, means, U)

    # The lower triangle is not read: its derivative is zero, as finite differences find too.
    verify_grad(loglik, [log_weights, means, U], rng=rng, mode=INTERPRETED)


@pytest.mark.parametrize("rho", [1.0, 1e2, 1e4, 1e6, 1e8])
def test_components_far_from_the_shift_lose_no_digits(interpreted, rng, rho):
    # Two tight groups, rho of their own standard deviations apart, so that the shift is far from either.
    x = rng.normal(size=(600, 2))
    x[300:] += rho
    log_weights, means, U = random_parameters(rng, 2, 2)
    means[1] += rho
    arguments = (x, np.ones(1), log_weights, means, U)
    expected = interpreted(*arguments)
    # Rounding of the rows themselves costs eps rho; the natural form may cost eps times the largest condition.
    assert_same(compiled(*arguments), expected, rtol=1e-9)


def test_a_mean_of_1e8_standard_deviations_costs_nothing(interpreted, rng):
    x = 1e8 + rng.normal(size=(500, 3))
    log_weights, means, U = random_parameters(rng, 3, 3)
    arguments = (x, np.ones(1), log_weights, means + 1e8, U)
    assert_same(compiled(*arguments), interpreted(*arguments))


def test_the_condition_grows_with_distance_and_with_correlation():
    def condition(mean, correlation):
        covariance = np.array([[1.0, correlation], [correlation, 1.0]])
        U = np.linalg.inv(np.linalg.cholesky(covariance)).T[None]
        eta = np.empty(1), np.zeros((1, 8))
        return passes.natural_coefficients(np.zeros(1), np.full((1, 2), mean), U, np.zeros(2), *eta)

    assert condition(0.0, 0.0) < LARGEST_CONDITION < condition(1e3, 0.0)
    assert condition(0.0, 1 - 1e-4) < LARGEST_CONDITION < condition(0.0, 1 - 1e-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, 1e-308, 0.0, -1.0])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("everywhere", [True, False])
def test_any_parameters_give_a_number_and_never_an_exception(interpreted, rng, bad, which, everywhere):
    parameters = list(random_parameters(rng, 2, 3))
    parameters[which].reshape(-1)[0 : None if everywhere else 1] = bad
    x = rng.normal(size=(50, 3))
    loglik, expected = compiled(x, np.ones(1), *parameters)[0], interpreted(x, np.ones(1), *parameters)[0]
    # A component infinitely far away leaves the log likelihood finite; where it is not, NaN serves as well as -inf.
    assert np.isfinite(loglik) == np.isfinite(expected)
    if np.isfinite(expected):
        assert_allclose(loglik, expected, rtol=1e-9)


def test_one_weight_for_all_rows_is_a_weight_for_each(rng):
    x, parameters = rng.normal(size=(300, 2)), random_parameters(rng, 3, 2)
    assert_same(compiled(x, np.full(1, 2.0), *parameters), compiled(x, np.full(300, 2.0), *parameters), rtol=1e-14)


def test_rows_that_do_not_count_are_as_if_they_were_not_there(interpreted, rng):
    x, parameters = rng.normal(size=(300, 2)), random_parameters(rng, 3, 2)
    w = np.r_[np.ones(200), np.zeros(100)]
    x[200:] = 1e200
    for run in (compiled, interpreted):
        assert_same(run(x, w, *parameters)[:1], interpreted(x[:200], np.ones(200), *parameters)[:1])


def test_layouts_of_any_kind_give_the_same(rng):
    x, w, parameters = rng.normal(size=(60, 3)), np.ones(60), random_parameters(rng, 2, 3)
    expected = compiled(x, w, *parameters)
    wide = np.zeros((60, 6))
    wide[:, ::2] = x
    others = compiled(wide[:, ::2], w[::-1], parameters[0], np.asfortranarray(parameters[1]), parameters[2])
    assert_same(others, expected, rtol=1e-15)


def test_value_and_gradient_are_one_node():
    loglik = mixture_log_likelihood(*INPUTS)
    function = pytensor.function(INPUTS, [loglik, *pt.grad(loglik, list(INPUTS[2:]))], mode="FAST_COMPILE")
    assert sum(isinstance(node.op, MixtureLogLikelihood) for node in function.maker.fgraph.apply_nodes) == 1


def test_second_derivatives_are_refused():
    gradient = pt.grad(mixture_log_likelihood(*INPUTS), INPUTS[3])
    with pytest.raises(NotImplementedError, match="differentiated once"):
        pt.grad(gradient.sum(), INPUTS[3])


@pytest.mark.parametrize("which", [0, 1])
def test_derivatives_with_respect_to_rows_are_refused(which):
    with pytest.raises(NullTypeGradError, match="with respect to its parameters"):
        pt.grad(mixture_log_likelihood(*INPUTS), INPUTS[which])


def test_shapes_are_inferred_without_running(rng):
    shapes = pytensor.function(INPUTS, [output.shape for output in OP(*INPUTS)], mode="FAST_COMPILE")
    assert not any(isinstance(node.op, MixtureLogLikelihood) for node in shapes.maker.fgraph.apply_nodes)
    arguments = (rng.normal(size=(9, 2)), np.ones(9), *random_parameters(rng, 3, 2))
    assert [tuple(shape) for shape in shapes(*arguments)] == [(), (3,), (3, 2), (3, 2, 2), ()]


def test_arguments_of_the_wrong_kind_are_named():
    with pytest.raises(TypeError, match="`means` must have 2 dimensions, received 1"):
        OP(INPUTS[0], INPUTS[1], INPUTS[2], pt.vector(), INPUTS[4])
    with pytest.raises(TypeError, match="`x` must be float64, received float32"):
        OP(pt.matrix(dtype="float32"), *INPUTS[1:])
