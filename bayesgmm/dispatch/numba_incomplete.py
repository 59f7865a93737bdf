"""The log likelihood of incomplete rows for PyTensor's numba backend: a call, by name, of a function compiled apart.

As `bayesgmm.dispatch.numba` does it for complete rows. May import NumPy, numba, llvmlite and PyTensor.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite.binding import add_symbol
from numba import types
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from bayesgmm.dispatch import arithmetic, incomplete_passes, passes
from bayesgmm.kernel import LARGEST_CONDITION
from bayesgmm.kernel.natural import LOG_2PI
from bayesgmm.op_incomplete import IncompleteLogLikelihood

REAL, WHOLE = types.CPointer(types.float64), types.CPointer(types.int64)
DATA = (REAL, REAL, WHOLE, WHOLE, WHOLE, REAL, WHOLE, REAL, REAL)
SIGNATURE = types.void(*[types.int64] * 6, *DATA, *[REAL] * 9)


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


# Caches, numba's own and PyTensor's, know one source file at most: the name carries all that was compiled.
_FILES = (__file__, arithmetic.__file__, passes.__file__, incomplete_passes.__file__)
_SOURCES = (Path(str(file)).read_bytes() for file in _FILES)
VERSION = sha256(b"".join(_SOURCES) + f"{LARGEST_CONDITION} {LOG_2PI}".encode()).hexdigest()[:16]
SYMBOL = f"bayesgmm_pass_over_incomplete_rows_{VERSION}"
pass_over_rows.__qualname__ = SYMBOL
compiled_pass = numba.cfunc(SIGNATURE, cache=True, error_model="numpy")(pass_over_rows)
add_symbol(SYMBOL, compiled_pass.address)
_call_pass_over_rows: Any = types.ExternalFunction(SYMBOL, SIGNATURE)


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
    """Give PyTensor the call, and a key to its cache on disk that changes with the compiled source."""
    return incomplete_log_likelihood, VERSION
