"""The log density of a PyMC model with its gradient, as a native C callback.

PyTensor caches the compiled function of a graph on disk (``config.base_compiledir / "numba"``), and
`bayesgmm.sampler.compile_cache` finds it there without rewriting the graph: the second process that samples the same
model loads it, and so does the second model of the same structure in a process.

For that, data are arguments of the compiled function, never constants in it: the shared variables, and the numbers in
the model (the parameters of a prior, observed values), which are lifted out of the graph before anything is done to it.
So the compiled form depends on the model's structure and shapes, and another data set finds it.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph import rewrite_graph
from pytensor.graph.basic import Variable
from pytensor.graph.replace import graph_replace
from pytensor.tensor.variable import TensorVariable
from scipy.linalg import solve_triangular

from bayesgmm.sampler.compile_cache import fingerprint, lift_data, load_from_disk, note_on_disk, once
from bayesgmm.sampler.insides import attempt, numba_function
from bayesgmm.sampler.native_callback import Callback, CompiledFunction, interpreted, native
from bayesgmm.sampler.unconstrained import UnconstrainedSpace, unconstrained_space
from bayesgmm.tools.sources import version
from bayesgmm.tools.threads import available_cores, over_threads

_C_LOG_DENSITY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)

_VERSION = version(sys.modules[__name__])
"""Of what makes a function of a graph: this module and those it imports."""


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
    compiled : CompiledFunction
        ``(x, *data) -> (log density (), gradient (n,))``, which knows no data; other models may share it.
    data : tuple of arrays
        What the model holds fixed: values of shared variables (not copied) and lifted constants. Replacing the value
        of a shared variable (`pm.set_data`) later does not reach this object.
    timings : dict
        Seconds spent on ``graph`` (reading the model) and ``compile``.
    frame : Frame or None
        The coordinates of calls; x itself when None.
    """

    space: UnconstrainedSpace
    compiled: CompiledFunction
    data: tuple[Any, ...] = field(repr=False)
    timings: dict[str, float]
    frame: Frame | None = None
    settings: np.ndarray = field(init=False, repr=False)
    """What the callback is told at each call; see `bayesgmm.sampler.native_callback`."""
    _frame_numbers: np.ndarray | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Write down where data and frame are."""
        frame = self.frame
        numbers = None if frame is None else np.concatenate([frame.centre, frame.factor.ravel()], dtype=np.float64)
        object.__setattr__(self, "_frame_numbers", numbers)  # kept, since the settings only point to it
        object.__setattr__(self, "settings", self.compiled.settings(self.data, numbers))

    @property
    def function(self) -> Any:
        """The compiled function."""
        return self.compiled.function

    @property
    def callback(self) -> Callback:
        """``int64 (uint64 n, double *x, double *gradient, double *log_density, int64 *settings)``, without the GIL."""
        return self.compiled.callback

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

        def evaluate(some: np.ndarray) -> None:
            for s in some.tolist():
                x, gradient, value = points[s].ctypes.data, gradients[s].ctypes.data, values[s : s + 1].ctypes.data
                # ctypes gives the GIL back during the call
                if call(points.shape[1], x, gradient, value, self.settings.ctypes.data) != 0:
                    values[s], gradients[s] = -np.inf, np.nan

        n_parts = max(1, min(4 * available_cores(), len(points)))
        over_threads(evaluate, np.array_split(np.arange(len(points)), n_parts))
        return values, gradients

    def within(self, frame: Frame) -> LogDensity:
        """Give the same density as a function of the frame's z; nothing is compiled."""
        return replace(self, frame=frame)


def compile_log_density(model: pm.Model) -> LogDensity:
    """Compile the log density of a model and its gradient.

    A tenth of a second where the function of a model of this structure is there, in this process or on disk; the first
    time, from ten seconds to a minute.
    """
    start = time.perf_counter()
    space = unconstrained_space(model)
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    (logp,), lifted = lift_data([model.logp()])
    data = tuple(lifted.values())
    arrays = (np.zeros(space.size), *data)
    are_arrays = all(isinstance(array, np.ndarray) for array in arrays)
    signature = tuple(numba.typeof(array) for array in arrays) if are_arrays else ()
    described = (str(space), str(model.check_bounds), str(signature), _VERSION)
    key = fingerprint([logp], [*values, *lifted], *described) if are_arrays else None
    graph_done = time.perf_counter()

    def make() -> tuple[Callable, CompiledFunction | None]:
        function = None if key is None else load_from_disk(key, signature)
        if function is None:
            whole = _compile(model, space, logp, values, list(lifted))
            function = numba_function(whole)
            if function is None:
                return _one_at_a_time(whole), None
            function(*arrays)  # compiles, or loads from PyTensor's cache, for these types
            if key is not None:
                note_on_disk(key, function, [logp])
        return function, attempt("numba", partial(native, function)) if are_arrays else None

    function, compiled = make() if key is None else once(key, make)
    if compiled is None:
        compiled = interpreted(function, data)
    timings = {"graph": graph_done - start, "compile": time.perf_counter() - graph_done}
    return LogDensity(space, compiled, data, timings)


def _compile(
    model: pm.Model, space: UnconstrainedSpace, logp: TensorVariable, values: list, inputs: list[Variable]
) -> Any:
    """Compile ``(x, *inputs) -> (log density, gradient)`` by PyTensor's numba backend."""
    logp = rewrite_graph(logp, include=["canonicalize", "stabilize"])
    gradients = [pt.as_tensor(part, allow_xtensor_conversion=True).ravel() for part in pt.grad(logp, values)]
    vector = pt.tensor("unconstrained", dtype="float64", shape=(space.size,))
    parts = space.split(vector)
    outputs = graph_replace(
        [logp, pt.concatenate(gradients).astype("float64")],
        {value: parts[value.name].astype(value.dtype) for value in values},
        strict=False,
    )
    with model:  # PyMC reads `check_bounds` from the model in context
        return pm.compile([vector, *inputs], outputs, mode="NUMBA", on_unused_input="ignore")


def _one_at_a_time(function: Callable) -> Callable:
    """Let threads take turns: a function of PyTensor's keeps its arguments while it runs."""
    lock = threading.Lock()

    def take_turns(*arguments: Any) -> Any:
        with lock:
            return function(*arguments)

    return take_turns
