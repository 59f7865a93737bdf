"""The log likelihood of a Gaussian mixture as one PyTensor Op, whose E-step gives its gradient.

By Fisher's identity the gradient of the log likelihood is that of the expected complete-data log likelihood with the
responsibilities held fixed. With moments about each component's own mean, so that no inverse is needed,

    N_k = sum_n w_n r_nk,   S1_k = sum_n w_n r_nk (x_n - mu_k),   S2_k = sum_n w_n r_nk (x_n - mu_k)(x_n - mu_k)^T,

and Sigma_k^-1 = U_k U_k^T, U_k upper triangular (derivation in ``docs/design/model.md``),

    d loglik / d log weights_k = N_k,
    d loglik / d mu_k          = U_k U_k^T S1_k,
    d loglik / d U_k           = triu(N_k diag(1 / U_ii) - S2_k U_k).

A uniform background is one more term of the sum inside the logarithm, exp(log_noise + background_n), with a
responsibility of its own, whose sum is d loglik / d log_noise.

One pass over the rows gives value and gradient, because both are outputs of one node. The gradient rather than the
statistics leaves the node: what follows the pass is O(K D^3), but as PyTensor matrix products it takes a minute to
compile. Nor is the pass compiled into each model that calls it, and again into the sampler's callbacks, as a numba
function is that is called like any other: it is compiled once, kept on disk, and models hold its name only.
May import NumPy, SciPy, numba, PyTensor and the kernel.
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
from scipy.special import logsumexp

from bayesgmm.kernel.compiled import complete as passes
from bayesgmm.kernel.natural import LOG_2PI
from bayesgmm.sampler.insides import compiled_form
from bayesgmm.tools.compiled import c_function
from bayesgmm.tools.sources import version

BLOCK_ROWS = 2048

NO_NOISE = (np.array(-np.inf), np.zeros(1))
"""Inputs `log_noise` and `background` of a mixture without noise."""

POINTER = types.CPointer(types.float64)
SIGNATURE = types.void(*[types.int64] * 5, *[POINTER] * 12)


class MixtureLogLikelihood(Op):
    """Log likelihood of rows under a Gaussian mixture, and its gradient.

    Inputs, all float64 and in the units of the data:

    x : (N, D), complete rows
    row_weights : (N,), how often each row counts; or (1,), the same for all
    log_weights : (K,), logarithms of the component weights; need not be normalised
    means : (K, D)
    precision_cholesky : (K, D, D), upper triangular U_k with Sigma_k^-1 = U_k U_k^T; the lower triangle is not read
    log_noise : (), logarithm of the share of rows that are noise; minus infinity, the default, for no noise
    background : (N,), log density of the noise at each row, minus infinity outside of it; or (1,), the same for all

    Outputs: loglik (), and its derivatives with respect to the four parameters, (K,), (K, D), (K, D, D) and ().

    Differentiable once, with respect to the four parameters. The gradient depends on the parameters too, but its
    derivative needs more than the statistics; asking for it raises rather than being silently wrong. Parameters that
    overflow, or are infinite or NaN, give a loglik of -inf or NaN and never an exception, as a sampler needs. Memory
    beyond the inputs does not grow with N; the cost is O(N K D^2).
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Check dimensions and types; shapes that are known statically stay known."""
        names = ("x", "row_weights", "log_weights", "means", "precision_cholesky", "log_noise", "background")
        tensors = [pt.as_tensor_variable(value) for value in (*inputs, *NO_NOISE[len(inputs) - 5 :])]
        for name, value, ndim in zip(names, tensors, (2, 1, 1, 2, 3, 0, 1), strict=True):
            if value.type.ndim != ndim:
                raise TypeError(f"`{name}` must have {ndim} dimensions, received {value.type.ndim}: {value.type}.")
            if value.type.dtype != "float64":
                raise TypeError(
                    f"`{name}` must be float64, received {value.type.dtype}: sums over many rows need it; convert it."
                )
        K, D = tensors[3].type.shape
        K = K or tensors[2].type.shape[0] or tensors[4].type.shape[0]
        D = D or tensors[0].type.shape[1]
        outputs = [pt.tensor(shape=shape, dtype="float64") for shape in ((), (K,), (K, D), (K, D, D), ())]
        return Apply(self, tensors, outputs)

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Compute by residuals, block by block: the plain form, and the reference of the compiled one."""
        x, row_weights, log_weights, means, precision_cholesky, log_noise, background = inputs
        K, D = means.shape
        U = np.triu(precision_cholesky)
        diagonal = np.diagonal(U, axis1=1, axis2=2)
        row_weights, background = np.broadcast_to(row_weights, len(x)), np.broadcast_to(background, len(x))
        loglik, N, S1, S2, mass = 0.0, np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D)), 0.0
        with np.errstate(all="ignore"):
            constants = log_weights - 0.5 * D * LOG_2PI + np.log(diagonal).sum(axis=1)
            for start in range(0, len(x), BLOCK_ROWS):
                w = row_weights[start : start + BLOCK_ROWS]
                residuals = x[start : start + BLOCK_ROWS] - means[:, None]
                log_joint = constants[:, None] - 0.5 * ((residuals @ U) ** 2).sum(axis=-1)
                in_noise = log_noise + background[start : start + BLOCK_ROWS]
                log_density = np.logaddexp(logsumexp(log_joint, axis=0), in_noise)
                # A row without density anywhere: 0 in place of -inf, so that its responsibilities are 0, not NaN.
                finite = np.where(log_density == -np.inf, 0.0, log_density)
                responsibilities = w * np.exp(log_joint - finite)
                mass += (w * np.exp(in_noise - finite)).sum()
                loglik += np.where(w == 0, 0.0, w * log_density).sum()
                weighted = responsibilities[..., None] * residuals
                N += responsibilities.sum(axis=1)
                S1 += weighted.sum(axis=1)
                S2 += np.swapaxes(weighted, 1, 2) @ residuals
            d_means = (U @ (np.swapaxes(U, 1, 2) @ S1[..., None]))[..., 0]
            d_U = np.triu((N[:, None] / diagonal)[..., None] * np.eye(D) - S2 @ U)
        found = (np.asarray(loglik), N, d_means, d_U, np.asarray(mass))
        for storage, value in zip(output_storage, found, strict=True):
            storage[0] = value

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Shapes of the outputs, from those of the means."""
        K, D = input_shapes[3]
        return [(), (K,), (K, D), (K, D, D), ()]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Every output depends on every input: leaving the gradient out would make second derivatives wrong."""
        return [[True] * 5 for _ in node.inputs]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Scale the gradient that the same node has computed.

        Raises
        ------
        NotImplementedError
            When the derivative of the gradient is asked for: a second derivative of the log likelihood.
        """
        if any(not isinstance(cotangent.type, DisconnectedType) for cotangent in cotangents[1:]):
            raise NotImplementedError(
                "the mixture's log likelihood can be differentiated once: its gradient is made of the E-step's "
                "statistics, whose own derivative needs more than them. For a Hessian, difference the exact gradient."
            )
        x, row_weights = inputs[:2]
        g = cotangents[0]
        why = "the mixture's log likelihood is differentiated with respect to its parameters, not to its rows."
        return [
            grad_not_implemented(self, 0, x, why),
            grad_not_implemented(self, 1, row_weights, why),
            *(g * gradient for gradient in outputs[1:]),
            grad_not_implemented(self, 6, inputs[6], why),
        ]


@c_function("bayesgmm_pass_over_rows", SIGNATURE, fastmath=False, error_model="numpy")
def pass_over_rows(
    N: int, D: int, K: int, W: int, G: int,
    x: Any, row_weights: Any, log_weights: Any, means: Any, U: Any, log_noise: Any, background: Any,
    loglik: Any, d_weights: Any, d_means: Any, d_U: Any, d_noise: Any,
) -> None:  # fmt: skip
    """Run `passes.value_and_gradient` behind C pointers to C-contiguous arrays; the last five are written to."""
    loglik[0], d_noise[0] = passes.value_and_gradient(
        numba.carray(x, (N, D)),
        numba.carray(row_weights, (W,)),
        numba.carray(log_weights, (K,)),
        numba.carray(means, (K, D)),
        numba.carray(U, (K, D, D)),
        log_noise[0],
        numba.carray(background, (G,)),
        numba.carray(d_weights, (K,)),
        numba.carray(d_means, (K, D)),
        numba.carray(d_U, (K, D, D)),
    )


_call_pass_over_rows: Any = pass_over_rows.call  # a global: numba sees through no attribute of a tuple


# the key of PyTensor's cache changes with the source and with the symbol
@compiled_form(MixtureLogLikelihood, f"{pass_over_rows.symbol} {version(sys.modules[__name__])}")
@numba.njit(error_model="numpy")
def call_compiled_pass(
    x: np.ndarray,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    precision_cholesky: np.ndarray,
    log_noise: np.ndarray,
    background: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log likelihood and its gradient: see `MixtureLogLikelihood`."""
    x, row_weights = np.ascontiguousarray(x), np.ascontiguousarray(row_weights)
    log_weights, means = np.ascontiguousarray(log_weights), np.ascontiguousarray(means)
    U, background = np.ascontiguousarray(precision_cholesky), np.ascontiguousarray(background)
    K, D = means.shape
    loglik, d_noise = np.empty(()), np.empty(())
    d_weights, d_means, d_U = np.empty(K), np.empty((K, D)), np.empty((K, D, D))
    _call_pass_over_rows(
        x.shape[0], D, K, row_weights.shape[0], background.shape[0],
        x.ctypes, row_weights.ctypes, log_weights.ctypes, means.ctypes, U.ctypes, log_noise.ctypes, background.ctypes,
        loglik.ctypes, d_weights.ctypes, d_means.ctypes, d_U.ctypes, d_noise.ctypes,
    )  # fmt: skip
    return loglik, d_weights, d_means, d_U, d_noise


mixture_log_likelihood_op: Any = MixtureLogLikelihood()


def mixture_log_likelihood(
    x: Any, row_weights: Any, log_weights: Any, means: Any, precision_cholesky: Any, *noise: Any
) -> TensorVariable:
    """Sum w_n log p(x_n) over rows; see `MixtureLogLikelihood` for the arguments, and `noise`, the last two."""
    return mixture_log_likelihood_op(x, row_weights, log_weights, means, precision_cholesky, *noise)[0]
