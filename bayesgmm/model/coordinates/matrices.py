"""Small matrices, many at once, as PyTensor Ops: fill a triangle, multiply, invert a triangle, factorise.

PyTensor has all of them (advanced indexing, `matmul`, `solve_triangular`, `qr`), general in layout and type; its numba
backend compiles each for 4 to 20 s, where these plain loops over (K, D, D) take half a second. Each pullback is made
of the same Ops, so derivatives of any order exist. Leading dimensions broadcast, so that each `evaluate` is a graph's
form over all draws, PyTensor's `gufunc_spec`; the compiled form takes one of them.
May import NumPy, numba, PyTensor and what registers a compiled form.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.tensor.variable import TensorVariable

from bayesgmm.sampler.insides import compiled_form
from bayesgmm.tools.sources import version

VERSION = version(sys.modules[__name__])
"""By which PyTensor keeps the compiled forms: changes with this file and those it imports."""


def _tensor(argument: Any, least_ndim: int) -> TensorVariable:
    tensor = pt.as_tensor_variable(argument)
    if tensor.type.ndim < least_ndim or tensor.type.dtype != "float64":
        raise TypeError(f"expected a float64 tensor of {least_ndim} dimensions or more, received {tensor.type}.")
    return tensor


class UpperTriangle(Op):
    """Fill upper triangular (..., D, D) with diagonals (..., D) and what is above them, row by row, (..., D(D-1)/2)."""

    __props__ = ()
    gufunc_spec = (f"{__name__}.UpperTriangle.evaluate", 2, 1)

    def make_node(self, *inputs: Any) -> Apply:
        """Check the arguments."""
        diagonal, above = (_tensor(value, 1) for value in inputs)
        shape = diagonal.type.shape
        return Apply(self, [diagonal, above], [pt.tensor(shape=(*shape, shape[-1]), dtype="float64")])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Evaluate."""
        output_storage[0][0] = self.evaluate(*inputs)

    @staticmethod
    def evaluate(diagonal: np.ndarray, above: np.ndarray) -> np.ndarray:
        """Fill by index."""
        D = diagonal.shape[-1]
        out = np.zeros((*np.broadcast_shapes(diagonal.shape[:-1], above.shape[:-1]), D, D))
        out[..., np.arange(D), np.arange(D)] = diagonal
        i, j = np.triu_indices(D, 1)
        out[..., i, j] = above
        return out

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give the shape of the diagonals, and D again."""
        return [(*input_shapes[0], input_shapes[0][-1])]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Read the elements back."""
        return list(read_upper_triangle(cotangents[0]))


@compiled_form(UpperTriangle, VERSION, (2, 2))
@numba.njit(error_model="numpy")
def fill_upper_triangles(diagonal: np.ndarray, above: np.ndarray) -> np.ndarray:
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


class ReadUpperTriangle(Op):
    """Read from (..., D, D) the diagonals (..., D) and the elements above them, row by row, (..., D(D-1)/2)."""

    __props__ = ()
    gufunc_spec = (f"{__name__}.ReadUpperTriangle.evaluate", 1, 2)

    def make_node(self, *inputs: Any) -> Apply:
        """Check the argument."""
        (matrices,) = (_tensor(value, 2) for value in inputs)
        *batch, D, _ = matrices.type.shape
        P = None if D is None else D * (D - 1) // 2
        return Apply(self, [matrices], [pt.tensor(shape=(*batch, n), dtype="float64") for n in (D, P)])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Evaluate."""
        output_storage[0][0], output_storage[1][0] = self.evaluate(*inputs)

    @staticmethod
    def evaluate(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read by index."""
        D = matrices.shape[-1]
        i, j = np.triu_indices(D, 1)
        return matrices[..., np.arange(D), np.arange(D)], matrices[..., i, j]

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give (..., D) and (..., D(D-1)/2)."""
        *batch, D, _ = input_shapes[0]
        return [(*batch, D), (*batch, D * (D - 1) // 2)]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Put the elements back; a cotangent that is disconnected counts as zero."""
        parts = [
            pt.zeros_like(output) if isinstance(cotangent.type, DisconnectedType) else cotangent
            for output, cotangent in zip(outputs, cotangents, strict=True)
        ]
        return [upper_triangle(*parts)]


@compiled_form(ReadUpperTriangle, VERSION, (3,))
@numba.njit(error_model="numpy")
def read_upper_triangles(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


class Product(Op):
    """Multiply (..., D, E) by (..., E, F); a batch of length one goes with every other."""

    __props__ = ()
    gufunc_spec = ("numpy.matmul", 2, 1)

    def make_node(self, *inputs: Any) -> Apply:
        """Check the arguments."""
        left, right = (_tensor(value, 2) for value in inputs)
        shapes = [tensor.type.shape for tensor in (left, right)]
        depth = max(len(shape) for shape in shapes)
        batches = [(1,) * (depth - len(shape)) + shape[:-2] for shape in shapes]
        batch = [b if a == 1 else a if b == 1 or a == b else a or b for a, b in zip(*batches, strict=True)]
        return Apply(self, [left, right], [pt.tensor(shape=(*batch, shapes[0][-2], shapes[1][-1]), dtype="float64")])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Multiply."""
        output_storage[0][0] = inputs[0] @ inputs[1]

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give the broadcast batch, D and F."""
        left, right = input_shapes
        depth = max(len(left), len(right))
        batches = [(1,) * (depth - len(shape)) + tuple(shape[:-2]) for shape in (left, right)]
        return [(*(pt.maximum(a, b) for a, b in zip(*batches, strict=True)), left[-2], right[-1])]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Give G B^T and A^T G, summed over a batch of length one."""
        left, right = inputs
        G = cotangents[0]
        gradients = product(G, right.swapaxes(-1, -2)), product(left.swapaxes(-1, -2), G)
        return [_unbroadcast(gradient, variable) for gradient, variable in zip(gradients, inputs, strict=True)]


@compiled_form(Product, VERSION, (3, 3))
@numba.njit(error_model="numpy")
def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
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


class UpperInverse(Op):
    """Invert upper triangular (..., D, D) by back substitution; the lower triangle is not read."""

    __props__ = ()
    gufunc_spec = (f"{__name__}.UpperInverse.evaluate", 1, 1)

    def make_node(self, *inputs: Any) -> Apply:
        """Check the argument."""
        (matrices,) = (_tensor(value, 2) for value in inputs)
        return Apply(self, [matrices], [pt.tensor(shape=matrices.type.shape, dtype="float64")])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Evaluate."""
        output_storage[0][0] = self.evaluate(*inputs)

    @staticmethod
    def evaluate(U: np.ndarray) -> np.ndarray:
        """Solve column by column; a zero on the diagonal gives infinities, not an exception."""
        V = np.zeros(U.shape)
        with np.errstate(all="ignore"):
            for j in range(U.shape[-1]):
                V[..., j, j] = 1.0 / U[..., j, j]
                for i in range(j - 1, -1, -1):
                    total = (U[..., i, i + 1 : j + 1] * V[..., i + 1 : j + 1, j]).sum(axis=-1)
                    V[..., i, j] = -total / U[..., i, i]
        return V

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give the shape of the argument."""
        return input_shapes

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Give minus the upper triangle of V^T G V^T."""
        transposed = outputs[0].swapaxes(-1, -2)
        gradient = product(transposed, product(cotangents[0], transposed))
        return [-upper_triangle(*read_upper_triangle(gradient))]


@compiled_form(UpperInverse, VERSION, (3,))
@numba.njit(error_model="numpy")
def invert_upper(U: np.ndarray) -> np.ndarray:
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


class UpperFactor(Op):
    """Find upper triangular U, positive on the diagonal, with U U^T = F F^T for square F (..., D, D): F = U Q."""

    __props__ = ()
    gufunc_spec = (f"{__name__}.UpperFactor.evaluate", 1, 1)

    def make_node(self, *inputs: Any) -> Apply:
        """Check the argument."""
        (matrices,) = (_tensor(value, 2) for value in inputs)
        return Apply(self, [matrices], [pt.tensor(shape=matrices.type.shape, dtype="float64")])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[Any]) -> None:
        """Evaluate."""
        output_storage[0][0] = self.evaluate(*inputs)

    @staticmethod
    def evaluate(F: np.ndarray) -> np.ndarray:
        """Make the rows orthonormal by Gram and Schmidt, the last row first; a singular F gives NaN, no exception."""
        Q = np.array(F)
        U = np.zeros(Q.shape)
        with np.errstate(all="ignore"):
            for j in range(Q.shape[-1] - 1, -1, -1):
                U[..., j, j] = np.sqrt((Q[..., j, :] ** 2).sum(axis=-1))
                Q[..., j, :] /= U[..., j, j, None]
                U[..., :j, j] = (Q[..., :j, :] * Q[..., j, None, :]).sum(axis=-1)
                Q[..., :j, :] -= U[..., :j, j, None] * Q[..., j, None, :]
        return U

    def infer_shape(self, node: Apply, input_shapes: list[tuple]) -> list[tuple]:
        """Give the shape of the argument."""
        return input_shapes

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Give U^-T (P + P^T) U^-1 F, P the upper triangle of U^T G with half of its diagonal.

        From dU = U phi(X + X^T), X = U^-1 dF Q^T, phi the upper triangle with half of the diagonal.
        """
        F, U = inputs[0], outputs[0]
        inverse = upper_inverse(U)
        diagonal, above = read_upper_triangle(product(U.swapaxes(-1, -2), cotangents[0]))
        P = upper_triangle(0.5 * diagonal, above)
        symmetric = P + P.swapaxes(-1, -2)
        return [product(inverse.swapaxes(-1, -2), product(symmetric, product(inverse, F)))]


@compiled_form(UpperFactor, VERSION, (3,))
@numba.njit(error_model="numpy")
def factorise(F: np.ndarray) -> np.ndarray:
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


def _unbroadcast(gradient: TensorVariable, variable: Variable) -> TensorVariable:
    """Sum a gradient over the leading dimensions that `variable` does not have, or has with length one."""
    extra = gradient.type.ndim - variable.type.ndim
    gradient = gradient.sum(axis=tuple(range(extra))) if extra else gradient
    ones = tuple(
        axis
        for axis in range(variable.type.ndim - 2)
        if variable.type.shape[axis] == 1 and gradient.type.shape[axis] != 1
    )
    return gradient.sum(axis=ones, keepdims=True) if ones else gradient


upper_triangle: Any = UpperTriangle()
read_upper_triangle: Any = ReadUpperTriangle()
product: Any = Product()
upper_inverse: Any = UpperInverse()
upper_factor: Any = UpperFactor()


def covariances(precision_cholesky: TensorVariable) -> TensorVariable:
    """Compute Sigma = (U U^T)^-1 = V^T V with V = U^-1, (..., D, D)."""
    V = upper_inverse(precision_cholesky)
    return product(V.swapaxes(-1, -2), V)
