"""The log density of a PyMC model with its gradient, as a native C callback.

PyTensor caches the compiled function of a graph on disk (``config.base_compiledir / "numba"``), so the second
process that samples the same model loads it. A new numba callback *around* that function would link and optimise the
whole of it again, seconds each time; ours calls it through its address, and takes a fifth of a second to compile.

Two things keep the cache warm. Data are arguments of the compiled function, never constants in it: shared variables
are by PyTensor's own rule, and the numbers in the model (the parameters of a prior, observed values) are lifted out
of the graph. So the key depends on the model's structure and shapes, and another data set of the same shape hits it.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numba
import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numba import types
from numba.extending import intrinsic
from pymc.pytensorf import compile as compile_function
from pytensor.graph import rewrite_graph
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.variable import TensorConstant
from scipy.linalg import solve_triangular

from bayesgmm.threads import available_cores, single_threaded_blas
from bayesgmm.unconstrained import UnconstrainedSpace, unconstrained_space

# nutpie's protocol (its compile_pymc.py): zero is success; a positive code rejects the point, so the step counts as
# a divergence; a negative one stops the sampler.
_EXCEPTION, _GRADIENT_NOT_FINITE, _DENSITY_NOT_FINITE = 1, 3, 4

_C_LOG_DENSITY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)

# Constants which rewriting rules look for (log(1 + x), x ** 0.5, switch(…, -inf)); every other number is data.
_STRUCTURAL = np.array([0.0, 0.5, 1.0, 2.0, np.inf])


class Callback(NamedTuple):
    """A C function: its address, and the Python object that keeps it alive."""

    address: int
    owner: Any


class Frame(NamedTuple):
    """Coordinates z of the unconstrained space, x = centre + factor z.

    With a posterior's mode and a Cholesky factor of its covariance, z is about standard normal.

    Parameters
    ----------
    centre : (n,) float64
    factor : (n, n) float64, lower triangular, positive diagonal
    """

    centre: np.ndarray
    factor: np.ndarray

    def to_x(self, z: np.ndarray) -> np.ndarray:
        """Give x, (..., n), of z, (..., n)."""
        return self.centre + z @ self.factor.T

    def to_z(self, x: np.ndarray) -> np.ndarray:
        """Give z, (..., n), of x, (..., n)."""
        flat = (x - self.centre).reshape(-1, len(self.centre))
        return solve_triangular(self.factor, flat.T, lower=True).T.reshape(x.shape)


@dataclass(frozen=True, slots=True)
class LogDensity:
    """log p(x) and its gradient over the unconstrained vector x, Jacobian of the transforms included.

    Within a `Frame` it is a function of z instead: log p(centre + factor z), and its gradient with respect to z.

    Parameters
    ----------
    space : UnconstrainedSpace
        The coordinates of x; n of them.
    function : callable
        The compiled ``(x, *data) -> (log density (), gradient (n,))``.
    data : tuple of arrays
        What the model holds fixed: values of shared variables (not copied) and lifted constants. Replacing the value
        of a shared variable (`pm.set_data`) later does not reach this object.
    callback : Callback
        ``int64 (uint64 n, double *x, double *gradient, double *log_density, double *settings)``; needs no GIL and may
        run on several threads at once.
    timings : dict
        Seconds spent on ``graph`` (PyTensor's rewriting) and ``compile``.
    frame : Frame or None
        The coordinates of calls; x itself when None.
    settings : (1,) or (1 + n + n^2,) float64
        What the callback is told at each call: 0, or 1 and the frame's centre and factor.
    """

    space: UnconstrainedSpace
    function: Callable
    data: tuple[np.ndarray, ...] = field(repr=False)
    callback: Callback
    timings: dict[str, float]
    frame: Frame | None = None
    settings: np.ndarray = field(default_factory=lambda: np.zeros(1), repr=False)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the log density and its gradient.

        Parameters
        ----------
        x : (n,) float64

        Returns
        -------
        float, (n,) float64
        """
        x = np.ascontiguousarray(x, dtype=np.float64)
        value, gradient = self.function(x if self.frame is None else self.frame.to_x(x), *self.data)
        return float(value), gradient if self.frame is None else gradient @ self.frame.factor

    def at_many(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate at several points, on all cores at once; the numbers do not depend on how many.

        Parameters
        ----------
        points : (S, n) float64

        Returns
        -------
        (S,), (S, n) float64
            Minus infinity and NaN where the density or its gradient is not finite.
        """
        points = np.ascontiguousarray(points, dtype=np.float64)
        values, gradients = np.empty(len(points)), np.empty(points.shape)
        call = _C_LOG_DENSITY(self.callback.address)

        def evaluate(s: int) -> None:
            x, gradient, value = points[s].ctypes.data, gradients[s].ctypes.data, values[s : s + 1].ctypes.data
            if call(points.shape[1], x, gradient, value, self.settings.ctypes.data) != 0:
                values[s], gradients[s] = -np.inf, np.nan

        if len(points) == 1:
            with single_threaded_blas():
                evaluate(0)
            return values, gradients

        def evaluate_some(some: np.ndarray) -> None:
            for s in some.tolist():
                evaluate(s)

        cores = min(available_cores(), len(points))
        parts = np.array_split(np.arange(len(points)), min(4 * cores, len(points)))
        # ctypes gives the GIL back during the call
        with single_threaded_blas(), ThreadPoolExecutor(cores) as pool:
            list(pool.map(evaluate_some, parts))
        return values, gradients

    def within(self, frame: Frame) -> LogDensity:
        """Give the same density as a function of the frame's z; nothing is compiled."""
        settings = np.concatenate([[1.0], frame.centre, frame.factor.ravel()])
        return replace(self, frame=frame, settings=settings)


def compile_log_density(model: pm.Model) -> LogDensity:
    """Compile the log density of a model and its gradient.

    Seconds from PyTensor's cache; the first time for a model's structure, from ten seconds to a minute.
    """
    start = time.perf_counter()
    space = unconstrained_space(model)
    vector = pt.tensor("unconstrained", dtype="float64", shape=(space.size,))
    logp, lifted = _lift_constants(rewrite_graph(model.logp(), include=["canonicalize", "stabilize"]))
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    gradients = [pt.as_tensor(part, allow_xtensor_conversion=True).ravel() for part in pt.grad(logp, values)]
    parts = space.split(vector)
    outputs = graph_replace(
        [logp, pt.concatenate(gradients).astype("float64")],
        {value: parts[value.name].astype(value.dtype) for value in values},
        strict=False,
    )
    with model:  # PyMC reads `check_bounds` from the model in context
        compiled = compile_function([vector, *lifted], outputs, mode="NUMBA", on_unused_input="ignore")
    graph_done = time.perf_counter()

    function = compiled.vm.jit_fn
    # The inputs of the compiled function are the explicit ones, then the shared variables.
    shared = [container.storage[0] for container in compiled.input_storage[1 + len(lifted) :]]
    data = (*lifted.values(), *shared)
    function(np.zeros(space.size), *data)  # compiles, or loads from the cache, for these types
    wrap = native_callback if all(isinstance(array, np.ndarray) for array in data) else python_callback
    callback = wrap(function, space.size, data)
    timings = {"graph": graph_done - start, "compile": time.perf_counter() - graph_done}
    return LogDensity(space, function, data, callback, timings)


def _lift_constants(logp: pt.TensorVariable) -> tuple[pt.TensorVariable, dict[pt.TensorVariable, np.ndarray]]:
    """Replace the floating-point data among a graph's constants by inputs; return the graph and input -> value."""
    inputs, replacements = {}, {}
    for constant in graph_inputs([logp]):
        if not isinstance(constant, TensorConstant) or constant.data.dtype.kind != "f":
            continue
        if np.all(np.isin(np.abs(constant.data), _STRUCTURAL) | np.isnan(constant.data)):
            continue
        signature = constant.signature()  # equal constants become one input
        if signature not in inputs:
            inputs[signature] = (constant.type(f"constant_{len(inputs)}"), np.asarray(constant.data, order="C"))
        replacements[constant] = inputs[signature][0]
    (logp,) = graph_replace([logp], replacements, strict=False)
    return logp, dict(inputs.values())


def native_callback(function: Callable, size: int, data: tuple[np.ndarray, ...]) -> Callback:
    """Wrap a compiled log density in a C function that calls it through its address.

    Parameters
    ----------
    function : numba dispatcher
        ``(x, *data) -> (log density, gradient)``, compiled for these arguments and no others.
    size : int
        n, the length of x.
    data : tuple of arrays
        Passed at each call by pointer.
    """
    (compiled,) = function.overloads.values()
    argument_types, result_type = compiled.signature.args, compiled.signature.return_type
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    # PyTensor's cacheable functions are written `def f(*args)`; numba then passes one tuple.
    starred = isinstance(argument_types[0], types.BaseTuple)
    array_types = tuple(argument_types[0]) if starred else argument_types

    @intrinsic
    def evaluate(typing_context: Any, x: types.Type) -> tuple:
        """Call the function at `address` on x and the data."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            def integer(value: int) -> Any:
                return context.get_constant(types.intp, value)

            def by_pointer(array_type: types.Array, array: np.ndarray) -> Any:
                struct = context.make_array(array_type)(context, builder)
                pointer = context.get_data_type(array_type.dtype).as_pointer()
                context.populate_array(
                    struct,
                    data=builder.inttoptr(integer(array.ctypes.data), pointer),
                    shape=[integer(length) for length in array.shape],
                    strides=[integer(stride) for stride in array.strides],
                    itemsize=integer(array.itemsize),
                    meminfo=None,  # borrowed: the owner of the callback keeps the array
                )
                return struct._getvalue()

            values = [arguments[0], *map(by_pointer, array_types[1:], data)]
            if starred:
                values = [context.make_tuple(builder, argument_types[0], values)]
            convention = context.call_conv
            pointer = convention.get_function_type(result_type, argument_types).as_pointer()
            status, result = convention.call_function(
                builder, builder.inttoptr(integer(address), pointer), result_type, argument_types, values
            )
            with builder.if_then(status.is_error, likely=False):
                convention.return_status_propagate(builder, status)
            return result

        return result_type(x), generate

    double = types.CPointer(types.double)
    first = 1 + size  # the factor, among the settings, after a flag and the centre

    @numba.cfunc(types.int64(types.uint64, double, double, double, double))
    def callback(n: int, x: Any, gradient: Any, log_density: Any, settings: Any) -> int:
        framed = settings[0] != 0.0
        point = numba.carray(x, (size,))
        if framed:
            point = np.empty(size)
            for i in range(size):
                point[i] = settings[1 + i]
                for j in range(i + 1):
                    point[i] += settings[first + i * size + j] * x[j]
        try:
            value, slope = evaluate(point)
        except Exception:
            return _EXCEPTION
        log_density[0] = value.item()
        if not math.isfinite(log_density[0]):
            return _DENSITY_NOT_FINITE
        for i in range(size):
            gradient[i] = slope[i]
        if framed:
            for j in range(size):
                gradient[j] = 0.0
            for i in range(size):
                for j in range(i + 1):
                    gradient[j] += settings[first + i * size + j] * slope[i]
        for i in range(size):
            if not math.isfinite(gradient[i]):
                return _GRADIENT_NOT_FINITE
        return 0

    return Callback(callback.address, (callback, function, data))


def python_callback(function: Callable, size: int, data: tuple) -> Callback:
    """Wrap a log density in a C function that calls it through the interpreter, with the GIL.

    For data which are not arrays (sparse matrices, generators), and the reference `native_callback` is tested against.
    """
    double = ctypes.POINTER(ctypes.c_double)

    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, double, double, double, double)
    def callback(n: int, x: Any, gradient: Any, log_density: Any, settings: Any) -> int:
        frame = None
        if settings[0] != 0.0:
            both = np.ctypeslib.as_array(settings, (1 + size + size**2,))[1:]
            frame = Frame(both[:size], both[size:].reshape(size, size))
        try:
            point = np.ctypeslib.as_array(x, (size,)).copy()
            value, slope = function(point if frame is None else frame.to_x(point), *data)
            slope = slope if frame is None else slope @ frame.factor
            log_density[0] = float(value)
            np.ctypeslib.as_array(gradient, (size,))[:] = slope
        except Exception:
            return _EXCEPTION
        if not math.isfinite(value):
            return _DENSITY_NOT_FINITE
        return 0 if np.all(np.isfinite(slope)) else _GRADIENT_NOT_FINITE

    return Callback(ctypes.cast(callback, ctypes.c_void_p).value, callback)


def copy_callback() -> Callback:
    """Return nutpie's "expand" function that expands nothing: it copies x.

    ``int64 (uint64 n, uint64 n, double *x, double *out, void *unused)``.
    """
    double = types.CPointer(types.double)

    @numba.cfunc(types.int64(types.uint64, types.uint64, double, double, types.voidptr))
    def callback(n: int, n_out: int, x: Any, out: Any, unused: Any) -> int:
        for i in range(n):
            out[i] = x[i]
        return 0

    return Callback(callback.address, callback)
