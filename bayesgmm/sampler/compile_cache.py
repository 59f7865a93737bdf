"""Compiled functions of PyTensor graphs, found again by the structure of the graph.

PyTensor keeps compiled code on disk, but to find it there it rewrites the graph first, for a second. Here a fingerprint
of the graph *before* rewriting leads to the code: in this process through a dictionary, in the next one through a small
file that holds PyTensor's own key. The numbers that the graph works on are its inputs and no part of it, so that all
data of the same types share one function, and nothing here holds any.

A fingerprint is made only of what is understood; a graph with anything else in it has none, and is compiled each time.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import metadata
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import pytensor
from cachetools import LRUCache, cached
from llvmlite.binding import address_of_symbol
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.op import HasInnerGraph, Op
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import graph_inputs, toposort
from pytensor.graph.type import Type
from pytensor.scalar.basic import ScalarOp, ScalarType
from pytensor.tensor.type import TensorType
from pytensor.tensor.type_other import NoneTypeT
from pytensor.tensor.variable import TensorConstant

from bayesgmm.sampler.insides import KeptCode, function_of, kept_code
from bayesgmm.tools.atomic import replacing
from bayesgmm.tools.compiled import symbols
from bayesgmm.tools.sources import closure, loaded, version

MOST_FUNCTIONS = 64
"""So many functions are kept in the process, those used last."""

FOLDER = pytensor.config.base_compiledir / "bayesgmm"

KNOWN_PACKAGES = ("bayesgmm", "pymc", "pytensor")
"""An operation from elsewhere may change without a change of these versions."""


# Constants which rewriting rules look for (log(1 + x), x ** 0.5, switch(…, -inf)); every other number is data.
_STRUCTURAL = np.array([0.0, 0.5, 1.0, 2.0, np.inf])


class _Unknown(Exception):
    """Something that a fingerprint cannot be made of."""


def digest(*parts: str) -> str:
    """Give one name, of 64 letters, to several strings."""
    return sha256(json.dumps(parts).encode()).hexdigest()


def surroundings() -> str:
    """Everything besides a graph that its compiled form depends on, whatever its operations: versions and settings."""
    config = pytensor.config
    settings = [config.floatX, config.numba__fastmath, config.optimizer, config.optimizer_including]
    return digest(_versions(), *map(str, settings), str(config.optimizer_excluding))


@cache
def _versions() -> str:
    packages = [f"{name} {metadata.version(name)}" for name in ("pytensor", "pymc", "numba", "numpy")]
    return digest(*packages, version(sys.modules[__name__]))


def lift_data(outputs: Sequence[Variable]) -> tuple[list[Variable], dict[Variable, Any]]:
    """Replace what a graph holds fixed by inputs: shared variables, and floating-point data among the constants.

    Returns
    -------
    outputs : list of Variable
    lifted : dict
        Input -> its value, in the order of the graph.
    """
    lifted: dict[Variable, Any] = {}
    replacements: dict[Variable, Variable] = {}
    equal: dict[Any, Variable] = {}  # equal constants become one input
    for found in graph_inputs(outputs):
        if found in replacements:
            continue
        if isinstance(found, SharedVariable):
            replacements[found] = found.type(f"data_{len(lifted)}")
            lifted[replacements[found]] = found.get_value(borrow=True)
        elif isinstance(found, TensorConstant) and found.data.dtype.kind == "f" and not _is_structural(found.data):
            signature = found.signature()
            if signature not in equal:
                equal[signature] = found.type(f"data_{len(lifted)}")
                lifted[equal[signature]] = np.asarray(found.data, order="C")
            replacements[found] = equal[signature]
    return list(graph_replace(list(outputs), replacements, strict=False)), lifted


def _is_structural(values: np.ndarray) -> bool:
    return bool(np.all(np.isin(np.abs(values), _STRUCTURAL) | np.isnan(values)))


def fingerprint(outputs: Sequence[Variable], inputs: Sequence[Variable], *more: str) -> str | None:
    """Name the function of a graph; None where something in it is not understood.

    Two graphs have the same only where they apply the same operations to the same inputs and constants, of the same
    types, in the same order; and where our own of these operations come from the same sources.

    Parameters
    ----------
    outputs, inputs : sequence of Variable
        Every variable that is computed from nothing must be one of the inputs, or a constant.
    more : str
        What else the compiled form depends on.
    """
    numbers: dict[Variable, str] = {}
    made_by = sources(outputs)
    lines = [surroundings(), version(*made_by), *symbols(made_by), *more]
    try:
        for i, variable in enumerate(inputs):
            numbers[variable] = f"input {i}"
            lines.append(_type(variable.type))
        for i, node in enumerate(toposort(outputs, blockers=list(inputs))):
            arguments = [_variable(variable, numbers) for variable in node.inputs]
            lines.append(f"{_value(node.op)} of {arguments} to {[_type(output.type) for output in node.outputs]}")
            numbers |= {output: f"{i}.{j}" for j, output in enumerate(node.outputs)}
        lines += [_variable(variable, numbers) for variable in outputs]
    except _Unknown:
        return None
    return digest(*lines)


def sources(outputs: Sequence[Variable]) -> tuple[ModuleType, ...]:
    """List the modules of this package by which a graph's operations are defined, differentiated and compiled.

    The compiled form of an operation stands in its module, or is imported there.

    Raises
    ------
    ImportError
        If one of them cannot be found.
    """
    names = set()
    for node in toposort(outputs):
        for kind in _kinds(node.op):
            names |= {parent.__module__ for parent in kind.__mro__ if _is_own(parent.__module__)}
    return closure(*(loaded(name, __name__) for name in sorted(names)))


def _kinds(op: Op) -> Iterator[type]:
    """Classes of an operation, and of those that it applies to elements or batches."""
    yield type(op)
    for name in getattr(type(op), "__props__", None) or ():
        if isinstance(inner := getattr(op, name), Op):
            yield from _kinds(inner)


def _is_own(module: str) -> bool:
    return module.split(".")[0] == __name__.split(".")[0]


def _variable(variable: Variable, numbers: dict[Variable, str]) -> str:
    if variable in numbers:
        return numbers[variable]
    if not isinstance(variable, Constant):
        raise _Unknown(variable)
    return f"constant {_type(variable.type)} {_value(variable.data)}"


def _type(found: Type) -> str:
    if type(found) is TensorType:
        return f"tensor {found.dtype} {found.shape}"
    if type(found) is ScalarType:
        return f"scalar {found.dtype}"
    if type(found) is NoneTypeT:
        return "none"
    raise _Unknown(found)


def _value(value: Any) -> str:
    """Write a constant, an operation or one of its properties in full."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise _Unknown(value)
        return f"{array.dtype.str}{array.shape}{sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_value, value))})"
    if isinstance(value, slice):
        return f"slice{_value((value.start, value.stop, value.step))}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{_value(key)}: {_value(item)}' for key, item in value.items()))}}}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Type):
        return _type(value)
    if isinstance(value, Op):
        return _operation(value)
    raise _Unknown(value)


def _operation(op: Op) -> str:
    kind = type(op)
    if kind.__module__.split(".")[0] not in KNOWN_PACKAGES:
        raise _Unknown(op)
    names = getattr(kind, "__props__", None)
    if names is None:
        # the type of a scalar operation's result, all that it may hold besides its name, is among the outputs
        if not isinstance(op, ScalarOp) or isinstance(op, HasInnerGraph):
            raise _Unknown(op)
        names = ()
    return f"{_value(kind)}{_value([getattr(op, name) for name in names])}"


@cached(LRUCache(MOST_FUNCTIONS), key=lambda key, make: key, lock=Lock())
def once[Made](key: str, make: Callable[[], Made]) -> Made:
    """Make the function of a fingerprint, or give the one that was made before in this process."""
    return make()


def note_on_disk(key: str, function: Callable, outputs: Sequence[Variable]) -> None:
    """Write down under which of its own keys PyTensor keeps the code of a function that it compiled.

    With the symbols of the C functions that this code may call: those of the graph's operations.
    """
    kept = kept_code(function)
    if kept is None:
        return
    note = {**kept._asdict(), "symbols": symbols(sources(outputs))}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with replacing(FOLDER / f"{key}.json") as path:
        path.write_text(json.dumps(note), encoding="utf-8")


def load_from_disk(key: str, signature: tuple) -> Callable | None:
    """Load the function that was written down under this key; None where its code is of no use any more.

    Parameters
    ----------
    signature : tuple of numba types
        Of its arguments.
    """
    try:
        noted = json.loads((FOLDER / f"{key}.json").read_text(encoding="utf-8"))
        kept, needed = KeptCode(noted["name"], noted["key"]), list(noted["symbols"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # LLVM ends the process, without an exception, where machine code names a symbol that is not there
    if not all(isinstance(symbol, str) and address_of_symbol(symbol) for symbol in needed):
        return None
    return function_of(kept, signature)
