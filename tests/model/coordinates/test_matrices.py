"""The small matrix Ops against NumPy, compiled against interpreted, with their pullbacks."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose
from pytensor.gradient import verify_grad
from pytensor.graph.replace import vectorize_graph
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.utils import import_func_from_string

from bayesgmm.model.coordinates.matrices import (
    covariances,
    factorise,
    fill_upper_triangles,
    invert_upper,
    multiply,
    product,
    read_upper_triangle,
    read_upper_triangles,
    upper_factor,
    upper_inverse,
    upper_triangle,
)
from bayesgmm.model.coordinates.rotations import rotation
from tests.support.reference import INTERPRETED, random_parameters


@pytest.mark.parametrize("D", [1, 2, 5])
def test_triangles_are_filled_and_read_row_by_row(rng, D):
    diagonal, above = rng.normal(size=(3, D)), rng.normal(size=(3, D * (D - 1) // 2))
    expected = np.zeros((3, D, D))
    for k in range(3):
        expected[k][np.diag_indices(D)] = diagonal[k]
        expected[k][np.triu_indices(D, 1)] = above[k]
    assert_allclose(upper_triangle(diagonal, above).eval(mode=INTERPRETED), expected)
    assert_allclose(fill_upper_triangles(diagonal, above), expected)
    for parts in (
        [part.eval(mode=INTERPRETED) for part in read_upper_triangle(expected)],
        read_upper_triangles(expected),
    ):
        assert_allclose(parts[0], diagonal)
        assert_allclose(parts[1], above)


@pytest.mark.parametrize(("left", "right"), [(3, 3), (1, 3), (3, 1)])
def test_products_are_numpys(rng, left, right):
    A, B = rng.normal(size=(left, 2, 4)), rng.normal(size=(right, 4, 3))
    assert_allclose(product(A, B).eval(mode=INTERPRETED), A @ B)
    assert_allclose(multiply(A, B), A @ B, rtol=1e-12)
    verify_grad(product, [A, B], rng=rng, mode=INTERPRETED)


@pytest.mark.parametrize("D", [1, 2, 5])
def test_upper_triangles_are_inverted(rng, D):
    _, _, U = random_parameters(rng, 3, D)
    expected = np.linalg.inv(U)
    assert_allclose(upper_inverse(U).eval(mode=INTERPRETED), expected, atol=1e-12)
    assert_allclose(invert_upper(U), expected, atol=1e-12)
    assert_allclose(covariances(pt.constant(U)).eval(mode=INTERPRETED), np.linalg.inv(U @ np.swapaxes(U, 1, 2)))


@pytest.mark.parametrize("D", [1, 2, 5])
def test_square_factors_become_triangular_with_the_same_product(rng, D):
    # axes of very unequal lengths: forming F F^T first would lose the short ones
    F = np.linalg.qr(rng.normal(size=(3, D, D)))[0] * np.logspace(0, 6, D)
    for U in (upper_factor(F).eval(mode=INTERPRETED), factorise(F)):
        assert_allclose(U, np.triu(U))
        assert (np.diagonal(U, axis1=1, axis2=2) > 0).all()
        assert_allclose(U @ np.swapaxes(U, 1, 2), F @ np.swapaxes(F, 1, 2), rtol=1e-10)
        # U^-1 F is orthogonal
        Q = np.linalg.solve(U, F)
        assert_allclose(Q @ np.swapaxes(Q, 1, 2), np.repeat(np.eye(D)[None], 3, axis=0), atol=1e-8)
    verify_grad(upper_factor, [rng.normal(size=(2, D, D)) + 2 * np.eye(D)], rng=rng, mode=INTERPRETED)


def test_pullbacks_are_those_of_finite_differences(rng):
    diagonal, above = 1.0 + rng.random((2, 3)), rng.normal(size=(2, 3))
    verify_grad(upper_triangle, [diagonal, above], rng=rng, mode=INTERPRETED)
    for part in (0, 1):
        verify_grad(
            lambda M, part=part: read_upper_triangle(M)[part], [rng.normal(size=(2, 3, 3))], rng=rng, mode=INTERPRETED
        )
    verify_grad(lambda d, a: covariances(upper_triangle(d, a)), [diagonal, above], rng=rng, mode=INTERPRETED)


def test_shapes_are_inferred_without_running(rng):
    U = pt.tensor3("U")
    outputs = [product(U, U), upper_inverse(U), *read_upper_triangle(U), upper_triangle(*read_upper_triangle(U))]
    shapes = pytensor.function([U], [output.shape for output in outputs], mode="FAST_COMPILE")
    assert [tuple(s) for s in shapes(np.ones((2, 4, 4)))] == [(2, 4, 4), (2, 4, 4), (2, 4), (2, 6), (2, 4, 4)]


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (upper_triangle, [(3, 2), (3, 1)]),
        (read_upper_triangle, [(3, 2, 2)]),
        (product, [(1, 2, 4), (3, 4, 3)]),
        (upper_inverse, [(3, 2, 2)]),
        (upper_factor, [(3, 2, 2)]),
        (rotation, [(3, 3)]),
    ],
    ids=str,
)
def test_operations_are_vectorised_over_draws_in_one_call(rng, op, shapes):
    variables = [pt.tensor(shape=shape, dtype="float64") for shape in shapes]
    outputs = op(*variables, return_list=True)
    values = [rng.normal(size=(5, *shape)) for shape in shapes]
    for fixed in (None, 0) if len(shapes) > 1 else (None,):  # an argument may be the same in all draws
        given = [value[0] if i == fixed else value for i, value in enumerate(values)]
        many = {
            variable: pt.tensor(shape=(None, *shape), dtype="float64")
            for i, (variable, shape) in enumerate(zip(variables, shapes, strict=True))
            if i != fixed
        }
        found = vectorize_graph(outputs, many)
        node = found[0].owner
        assert isinstance(node.op, Blockwise) and node.op.core_op == op
        gufunc = import_func_from_string(op.gufunc_spec[0])
        assert gufunc is not None and op.gufunc_spec[1:] == (len(shapes), len(outputs))
        function = pytensor.function([many.get(v, v) for v in variables], found, mode=INTERPRETED)
        alone = pytensor.function(variables, outputs, mode=INTERPRETED)
        drawn = [alone(*(v if i == fixed else v[s] for i, v in enumerate(given))) for s in range(5)]
        for together, one_by_one in zip(function(*given), zip(*drawn, strict=True), strict=True):
            np.testing.assert_array_equal(together, np.stack(one_by_one))


def test_operations_of_the_same_types_are_not_taken_for_each_other(rng):
    """PyTensor finds machine code by keys of operations, which must tell them apart."""
    F = pt.tensor(shape=(None, 2, 2), dtype="float64")
    values = rng.normal(size=(3, 2, 2))
    for op, compiled in ((upper_inverse, invert_upper), (upper_factor, factorise)):
        assert_allclose(pytensor.function([F], op(F), mode="NUMBA")(values), compiled(values), rtol=1e-12)


def test_graphs_are_vectorised_over_draws(rng):
    U, draws = pt.tensor3("U"), pt.tensor4("draws")
    values = np.stack([random_parameters(rng, 3, 2)[2] for _ in range(5)])
    (many,) = vectorize_graph([covariances(U)], {U: draws})
    assert_allclose(
        many.eval({draws: values}, mode=INTERPRETED), np.linalg.inv(values @ np.swapaxes(values, -1, -2)), atol=1e-12
    )
