"""Orientations as independent angles: a chart of all frames of principal axes, uniform under Haar's measure.

Any frame of D orthogonal axes, each known up to its sign, is Q = prod_{i=1..D-1} G_{i,i+1} G_{i,i+2} ... G_{i,D} with
rotations G_ij in the planes of coordinates (i, j) by angles t_ij in (-pi/2, pi/2), one such Q for almost every frame:
column i of what is left is a point of a sphere, its sign chosen so that coordinate i is positive, and t_ij are its
latitudes. Haar's measure is the product of

    cos(t_ij)^(j - i - 1) dt_ij,   that is   (1 + sin t_ij) / 2 ~ Beta((j - i) / 2, (j - i) / 2),   independent

(Hurwitz 1897; Anderson, Olkin & Underhill 1987, SIAM Journal on Scientific and Statistical Computing 8, 625-629). Times
a fixed rotation C, the centre of the chart, Q is as uniform: the density does not know C, and t = 0 is the frame C.

A frame has 2^(D-1) rotations that differ in the signs of columns; the angles reach one of them, so that nothing is
counted twice. Cayley's chart (I - S)(I + S)^-1 reaches them all, and has tails as heavy as Cauchy's.
May import NumPy, numba and PyTensor.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from bayesgmm.model.coordinates.matrices import product
from bayesgmm.sampler.insides import compiled_form
from bayesgmm.tools.sources import version

VERSION = version(sys.modules[__name__])
"""By which PyTensor keeps the compiled forms: changes with this file and those it imports."""


def planes(D: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates i < j of each plane, (P,) and (P,), P = D(D-1)/2, in the order of the product."""
    return np.triu_indices(D, 1)


def n_features(P: int) -> int:
    """D from the number of planes."""
    return (1 + int(np.sqrt(1 + 8 * P))) // 2


class Rotation(Op):
    """Q = prod G_ij(t_ij), (..., D, D), from angles (..., P), one for each plane."""

    __props__ = ()
    gufunc_spec = (f"{__name__}.rotation_matrices", 1, 1)

    def make_node(self, *inputs: Any) -> Apply:
        """Check the argument; the number of planes must be known."""
        angles = pt.as_tensor_variable(inputs[0])
        P = angles.type.shape[-1] if angles.type.ndim else None
        if P is None or angles.type.dtype != "float64":
            raise TypeError(f"expected float64 angles with a known number of planes, received {angles.type}.")
        D = n_features(P)
        return Apply(self, [angles], [pt.tensor(shape=(*angles.type.shape[:-1], D, D), dtype="float64")])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Multiply from the right, plane by plane."""
        output_storage[0][0] = rotation_matrices(inputs[0])

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give (..., D, D)."""
        D = n_features(node.inputs[0].type.shape[-1])
        return [(*input_shapes[0][:-1], D, D)]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Give <G, dQ/dt_p> for each plane p, see `RotationPullback`."""
        return [rotation_pullback(inputs[0], product(cotangents[0], outputs[0].swapaxes(-1, -2)))]


@compiled_form(Rotation, VERSION, (2,))
@numba.njit(error_model="numpy")
def multiply_rotations(angles: np.ndarray) -> np.ndarray:
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


class RotationPullback(Op):
    """Derivatives (..., P) of <G, Q(t)> in the angles, from the angles and W = G Q^T.

    With L_p the product up to plane p and J_p the generator of its rotation, dQ/dt_p = L_p J_p L_p^T Q, hence
    <G, dQ/dt_p> = <L_p^T W L_p, J_p>: one turn of W for each plane, O(D) each.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """Check the arguments."""
        angles, W = (pt.as_tensor_variable(value) for value in inputs)
        return Apply(self, [angles, W], [pt.tensor(shape=angles.type.shape, dtype="float64")])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Turn W plane by plane, and read the element of the generator."""
        angles, W = inputs[0], np.array(inputs[1])
        cos, sin = np.cos(angles), np.sin(angles)
        out = np.empty(angles.shape)
        for p, (i, j) in enumerate(zip(*planes(W.shape[-1]), strict=True)):
            c, s = cos[..., p, None], sin[..., p, None]
            W[..., :, i], W[..., :, j] = c * W[..., :, i] + s * W[..., :, j], c * W[..., :, j] - s * W[..., :, i]
            W[..., i, :], W[..., j, :] = c * W[..., i, :] + s * W[..., j, :], c * W[..., j, :] - s * W[..., i, :]
            out[..., p] = W[..., j, i] - W[..., i, j]
        output_storage[0][0] = out

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give the shape of the angles."""
        return [input_shapes[0]]


@compiled_form(RotationPullback, VERSION, (2, 3))
@numba.njit(error_model="numpy")
def pull_back_rotations(angles: np.ndarray, W: np.ndarray) -> np.ndarray:
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


rotation: Any = Rotation()
rotation_pullback: Any = RotationPullback()


def rotation_matrices(angles: np.ndarray) -> np.ndarray:
    """Q (..., D, D) of angles (..., P)."""
    D = n_features(angles.shape[-1])
    cos, sin = np.cos(angles), np.sin(angles)
    Q = np.broadcast_to(np.eye(D), (*angles.shape[:-1], D, D)).copy()
    for p, (i, j) in enumerate(zip(*planes(D), strict=True)):
        c, s = cos[..., p, None], sin[..., p, None]
        Q[..., :, i], Q[..., :, j] = c * Q[..., :, i] + s * Q[..., :, j], c * Q[..., :, j] - s * Q[..., :, i]
    return Q


def rotation_angles(frames: np.ndarray) -> np.ndarray:
    """Angles (..., P) of orthogonal frames (..., D, D), whatever the signs of their columns."""
    R = np.array(frames, dtype=np.float64)
    D = R.shape[-1]
    angles = np.empty((*R.shape[:-2], D * (D - 1) // 2))
    p = 0
    for i in range(D - 1):
        column = R[..., :, i] * np.where(R[..., i, i] < 0, -1.0, 1.0)[..., None]
        for j in range(i + 1, D):
            angles[..., p + j - i - 1] = np.arctan2(column[..., j], np.sqrt((column[..., i:j] ** 2).sum(axis=-1)))
        for j in range(i + 1, D):
            t = angles[..., p + j - i - 1, None]
            c, s = np.cos(t), np.sin(t)
            R[..., i, :], R[..., j, :] = c * R[..., i, :] + s * R[..., j, :], c * R[..., j, :] - s * R[..., i, :]
        p += D - 1 - i
    return angles
