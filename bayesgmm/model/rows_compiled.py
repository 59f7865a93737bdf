"""Random rows of a mixture for PyTensor's numba backend: plain loops. May import NumPy, numba and PyTensor."""

import sys
from collections.abc import Callable

import numba
import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.random import numba_core_rv_funcify

from bayesgmm.model.rows import MixtureRowsRV
from bayesgmm.tools.sources import version

VERSION = int(version(sys.modules[__name__])[:12], 16)


@numba.njit(error_model="numpy")
def random_rows(
    rng: np.random.Generator,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    precision_cholesky: np.ndarray,
) -> np.ndarray:
    """Draw (N, D): a component by inversion, then mu_k + U_k^-T z by forward substitution."""
    N, (K, D) = row_weights.shape[0], means.shape
    weights = np.exp(log_weights - np.max(log_weights))
    total = weights.sum()
    out = np.empty((N, D))
    for n in range(N):
        left = rng.random() * total - weights[0]
        k = 0
        while left > 0.0 and k < K - 1:
            k += 1
            left -= weights[k]
        for i in range(D):
            z = rng.normal()
            for j in range(i):
                z -= precision_cholesky[k, j, i] * (out[n, j] - means[k, j])
            out[n, i] = means[k, i] + z / precision_cholesky[k, i, i]
    return out


@numba_core_rv_funcify.register(MixtureRowsRV)
def funcify_mixture_rows(op: Op, node: Apply) -> tuple[Callable, int]:
    """Give PyTensor the function, and a number that changes with this file and those it imports."""
    return random_rows, VERSION
