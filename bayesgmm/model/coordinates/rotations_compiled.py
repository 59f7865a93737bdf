"""Products of plane rotations for PyTensor's numba backend: plain loops. May import NumPy, numba and PyTensor."""

import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from bayesgmm.model.coordinates.rotations import Rotation, RotationPullback
from bayesgmm.tools.sources import version

VERSION = version(sys.modules[__name__])


@numba.njit(error_model="numpy")
def rotation(angles: np.ndarray) -> np.ndarray:
    """Angles (K, P) to Q (K, D, D)."""
    K, P = angles.shape
    D = (1 + int(np.sqrt(1 + 8 * P))) // 2
    Q = np.zeros((K, D, D))
    for k in range(K):
        for i in range(D):
            Q[k, i, i] = 1.0
        p = 0
        for i in range(D):
            for j in range(i + 1, D):
                c, s = np.cos(angles[k, p]), np.sin(angles[k, p])
                for m in range(D):
                    first, second = Q[k, m, i], Q[k, m, j]
                    Q[k, m, i] = c * first + s * second
                    Q[k, m, j] = c * second - s * first
                p += 1
    return Q


@numba.njit(error_model="numpy")
def rotation_pullback(angles: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Angles (K, P) and W (K, D, D) to derivatives (K, P)."""
    K, D = W.shape[0], W.shape[1]
    out = np.empty(angles.shape)
    V = np.empty((D, D))
    for k in range(K):
        for i in range(D):
            for m in range(D):
                V[i, m] = W[k, i, m]
        p = 0
        for i in range(D):
            for j in range(i + 1, D):
                c, s = np.cos(angles[k, p]), np.sin(angles[k, p])
                for m in range(D):
                    first, second = V[m, i], V[m, j]
                    V[m, i] = c * first + s * second
                    V[m, j] = c * second - s * first
                for m in range(D):
                    first, second = V[i, m], V[j, m]
                    V[i, m] = c * first + s * second
                    V[j, m] = c * second - s * first
                out[k, p] = V[j, i] - V[i, j]
                p += 1
    return out


def one_batch_dimension(function: Callable, node: Apply) -> Callable:
    """Check that the compiled form fits: angles (K, P)."""
    if node.inputs[0].type.ndim != 2:
        raise NotImplementedError(f"the compiled form of {node.op} takes angles (K, P), received {node.inputs}.")
    return function


@register_funcify_and_cache_key(Rotation)
def funcify_rotation(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(rotation, node), VERSION


@register_funcify_and_cache_key(RotationPullback)
def funcify_rotation_pullback(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(rotation_pullback, node), VERSION
