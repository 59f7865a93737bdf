"""The Op over incomplete rows: the kernel's value, one pass for value and gradient, differentiable once."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose
from pytensor.gradient import NullTypeGradError, verify_grad

from bayesgmm.kernel import incomplete
from bayesgmm.mixture.noise import Background
from bayesgmm.model.likelihood_incomplete import NDIMS, IncompleteLogLikelihood, incomplete_log_likelihood
from bayesgmm.model.packing import PackedRows, pack
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture
from tests.support.reference import INTERPRETED

K, D = 2, 3
PARAMETER_NAMES = ("log_weights", "means", "precision_cholesky", "log_noise")
PARAMETERS = (pt.vector("log_weights"), pt.matrix("means"), pt.tensor3("U"), pt.scalar("log_noise"))


def packed_and_parameters(rng, case="all, own errors"):
    p = mixture(rng, K, D)
    observations = incomplete_rows(rng, CASES[case], p, 40).observations()
    packed, _ = pack(observations, Background.around(observations.values))
    return packed, (p.log_weights, p.means, p.precision_cholesky, np.asarray(-1.5))


def test_pytensor_compiles_it_to_what_it_interprets(rng):
    packed, parameters = packed_and_parameters(rng)
    outputs = IncompleteLogLikelihood()(*(pt.as_tensor(part) for part in packed), *PARAMETERS)
    found = [pytensor.function(PARAMETERS, outputs, mode=mode)(*parameters) for mode in (INTERPRETED, "NUMBA")]
    for ours, theirs in zip(*found, strict=True):
        assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_value_is_that_of_the_numpy_kernel(case, rng):
    p = mixture(rng, K, D)
    observations = incomplete_rows(rng, CASES[case], p, 40).observations()
    packed, _ = pack(observations)
    loglik = incomplete_log_likelihood(packed, p.log_weights, p.means, p.precision_cholesky)
    expected = incomplete.expected_statistics(observations, observations.to_standard(p)).log_likelihood
    assert_allclose(pytensor.function([], loglik, mode=INTERPRETED)(), expected, rtol=1e-11)


def test_gradient_is_that_of_finite_differences(rng):
    packed, parameters = packed_and_parameters(rng)

    def loglik(*given):
        return incomplete_log_likelihood(packed, *given)

    verify_grad(loglik, list(parameters), rng=rng, mode=INTERPRETED)


def test_value_and_gradient_are_one_node_and_shapes_are_known(rng):
    packed, _ = packed_and_parameters(rng)
    loglik = incomplete_log_likelihood(packed, *PARAMETERS)
    function = pytensor.function(PARAMETERS, [loglik, *pt.grad(loglik, list(PARAMETERS))], mode=INTERPRETED)
    assert sum(isinstance(node.op, IncompleteLogLikelihood) for node in function.maker.fgraph.apply_nodes) == 1
    shapes = [g.shape for g in IncompleteLogLikelihood()(*packed, *PARAMETERS)[1:4]]
    found = pytensor.function(PARAMETERS, shapes, mode=INTERPRETED, on_unused_input="ignore")(
        np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D)), np.zeros(())
    )
    assert [tuple(shape) for shape in found] == [(K,), (K, D), (K, D, D)]


def test_second_derivatives_and_those_of_the_rows_are_refused(rng):
    packed, _ = packed_and_parameters(rng)
    gradient = pt.grad(incomplete_log_likelihood(packed, *PARAMETERS), PARAMETERS[1])
    with pytest.raises(NotImplementedError, match="differentiated once"):
        pt.grad(gradient.sum(), PARAMETERS[1])
    rows = pt.matrix("rows")
    with pytest.raises(NullTypeGradError):
        pt.grad(incomplete_log_likelihood((rows, *packed[1:]), *PARAMETERS), rows)


@pytest.mark.parametrize("which", range(len(NDIMS)))
def test_wrong_types_are_refused_by_name(which, rng):
    packed, parameters = packed_and_parameters(rng)
    given = [*packed, *parameters]
    given[which] = given[which].astype(np.float32)
    with pytest.raises(TypeError, match=(*PackedRows._fields, *PARAMETER_NAMES)[which]):
        incomplete_log_likelihood(given[:9], *given[9:])
