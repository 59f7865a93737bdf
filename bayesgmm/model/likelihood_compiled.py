"""The mixture's log likelihood for PyTensor's numba backend: a call, by name, of a function compiled apart.

What users wait for is the compiler. A numba function that is called like any other is compiled into each model that
calls it, and again into the sampler's callbacks; this one is compiled once, cached beside its source, and models hold
its name only. May import NumPy, numba, llvmlite and PyTensor.
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

from bayesgmm.kernel.compiled import complete as passes
from bayesgmm.model.likelihood import MixtureLogLikelihood
from bayesgmm.tools.compiled import c_function
from bayesgmm.tools.sources import version

POINTER = types.CPointer(types.float64)
SIGNATURE = types.void(*[types.int64] * 5, *[POINTER] * 12)


@c_function("bayesgmm_pass_over_rows", SIGNATURE, error_model="numpy")
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
    """Log likelihood and its gradient: see `bayesgmm.model.likelihood.MixtureLogLikelihood`."""
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
    """Give PyTensor the call, and a key to its cache on disk that changes with the source and with the symbol."""
    return mixture_log_likelihood, f"{pass_over_rows.symbol} {version(sys.modules[__name__])}"
