"""The log likelihood of a mixture from incomplete rows, as a PyTensor Op: the companion of `bayesgmm.model.likelihood`.

What hides a part of the complete data changes only how the statistics are filled. By Fisher's identity the gradient is
still that of the expected complete-data log likelihood with the statistics held fixed, with conditional moments in
them, so that one pass gives value and gradient here too. May import NumPy, numba, PyTensor and the compiled pass.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor.tensor as pt
from numba import types
from pytensor.gradient import DisconnectedType, grad_not_implemented
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.tensor.variable import TensorVariable

from bayesgmm.kernel.compiled import incomplete as passes
from bayesgmm.model.packing import PackedRows
from bayesgmm.sampler.insides import compiled_form
from bayesgmm.tools.compiled import c_function
from bayesgmm.tools.sources import version

N_DATA = len(PackedRows._fields)
NDIMS = (2, 1, 1, 2, 1, 3, 1, 3, 1, 1, 2, 3, 0)
NO_NOISE = np.array(-np.inf)
INTEGERS = ("starts", "seen", "components", "own")

REAL, WHOLE = types.CPointer(types.float64), types.CPointer(types.int64)
DATA = (REAL, REAL, WHOLE, WHOLE, WHOLE, REAL, WHOLE, REAL, REAL)
SIGNATURE = types.void(*[types.int64] * 6, *DATA, *[REAL] * 9)


class IncompleteLogLikelihood(Op):
    """Log likelihood of incomplete rows under a Gaussian mixture, and its gradient.

    Inputs: the arrays of `bayesgmm.model.packing.PackedRows`, then, float64 and in the units of the data, log_weights
    (K,), means (K, D), precision_cholesky (K, D, D), upper triangular, and log_noise (), minus infinity for no noise.

    Outputs: loglik (), and its derivatives with respect to the last four inputs. Differentiable once; parameters that
    overflow give a loglik of -inf or NaN and never an exception. The cost is O(N K D^2), and O(N K D^3) for rows with
    an error covariance of their own.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Check dimensions and types; shapes that are known statically stay known."""
        names = (*PackedRows._fields, "log_weights", "means", "precision_cholesky", "log_noise")
        tensors = [pt.as_tensor_variable(value) for value in inputs]
        for name, value, ndim in zip(names, tensors, NDIMS, strict=True):
            dtype = "int64" if name in INTEGERS else "float64"
            if value.type.ndim != ndim or value.type.dtype != dtype:
                raise TypeError(f"`{name}` must be {dtype} of {ndim} dimensions, received {value.type}.")
        K, D = tensors[N_DATA + 1].type.shape
        outputs = [pt.tensor(shape=shape, dtype="float64") for shape in ((), (K,), (K, D), (K, D, D), ())]
        return Apply(self, tensors, outputs)

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Run the compiled pass; it is tested against `bayesgmm.kernel.incomplete`, row by row."""
        for storage, value in zip(output_storage, call_compiled_pass(*inputs), strict=True):
            storage[0] = value

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Shapes of the outputs, from those of the means."""
        K, D = input_shapes[N_DATA + 1]
        return [(), (K,), (K, D), (K, D, D), ()]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Every output depends on every input but whole numbers: the gradient too, or second derivatives were wrong."""
        return [[value.type.dtype != "int64"] * 5 for value in node.inputs]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Scale the gradient that the same node has computed.

        Raises
        ------
        NotImplementedError
            When the derivative of the gradient is asked for.
        """
        if any(not isinstance(cotangent.type, DisconnectedType) for cotangent in cotangents[1:]):
            raise NotImplementedError(
                "the mixture's log likelihood can be differentiated once: its gradient is made of the E-step's "
                "statistics, whose own derivative needs more than them. For a Hessian, difference the exact gradient."
            )
        why = "the mixture's log likelihood is differentiated with respect to its parameters, not to its rows."
        held = [
            DisconnectedType()() if inputs[i].type.dtype == "int64" else grad_not_implemented(self, i, inputs[i], why)
            for i in range(N_DATA)
        ]
        return [*held, *(cotangents[0] * gradient for gradient in outputs[1:])]


@c_function("bayesgmm_pass_over_incomplete_rows", SIGNATURE, fastmath=False, error_model="numpy")
def pass_over_rows(
    N: int, D: int, K: int, G: int, M: int, B: int,
    rows: Any, row_weights: Any, starts: Any, seen: Any, components: Any, errors: Any, own: Any, own_errors: Any,
    background: Any, log_weights: Any, means: Any, U: Any, log_noise: Any,
    loglik: Any, d_weights: Any, d_means: Any, d_U: Any, d_noise: Any,
) -> None:  # fmt: skip
    """Run `passes.value_and_gradient` behind C pointers to C-contiguous arrays."""
    loglik[0], d_noise[0] = passes.value_and_gradient(
        numba.carray(rows, (N, D)),
        numba.carray(row_weights, (N,)),
        numba.carray(starts, (G + 1,)),
        numba.carray(seen, (G, D)),
        numba.carray(components, (G,)),
        numba.carray(errors, (G, D, D)),
        numba.carray(own, (G,)),
        numba.carray(own_errors, (M, D, D)),
        numba.carray(background, (B,)),
        numba.carray(log_weights, (K,)),
        numba.carray(means, (K, D)),
        numba.carray(U, (K, D, D)),
        log_noise[0],
        numba.carray(d_weights, (K,)),
        numba.carray(d_means, (K, D)),
        numba.carray(d_U, (K, D, D)),
    )


_call_pass_over_rows: Any = pass_over_rows.call  # a global: numba sees through no attribute of a tuple


# the key of PyTensor's cache changes with the source and with the symbol
@compiled_form(IncompleteLogLikelihood, f"{pass_over_rows.symbol} {version(sys.modules[__name__])}")
@numba.njit(error_model="numpy")
def call_compiled_pass(
    rows: np.ndarray,
    row_weights: np.ndarray,
    starts: np.ndarray,
    seen: np.ndarray,
    components: np.ndarray,
    errors: np.ndarray,
    own: np.ndarray,
    own_errors: np.ndarray,
    background: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    precision_cholesky: np.ndarray,
    log_noise: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log likelihood and its gradient with respect to the last four; see `IncompleteLogLikelihood`."""
    rows, row_weights = np.ascontiguousarray(rows), np.ascontiguousarray(row_weights)
    starts, seen, components = (
        np.ascontiguousarray(starts),
        np.ascontiguousarray(seen),
        np.ascontiguousarray(components),
    )
    errors, own, own_errors = np.ascontiguousarray(errors), np.ascontiguousarray(own), np.ascontiguousarray(own_errors)
    log_weights, means = np.ascontiguousarray(log_weights), np.ascontiguousarray(means)
    U, background = np.ascontiguousarray(precision_cholesky), np.ascontiguousarray(background)
    K, D = means.shape
    loglik, d_noise = np.empty(()), np.empty(())
    d_weights, d_means, d_U = np.empty(K), np.empty((K, D)), np.empty((K, D, D))
    _call_pass_over_rows(
        rows.shape[0], D, K, components.shape[0], own_errors.shape[0], background.shape[0],
        rows.ctypes, row_weights.ctypes, starts.ctypes, seen.ctypes, components.ctypes, errors.ctypes, own.ctypes,
        own_errors.ctypes, background.ctypes, log_weights.ctypes, means.ctypes, U.ctypes, log_noise.ctypes,
        loglik.ctypes, d_weights.ctypes, d_means.ctypes, d_U.ctypes, d_noise.ctypes,
    )  # fmt: skip
    return loglik, d_weights, d_means, d_U, d_noise


incomplete_log_likelihood_op: Any = IncompleteLogLikelihood()


def incomplete_log_likelihood(
    packed: Sequence[Any], log_weights: Any, means: Any, precision_cholesky: Any, log_noise: Any = NO_NOISE
) -> TensorVariable:
    """Log likelihood of packed incomplete rows; see `IncompleteLogLikelihood`."""
    return incomplete_log_likelihood_op(*packed, log_weights, means, precision_cholesky, log_noise)[0]
