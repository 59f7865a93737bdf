"""The log likelihood of incomplete rows for PyTensor's numba backend: a call, by name, of a function compiled apart.

As `bayesgmm.model.likelihood_compiled` does it for complete rows. May import NumPy, numba, llvmlite and PyTensor.
"""

import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from bayesgmm.kernel.compiled import incomplete as incomplete_passes
from bayesgmm.model.likelihood_incomplete import IncompleteLogLikelihood
from bayesgmm.tools.compiled import c_function
from bayesgmm.tools.sources import version

REAL, WHOLE = types.CPointer(types.float64), types.CPointer(types.int64)
DATA = (REAL, REAL, WHOLE, WHOLE, WHOLE, REAL, WHOLE, REAL, REAL)
SIGNATURE = types.void(*[types.int64] * 6, *DATA, *[REAL] * 9)


@c_function("bayesgmm_pass_over_incomplete_rows", SIGNATURE, error_model="numpy")
def pass_over_rows(
    N: int, D: int, K: int, G: int, M: int, B: int,
    rows: Any, row_weights: Any, starts: Any, seen: Any, components: Any, errors: Any, own: Any, own_errors: Any,
    background: Any, log_weights: Any, means: Any, U: Any, log_noise: Any,
    loglik: Any, d_weights: Any, d_means: Any, d_U: Any, d_noise: Any,
) -> None:  # fmt: skip
    """Run `incomplete_passes.value_and_gradient` behind C pointers to C-contiguous arrays."""
    loglik[0], d_noise[0] = incomplete_passes.value_and_gradient(
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


@numba.njit(error_model="numpy")
def incomplete_log_likelihood(
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


@register_funcify_and_cache_key(IncompleteLogLikelihood)
def funcify_incomplete_log_likelihood(op: Op, node: Apply | None = None, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the call, and a key to its cache on disk that changes with the source and with the symbol."""
    return incomplete_log_likelihood, f"{pass_over_rows.symbol} {version(sys.modules[__name__])}"
