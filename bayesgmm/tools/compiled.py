"""Functions that numba compiles ahead of their use or keeps on disk, by a name that says what they were made of.

Numba's cache looks whether the file of a function has changed, not the files of what that function calls; and a name in
machine code says nothing of the code behind it. Here the name carries the version of all of it, so that a change
anywhere is another entry in the cache and another symbol. May import numba, llvmlite and the versions of sources.
"""

import glob
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite.binding import add_symbol
from numba import types

from bayesgmm.tools.sources import loaded, version

DIGITS = 16
"""Hexadecimal digits of a name that stand for what was compiled."""

_SYMBOLS: dict[str, str] = {}
"""Symbol of each registered C function -> name of the module that defines it."""


class CFunction(NamedTuple):
    """A C function that compiled code calls by its name.

    Attributes
    ----------
    symbol : str
        Changes with all that the function is compiled from.
    call : numba external function
        What other compiled functions call: their machine code then holds the symbol, which must be registered in the
        process before that code is loaded; see `symbols`.
    owner : numba C function
        Keeps the machine code alive.
    """

    symbol: str
    call: Any
    owner: Any


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function at its first call, as ``numba.njit(**options)`` does, and keep it on disk.

    For functions called from Python; what these call is compiled into them and needs ``numba.njit`` only.
    """

    def decorate(function: Any) -> Any:
        return numba.njit(cache=_named(function, function.__qualname__), **options)(function)

    return decorate


def c_callback(function: Any, name: str, signature: Any, **options: Any) -> Any:
    """Compile a function for C callers at once, as ``numba.cfunc`` does, or load it from disk.

    Parameters
    ----------
    function : function
    name : str
        By which it is kept on disk, with the version of what it is compiled from. It must say what else the function
        depends on, if anything (intrinsics made for certain types).
    signature : numba signature
    options : Any
        Of ``numba.cfunc``.
    """
    return numba.cfunc(signature, cache=_named(function, name), **options)(function)


def c_function(name: str, signature: Any, **options: Any) -> Callable[[Callable[..., Any]], CFunction]:
    """Compile a function for C callers, and let compiled code call it by a symbol that begins with the name."""

    def decorate(function: Any) -> CFunction:
        owner = c_callback(function, name, signature, **options)
        symbol = function.__qualname__
        add_symbol(symbol, owner.address)
        _SYMBOLS[symbol] = function.__module__
        return CFunction(symbol, types.ExternalFunction(symbol, signature), owner)

    return decorate


def symbols(modules: Iterable[ModuleType]) -> list[str]:
    """List the symbols of C functions that these modules define, sorted."""
    names = {module.__name__ for module in modules}
    return sorted(symbol for symbol, name in _SYMBOLS.items() if name in names)


def _named(function: FunctionType, name: str) -> bool:
    """Rename a function after what it is compiled from; whether numba can keep it on disk."""
    module = loaded(function.__module__, function.__module__)
    made_of = [version(module), *_constants(function, set())]
    stamp = sha256("\n".join(made_of).encode()).hexdigest()[:DIGITS]
    function.__qualname__ = f"{name}_{stamp}"
    folder = _folder(function)
    if folder is not None:
        _remove_superseded(folder, Path(function.__code__.co_filename).stem, name, stamp)
    return folder is not None


def _constants(function: FunctionType, met: set[FunctionType]) -> Iterator[str]:
    """Write down numbers outside of a function that numba compiles into it, and into what it calls.

    The text of the modules says them already, unless they were changed in this process. Of functions and numbers that
    the module defines further down there is only the text.
    """
    met.add(function)
    names = function.__code__.co_names
    outside = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for module in [value for value in outside.values() if isinstance(value, ModuleType)]:
        known = vars(module)
        outside |= {f"{module.__name__}.{name}": known[name] for name in names if name in known}
    for name in sorted(outside):
        value = outside[name]
        called = getattr(value, "py_func", None)
        if isinstance(value, bool | int | float | complex | str | np.generic):
            yield f"{name} {value!r}"
        elif isinstance(value, np.ndarray):
            yield f"{name} {value.dtype.str} {value.shape} {value.tobytes().hex()}"
        elif isinstance(called, FunctionType) and called not in met:
            yield from _constants(called, met)


def _folder(function: FunctionType) -> Path | None:
    """Where numba keeps the machine code of a function; None where it can keep none."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return None
    try:
        kept: Any = numba.njit(cache=True)(function)
        return Path(kept.stats.cache_path)
    except RuntimeError:  # nothing is compiled yet: numba has found no folder that it may write to
        _warn_once()
        return None


@cache
def _warn_once() -> None:
    warnings.warn(
        "numba finds no folder where it may keep machine code, neither beside this package nor in the user's cache: "
        "each process compiles again what it uses, a minute at most. Set the environment variable NUMBA_CACHE_DIR to "
        "a folder that can be written to.",
        stacklevel=2,
    )


def _remove_superseded(folder: Path, file: str, name: str, stamp: str) -> None:
    """Delete what numba kept of a function as it was before.

    Other processes do without: one that has loaded it needs the file no more, one that looks for it compiles anew, as
    numba does whenever a file is not there. Only copies of the package in the same place share the folder.
    """
    pattern = f"{glob.escape(f'{file}.{name}')}_{'[0-9a-f]' * DIGITS}-*.nb[ic]"
    for path in folder.glob(pattern):
        if not path.name.startswith(f"{file}.{name}_{stamp}-"):
            # where a file in use cannot be deleted (Windows) it stays until the next time
            try:
                path.unlink(missing_ok=True)
            except OSError:
                continue
