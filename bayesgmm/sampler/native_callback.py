"""C functions around a compiled log density, for samplers that call it without the interpreter.

A numba callback *around* a compiled function would link and optimise the whole of it again, seconds each time; ours
calls it through its address. Nor does it hold the address or any data: they are told at each call. So one callback
serves every function of the same types of arguments, and numba's cache on disk keeps it.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from bayesgmm.sampler.insides import array_at, call_at, native_form
from bayesgmm.tools.compiled import c_callback

# nutpie's protocol (its compile_pymc.py): zero is success; a positive code rejects the point, so the step counts as
# a divergence; a negative one stops the sampler.
_EXCEPTION, _GRADIENT_NOT_FINITE, _DENSITY_NOT_FINITE = 1, 3, 4

FUNCTION, FRAME, ARRAYS = 0, 1, 2
"""Where in the settings the addresses are: of the function, of the frame or 0, of each array with shape and strides."""

MOST_CALLBACKS = 64

_DOUBLES = types.CPointer(types.double)


class Callback(NamedTuple):
    """A C function: its address, and the Python object that keeps it alive."""

    address: int
    owner: Any


class CompiledFunction(NamedTuple):
    """A compiled log density ``(x, *data) -> (log density (), gradient (n,))``, for one list of types.

    Attributes
    ----------
    function : numba dispatcher
    address : int
        Of its native form; 0 where it has none.
    callback : Callback
        ``int64 (uint64 n, double *x, double *gradient, double *log_density, int64 *settings)``; needs no GIL and may
        run on several threads at once.
    """

    function: Callable
    address: int
    callback: Callback

    def settings(self, data: Sequence[np.ndarray], frame: np.ndarray | None = None) -> np.ndarray:
        """Tell the callback where the data are, and the frame: its centre and then its factor, row by row.

        The arrays must outlive the calls. (2 + ...,) int64.
        """
        told = [self.address, 0 if frame is None else frame.ctypes.data]
        if self.address:
            for array in data:
                told += [array.ctypes.data, *array.shape, *array.strides]
        return np.array(told, dtype=np.int64)


def native(function: Callable) -> CompiledFunction:
    """Wrap a compiled log density in a C function that calls it through its address.

    Parameters
    ----------
    function : numba dispatcher
        ``(x, *data) -> (log density, gradient)``, compiled for these arguments, all arrays, and no others.
    """
    form = native_form(function)
    callback = _callback(form.argument_types, form.result_type)
    return CompiledFunction(function, form.address, Callback(callback.address, (callback, function)))


def evaluate(x: Any, settings: Any) -> Any:
    """Stand for the call of the function: `_callback` puts an intrinsic of the types in question here."""
    raise NotImplementedError


def _log_density(n: int, x: Any, gradient: Any, log_density: Any, settings: Any) -> int:
    """Evaluate at x, in the frame if there is one: at centre + factor x, with the gradient with respect to x."""
    size = int(n)
    framed = settings[FRAME] != 0
    point = numba.carray(x, (size,))
    frame = numba.carray(doubles_at(settings[FRAME]), (size * (size + 1),))  # type: ignore[call-arg]
    if framed:
        point = np.empty(size)
        for i in range(size):
            point[i] = frame[i]
            for j in range(i + 1):
                point[i] += frame[size + i * size + j] * x[j]
    try:
        value, slope = evaluate(point, settings)
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
                gradient[j] += frame[size + i * size + j] * slope[i]
    for i in range(size):
        if not math.isfinite(gradient[i]):
            return _GRADIENT_NOT_FINITE
    return 0


@lru_cache(MOST_CALLBACKS)
def _callback(argument_types: tuple, result_type: types.Type) -> Any:
    """Compile `_log_density` for a function of these types, or load it from disk."""
    # PyTensor's cacheable functions are written `def f(*args)`; numba then passes one tuple.
    starred = isinstance(argument_types[0], types.BaseTuple)
    array_types = tuple(argument_types[0]) if starred else argument_types

    @intrinsic
    def call(typing_context: Any, x: types.Type, settings: types.Type) -> tuple:
        """Call the function on x and the data."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            point, told = arguments
            position = FUNCTION

            def integer() -> Any:
                """Read the next of the settings."""
                nonlocal position
                position += 1
                return builder.load(builder.gep(told, [context.get_constant(types.intp, position - 1)]))

            def array_of(kind: types.Array) -> Any:
                at = integer()
                shape, strides = ([integer() for _ in range(kind.ndim)] for _ in range(2))
                return array_at(context, builder, kind, at, shape, strides)  # the log density keeps the arrays

            address = integer()
            position = ARRAYS
            values = [point, *map(array_of, array_types[1:])]
            if starred:
                values = [context.make_tuple(builder, argument_types[0], values)]
            return call_at(context, builder, address, argument_types, result_type, values)

        return result_type(x, settings), generate

    # a global, since numba's cache does not take closures
    function = FunctionType(_log_density.__code__, globals() | {"evaluate": call}, _log_density.__name__)
    function.__module__ = __name__
    described = sha256(f"{argument_types} {result_type}".encode()).hexdigest()[:16]
    signature = types.int64(types.uint64, _DOUBLES, _DOUBLES, _DOUBLES, types.CPointer(types.int64))
    return c_callback(function, f"log_density_{described}", signature)


@intrinsic
def doubles_at(typing_context: Any, address: types.Type) -> tuple:
    """Give the pointer to doubles at an address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(_DOUBLES))

    return _DOUBLES(types.int64), generate


def interpreted(function: Callable, data: Sequence[Any]) -> CompiledFunction:
    """Wrap a log density in a C function that calls it through the interpreter, with the GIL.

    For data which are not arrays (sparse matrices, generators), and the reference `native` is tested against.
    """
    doubles = ctypes.POINTER(ctypes.c_double)

    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, doubles, doubles, doubles, ctypes.POINTER(ctypes.c_int64))
    def callback(n: int, x: Any, gradient: Any, log_density: Any, settings: Any) -> int:
        size, factor = int(n), None
        try:
            point = np.ctypeslib.as_array(x, (size,)).copy()
            if settings[FRAME] != 0:
                at = ctypes.cast(settings[FRAME], doubles)
                frame = np.ctypeslib.as_array(at, (size * (size + 1),))
                factor = frame[size:].reshape(size, size)
                point = frame[:size] + factor @ point
            value, slope = function(point, *data)
            slope = slope if factor is None else slope @ factor
            log_density[0] = float(value)
            np.ctypeslib.as_array(gradient, (size,))[:] = slope
        except Exception:
            return _EXCEPTION
        if not math.isfinite(value):
            return _DENSITY_NOT_FINITE
        return 0 if np.all(np.isfinite(slope)) else _GRADIENT_NOT_FINITE

    return CompiledFunction(function, 0, Callback(ctypes.cast(callback, ctypes.c_void_p).value or 0, callback))


@cache
def copy_callback() -> Callback:
    """Return nutpie's "expand" function that expands nothing: it copies x.

    ``int64 (uint64 n, uint64 n, double *x, double *out, void *unused)``.
    """
    signature = types.int64(types.uint64, types.uint64, _DOUBLES, _DOUBLES, types.voidptr)
    callback = c_callback(_copy, "copy", signature)
    return Callback(int(callback.address or 0), callback)


def _copy(n: int, n_out: int, x: Any, out: Any, unused: Any) -> int:
    for i in range(n):
        out[i] = x[i]
    return 0
