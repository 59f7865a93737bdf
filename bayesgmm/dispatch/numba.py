"""The mixture's log likelihood for PyTensor's numba backend: a call, by name, of a function compiled apart.

What users wait for is the compiler. A numba function that is called like any other is compiled into each model that
calls it, and again into the sampler's callbacks; this one is compiled once, cached beside its source, and models hold
its name only. May import NumPy, numba, llvmlite and PyTensor.
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

from bayesgmm.dispatch import arithmetic, passes
from bayesgmm.kernel import LARGEST_CONDITION
from bayesgmm.kernel.natural import LOG_2PI
from bayesgmm.op import MixtureLogLikelihood

POINTER = types.CPointer(types.float64)
SIGNATURE = types.void(*[types.int64] * 5, *[POINTER] * 12)


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


# Caches, numba's own and PyTensor's, know one source file at most: the name carries all that was compiled.
_SOURCES = (Path(str(file)).read_bytes() for file in (__file__, arithmetic.__file__, passes.__file__))
VERSION = sha256(b"".join(_SOURCES) + f"{LARGEST_CONDITION} {LOG_2PI}".encode()).hexdigest()[:16]
SYMBOL = f"bayesgmm_pass_over_rows_{VERSION}"
pass_over_rows.__qualname__ = SYMBOL
compiled_pass = numba.cfunc(SIGNATURE, cache=True, error_model="numpy")(pass_over_rows)
add_symbol(SYMBOL, compiled_pass.address)
_call_pass_over_rows: Any = types.ExternalFunction(SYMBOL, SIGNATURE)


@numba.njit(error_model="numpy")
def mixture_log_likelihood(
    x: np.ndarray,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    precision_cholesky: np.ndarray,
    log_noise: np.ndarray,
    background: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log likelihood and its gradient with respect to the parameters; see `bayesgmm.op.MixtureLogLikelihood`."""
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


@register_funcify_and_cache_key(MixtureLogLikelihood)
def funcify_mixture_log_likelihood(op: Op, node: Apply | None = None, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the call, and a key to its cache on disk that changes with the compiled source."""
    return mixture_log_likelihood, VERSION
