"""The unconstrained vector of a PyMC model: the way in, and the way back for all draws at once.

A sampler moves a point x in R^n. Its coordinates are the model's free variables after their transforms, each
raveled in C order, one after the other in the order of ``model.free_RVs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from pytensor.graph.replace import graph_replace, vectorize_graph
from pytensor.graph.rewriting.db import RewriteDatabaseQuery

# NumPy runs the graph node by node: nothing is compiled and nothing rewritten, so a graph that runs once (or once
# over all draws) costs milliseconds where a compiled one costs seconds.
_INTERPRETED = Mode(linker="py", optimizer=RewriteDatabaseQuery(include=[]))


def _interpreted(inputs: list, outputs: list) -> Callable:
    # Graphs inside an operation (a scan's step) go to the C compiler all the same, unless there is none.
    with pytensor.config.change_flags(cxx=""):
        return pytensor.function(inputs, outputs, mode=_INTERPRETED, on_unused_input="ignore")


@dataclass(frozen=True, slots=True)
class UnconstrainedSpace:
    """The coordinates of the unconstrained vector.

    Parameters
    ----------
    names : tuple of str
        Names of the value variables (``weights_simplex__`` for the variable ``weights``), in order.
    shapes : tuple of tuple of int
        Their shapes.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Return n, the length of the vector."""
        return sum(prod(shape) for shape in self.shapes)

    def split(self, vector: Any) -> dict[str, Any]:
        """Cut a vector into the value variables.

        Parameters
        ----------
        vector : (..., n), NumPy array or PyTensor variable

        Returns
        -------
        dict
            Name of the value variable -> its part, of shape ``(..., *shape)``.
        """
        parts, start = {}, 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + prod(shape)
            parts[name] = vector[..., start:stop].reshape((*vector.shape[:-1], *shape))
            start = stop
        return parts


def unconstrained_space(model: pm.Model) -> UnconstrainedSpace:
    """List the coordinates of a model's unconstrained vector.

    Raises
    ------
    ValueError
        If a free variable is discrete, or there is none.
    """
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    if not values:
        raise ValueError("The model has no free random variable; there is nothing to sample.")
    discrete = [value.name for value in values if value.type.numpy_dtype.kind != "f"]
    if discrete:
        raise ValueError(
            f"NUTS needs continuous variables; {', '.join(discrete)} is discrete — sum it out of the model first."
        )
    shapes = [value.type.shape for value in values]
    if any(length is None for shape in shapes for length in shape):
        shapes = [part.shape for part in _initial_parts(model)]
    return UnconstrainedSpace(tuple(value.name for value in values), tuple(tuple(shape) for shape in shapes))


def initial_vector(model: pm.Model) -> np.ndarray:
    """Return the model's own initial point, unconstrained.

    It is PyMC's (`pm.Model.initial_point`), computed without a compiler.

    Returns
    -------
    (n,) float64
    """
    return np.concatenate([np.ravel(part) for part in _initial_parts(model)]).astype(np.float64)


def _initial_parts(model: pm.Model) -> list[np.ndarray]:
    with pytensor.config.change_flags(cxx=""):
        point = model.initial_point()
    return [point[model.rvs_to_values[rv].name] for rv in model.free_RVs]


def unconstrained_point(model: pm.Model, point: Mapping[str, np.ndarray]) -> np.ndarray:
    """Map values of the model's free variables to the unconstrained vector.

    Parameters
    ----------
    model : pm.Model
    point : mapping
        Name of each free variable -> its value, constrained: weights that sum to one, positive scales.

    Returns
    -------
    (n,) float64
        In the order of `unconstrained_space`.

    Raises
    ------
    ValueError
        If a variable is missing, or a value lies on the edge of its support or outside (its image is not finite).
    """
    return unconstrained_points(model, [point])[0]


def unconstrained_points(model: pm.Model, points: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray:
    """Map many values of the model's free variables to unconstrained vectors.

    Parameters
    ----------
    model : pm.Model
    points : sequence of mappings
        Each as in `unconstrained_point`.

    Returns
    -------
    (S, n) float64
        In the order of `unconstrained_space`.

    Raises
    ------
    ValueError
        If a variable is missing, or a value lies on the edge of its support or outside (its image is not finite).
    """
    missing = [rv.name for rv in model.free_RVs if any(rv.name not in point for point in points)]
    if missing:
        raise ValueError(f"`point` has no value for {', '.join(missing)}; it needs one for every free variable.")
    given = {rv: rv.type(f"given_{rv.name}") for rv in model.free_RVs}
    images = []
    for rv, value in given.items():
        transform = model.rvs_to_transforms[rv]
        images.append(value if transform is None else transform.forward(value, *rv.owner.inputs))
    # A transform may depend on other variables (the bounds of an interval): they take their given values too.
    images = graph_replace(images, given, strict=False)
    if len(points) > 1 and (together := _images_together(given, images, points)) is not None:
        return together
    image = _interpreted(list(given.values()), images)
    vectors = []
    for point in points:
        parts = image(*(np.asarray(point[rv.name], dtype=rv.dtype) for rv in given))
        for rv, part in zip(given, parts, strict=True):
            if not np.all(np.isfinite(part)):
                raise ValueError(
                    f"`point['{rv.name}']` is {np.asarray(point[rv.name])!r}: on the edge of its support or outside, "
                    "its unconstrained image is not finite — move it inside."
                )
        vectors.append(np.concatenate([np.ravel(part) for part in parts]))
    return np.array(vectors, dtype=np.float64)


def _images_together(given: dict, images: list, points: Sequence[Mapping[str, np.ndarray]]) -> np.ndarray | None:
    """Map all points in one pass; None where an operation has no vectorised form, or an image is not finite."""
    many = {value: pt.tensor(dtype=value.dtype, shape=(None, *value.type.shape)) for value in given.values()}
    try:
        function = _interpreted(list(many.values()), vectorize_graph(images, replace=many))
    except NotImplementedError:
        return None
    values = [np.stack([np.asarray(point[rv.name], dtype=rv.dtype) for point in points]) for rv in given]
    parts = [np.asarray(part).reshape(len(points), -1) for part in function(*values)]
    first = _interpreted(list(given.values()), images)(*(value[0] for value in values))
    if not all(
        np.allclose(part[0], np.ravel(one), rtol=1e-9, atol=0.0) for part, one in zip(parts, first, strict=True)
    ):
        return None
    vectors = np.concatenate(parts, axis=1).astype(np.float64)
    # the loop over points says which value of which point it was
    return vectors if np.isfinite(vectors).all() else None


def constrain_draws(model: pm.Model, vectors: np.ndarray) -> dict[str, np.ndarray]:
    r"""Map unconstrained vectors to the model's variables, all vectors in one pass.

    The model's graph is vectorised over the leading dimension and run by NumPy. A graph that cannot be vectorised, or
    whose vectorised form disagrees with the graph itself on the first vector, runs once per vector instead.

    Parameters
    ----------
    model : pm.Model
    vectors : (..., n) float64

    Returns
    -------
    dict
        Name -> array (..., \*shape) for every free variable and every Deterministic.
    """
    space = unconstrained_space(model)
    names = {variable.name for variable in (*model.free_RVs, *model.deterministics)}
    outputs = {
        variable.name: pt.as_tensor(variable, allow_xtensor_conversion=True)
        for variable in model.unobserved_value_vars
        if variable.name in names
    }
    batch, leading = vectors.reshape(-1, space.size), vectors.shape[:-1]
    function = _one_vector_function(model, space, list(outputs.values()))
    values = _vectorised(model, space, list(outputs.values()), batch)
    if values is None or not all(
        np.allclose(many[0], one, rtol=1e-9, atol=0.0, equal_nan=True)
        for many, one in zip(values, function(batch[0]), strict=True)
    ):
        values = [np.stack(draws) for draws in zip(*map(function, batch), strict=True)]
    return {name: value.reshape(*leading, *value.shape[1:]) for name, value in zip(outputs, values, strict=True)}


def prior_gradients(model: pm.Model, vectors: np.ndarray) -> np.ndarray:
    """Gradient of the log prior density over the unconstrained vector, Jacobian of the transforms included.

    Observed variables and potentials are left out. Nothing is compiled: milliseconds for each vector.

    Parameters
    ----------
    vectors : (S, n) float64

    Returns
    -------
    (S, n) float64
    """
    space = unconstrained_space(model)
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    parts: Any = pt.grad(model.logp(vars=model.free_RVs), values)
    gradients = [pt.as_tensor(part, allow_xtensor_conversion=True).ravel() for part in parts]
    function = _one_vector_function(model, space, gradients)
    return np.array([np.concatenate(function(vector)) for vector in vectors])


def _vectorised(
    model: pm.Model, space: UnconstrainedSpace, outputs: list, batch: np.ndarray
) -> list[np.ndarray] | None:
    """Evaluate the outputs on (draws, n) vectors in one pass; None if an operation has no vectorised form."""
    symbol = pt.tensor("unconstrained", dtype="float64", shape=(None, space.size))
    try:
        vectorized = vectorize_graph(outputs, replace=_value_variables(model, space, symbol))
    except NotImplementedError:
        return None
    values = _interpreted([symbol], vectorized)(batch)
    # An output that depends on no free variable has no batch dimension of its own.
    return [
        np.array(np.broadcast_to(value, (len(batch), *value.shape))) if value.ndim == output.ndim else value
        for value, output in zip(values, outputs, strict=True)
    ]


def _one_vector_function(model: pm.Model, space: UnconstrainedSpace, outputs: list) -> Callable:
    symbol = pt.tensor("unconstrained", dtype="float64", shape=(space.size,))
    replaced = graph_replace(outputs, _value_variables(model, space, symbol), strict=False)
    return _interpreted([symbol], replaced)


def _value_variables(model: pm.Model, space: UnconstrainedSpace, vector: pt.TensorVariable) -> dict:
    """Return value variable -> its part of the symbolic `vector`."""
    parts = space.split(vector)
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    return {value: parts[value.name].astype(value.dtype) for value in values}
