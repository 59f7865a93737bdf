"""The small matrix Ops for PyTensor's numba backend: plain loops. May import NumPy, numba and PyTensor."""

import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from bayesgmm.model.coordinates.matrices import (
    Product,
    ReadUpperTriangle,
    UpperFactor,
    UpperInverse,
    UpperTriangle,
)
from bayesgmm.tools.sources import version

VERSION = version(sys.modules[__name__])


@numba.njit(error_model="numpy")
def upper_triangle(diagonal: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Diagonals (K, D) and elements above (K, P) to (K, D, D)."""
    K, D = diagonal.shape
    out = np.zeros((K, D, D))
    for k in range(K):
        p = 0
        for i in range(D):
            out[k, i, i] = diagonal[k, i]
            for j in range(i + 1, D):
                out[k, i, j] = above[k, p]
                p += 1
    return out


@numba.njit(error_model="numpy")
def read_upper_triangle(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, D, D) to diagonals (K, D) and elements above (K, P)."""
    K, D = matrices.shape[0], matrices.shape[1]
    diagonal, above = np.empty((K, D)), np.empty((K, D * (D - 1) // 2))
    for k in range(K):
        p = 0
        for i in range(D):
            diagonal[k, i] = matrices[k, i, i]
            for j in range(i + 1, D):
                above[k, p] = matrices[k, i, j]
                p += 1
    return diagonal, above


@numba.njit(error_model="numpy")
def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A_k B_k; a batch of length one goes with every k."""
    K = max(left.shape[0], right.shape[0])
    a, b = (1 if left.shape[0] > 1 else 0), (1 if right.shape[0] > 1 else 0)
    out = np.zeros((K, left.shape[1], right.shape[2]))
    for k in range(K):
        for i in range(left.shape[1]):
            for m in range(right.shape[1]):
                element = left[a * k, i, m]
                for j in range(right.shape[2]):
                    out[k, i, j] += element * right[b * k, m, j]
    return out


@numba.njit(error_model="numpy")
def upper_inverse(U: np.ndarray) -> np.ndarray:
    """V_k = U_k^-1 by back substitution."""
    K, D = U.shape[0], U.shape[1]
    V = np.zeros((K, D, D))
    for k in range(K):
        for j in range(D):
            V[k, j, j] = 1.0 / U[k, j, j]
            for i in range(j - 1, -1, -1):
                total = 0.0
                for m in range(i + 1, j + 1):
                    total += U[k, i, m] * V[k, m, j]
                V[k, i, j] = -total / U[k, i, i]
    return V


@numba.njit(error_model="numpy")
def upper_factor(F: np.ndarray) -> np.ndarray:
    """U_k with U_k U_k^T = F_k F_k^T, by Gram and Schmidt on the rows from the last to the first."""
    K, D = F.shape[0], F.shape[1]
    U = np.zeros((K, D, D))
    Q = np.empty((D, D))
    for k in range(K):
        for i in range(D):
            for m in range(D):
                Q[i, m] = F[k, i, m]
        for j in range(D - 1, -1, -1):
            total = 0.0
            for m in range(D):
                total += Q[j, m] * Q[j, m]
            U[k, j, j] = np.sqrt(total)
            for m in range(D):
                Q[j, m] /= U[k, j, j]
            for i in range(j):
                total = 0.0
                for m in range(D):
                    total += Q[i, m] * Q[j, m]
                U[k, i, j] = total
                for m in range(D):
                    Q[i, m] -= total * Q[j, m]
    return U


def one_batch_dimension(function: Callable, node: Apply, ndim: int) -> Callable:
    """Check that the compiled form fits, with one leading dimension."""
    if any(variable.type.ndim != ndim for variable in node.inputs):
        raise NotImplementedError(
            f"the compiled form of {node.op} takes one leading dimension, received {node.inputs}."
        )
    return function


@register_funcify_and_cache_key(UpperTriangle)
def funcify_upper_triangle(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(upper_triangle, node, 2), VERSION


@register_funcify_and_cache_key(ReadUpperTriangle)
def funcify_read_upper_triangle(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(read_upper_triangle, node, 3), VERSION


@register_funcify_and_cache_key(Product)
def funcify_product(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(product, node, 3), VERSION


@register_funcify_and_cache_key(UpperInverse)
def funcify_upper_inverse(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(upper_inverse, node, 3), VERSION


@register_funcify_and_cache_key(UpperFactor)
def funcify_upper_factor(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable, str]:
    """Give PyTensor the function, and a key to its cache on disk that changes with this file and those it imports."""
    return one_batch_dimension(upper_factor, node, 3), VERSION
