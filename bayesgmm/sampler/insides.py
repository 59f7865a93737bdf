"""The insides of PyTensor, numba and nutpie that make compiling and sampling fast; nowhere else are they named.

These libraries promise them to nobody. Each is used in a function of its own, and where one is gone, or takes something
else, that function gives None, with one warning that says what to pin: what is left then are the libraries' public
ways, slower, to the same numbers. May import NumPy, numba, PyTensor and nutpie.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import NumbaError, types
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

RUN_WITH = {"numba": ">=0.68,<0.69", "nutpie": ">=0.16.9,<0.17", "pytensor": ">=3.3.6,<3.4"}
"""Versions whose insides are as they are used here, the dependencies of the package: tested at both ends."""


class InsidesWarning(UserWarning):
    """A library's insides are not what they were: what is slower, and what to pin."""


class NativeForm(NamedTuple):
    """Machine code of a numba function, for one list of arguments.

    Attributes
    ----------
    address : int
    argument_types : tuple of numba types
    result_type : numba type
    """

    address: int
    argument_types: tuple[types.Type, ...]
    result_type: types.Type


class KeptCode(NamedTuple):
    """Where PyTensor keeps the machine code of a function on disk: the function's name, and a key of PyTensor's."""

    name: str
    key: str


def attempt[Found](library: str, use: Callable[[], Found]) -> Found | None:
    """Use the insides of a library; give None, with a warning once, where they are not what they were."""
    try:
        return use()
    except (ImportError, AttributeError, TypeError, NumbaError) as error:
        _warn_once(library, str(error).strip().splitlines()[-1])
        return None


@cache
def _warn_once(library: str, what: str) -> None:
    pin = f"{library}{RUN_WITH[library]}"
    warnings.warn(
        f"{library} {metadata.version(library)} is not inside what bayesgmm has run with ({what}): the results are the "
        f"same, but compiling or sampling takes longer. Install '{pin}' to have it fast again.",
        InsidesWarning,
        stacklevel=4,
    )


# PyTensor: an operation's form in its numba backend. Without, PyTensor calls `perform`, or forgets what it compiled.


def compiled_form(kind: type[Op], version: str, ndims: tuple[int, ...] | None = None) -> Callable[[Any], Any]:
    """Let PyTensor's numba backend run the decorated function, compiled by numba, in place of an operation.

    Parameters
    ----------
    kind : type of Op
    version : str
        Changes with all that the function is compiled from: PyTensor keeps machine code under it and the kind.
    ndims : tuple of int, optional
        Dimensions that each argument must have.
    """

    def register(function: Any) -> Any:
        def form(op: Op, node: Apply, **_: Any) -> tuple[Any, str]:
            if ndims is not None and ndims != (given := tuple(argument.type.ndim for argument in node.inputs)):
                raise NotImplementedError(
                    f"the compiled form of {op} takes arguments of {ndims} dimensions, received {given}; "
                    "reshape them, or run the graph by NumPy (`mode=Mode(linker='py')`)."
                )
            return function, f"{kind.__module__}.{kind.__qualname__} {version}"

        def register_with_key() -> Any:
            from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

            return register_funcify_and_cache_key(kind)(form)

        def register_without() -> Any:
            from pytensor.link.numba.dispatch import numba_funcify

            return numba_funcify.register(kind)(lambda *arguments, **options: form(*arguments, **options)[0])

        if attempt("pytensor", register_with_key) is None:
            attempt("pytensor", register_without)
        return function

    return register


def compiled_draws(kind: type[Op], version: str) -> Callable[[Any], Any]:
    """Let PyTensor's numba backend draw a random variable by the decorated function; the version as above, hexadecimal.

    Parameters
    ----------
    kind : type of RandomVariable
    version : str
    """

    def register(function: Any) -> Any:
        def use() -> Any:
            from pytensor.link.numba.dispatch.random import numba_core_rv_funcify

            return numba_core_rv_funcify.register(kind)(lambda op, node: (function, int(version[:12], 16)))

        attempt("pytensor", use)
        return function

    return register


# PyTensor: the numba function within its own, and where that is kept. Without, each process compiles, or Python calls.


def numba_function(compiled: Any) -> Any | None:
    """Give the numba function within a compiled function of PyTensor's numba backend."""
    return attempt("pytensor", lambda: compiled.vm.jit_fn)


def kept_code(function: Any) -> KeptCode | None:
    """Tell where PyTensor keeps a function that it compiled; None also where something in it cannot be kept."""

    def use() -> KeptCode | None:
        from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS

        source = function.py_func
        return KeptCode(source.__name__, CACHED_SRC_FUNCTIONS[source]) if source in CACHED_SRC_FUNCTIONS else None

    return attempt("pytensor", use)


def function_of(kept: KeptCode, argument_types: Sequence[types.Type]) -> Any | None:
    """Load the function that PyTensor keeps; None also where its code is not there any more."""

    def use() -> Any | None:
        from pytensor.link.numba.cache import compile_numba_function_src

        # Same source and key as PyTensor's: numba finds the code by them. What it calls is needed to compile it only,
        # and is not there, so that code which is missing cannot be made anew by mistake.
        source = compile_numba_function_src(
            f"def {kept.name}(*args): return jitable_func(*args)",
            function_name=kept.name,
            global_env={"jitable_func": None},
            cache_key=kept.key,
        )
        function: Any = numba.njit(cache=True)(source)
        try:
            function.compile((types.Tuple(tuple(argument_types)),))  # `*args` is one argument to numba
        except NumbaError:
            return None
        return function

    return attempt("pytensor", use)


# numba: a call through an address, of a function that is not linked. Without, C callers come through the interpreter.


def native_form(function: Any) -> NativeForm:
    """Tell where the machine code of a numba function is, compiled for one list of arguments and no others."""
    (compiled,) = function.overloads.values()
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return NativeForm(address, tuple(compiled.signature.args), compiled.signature.return_type)


def call_at(
    context: Any, builder: Any, address: Any, argument_types: Sequence[Any], result_type: Any, arguments: Sequence[Any]
) -> Any:
    """Generate the call of a function at an address; what it raises is raised again."""
    convention = context.call_conv
    pointer = convention.get_function_type(result_type, argument_types).as_pointer()
    status, value = convention.call_function(
        builder, builder.inttoptr(address, pointer), result_type, argument_types, arguments
    )
    with builder.if_then(status.is_error, likely=False):
        convention.return_status_propagate(builder, status)
    return value


def array_at(
    context: Any, builder: Any, kind: types.Array, address: Any, shape: Sequence[Any], strides: Sequence[Any]
) -> Any:
    """Generate an array around borrowed memory."""
    struct = context.make_array(kind)(context, builder)
    context.populate_array(
        struct,
        data=builder.inttoptr(address, context.get_data_type(kind.dtype).as_pointer()),
        shape=shape,
        strides=strides,
        itemsize=context.get_constant(types.intp, np.dtype(str(kind.dtype)).itemsize),
        meminfo=None,
    )
    return struct._getvalue()


# nutpie: chains that call C functions, and their draws as they are. Without, they call Python, and come as a DataTree.


def model_of_callbacks(name: str, size: int, start: np.ndarray, **callbacks: Any) -> Any | None:
    """Describe a density to nutpie by C functions: a model of one variable of `size` numbers, starting at `start`.

    Parameters
    ----------
    **callbacks
        ``compiled_logp_func`` and ``compiled_expand_func``, each with its ``address``; ``user_data``, an array that
        they are given; ``logp_func``, the density as a Python function.
    """

    def use() -> Any:
        from nutpie.compile_pymc import CompiledPyMCModel

        return CompiledPyMCModel(
            dims={},
            initial_point_func=lambda _seed: start,
            shared_data={},
            shared_var_keys={},
            n_expanded=size,
            shape_info=([name], [slice(0, size)], [(size,)]),
            expand_func=None,
            _n_dim=size,
            _shapes={name: (size,)},
            _coords={},
            **callbacks,
        )

    return attempt("nutpie", use)


def gives_arrow() -> bool:
    """Whether draws can be read from nutpie's own tables."""

    def use() -> bool:
        from nutpie._lib import PyTrace

        return callable(PyTrace.get_arrow_trace)

    return bool(attempt("nutpie", use))


def arrow_tables(trace: Any) -> tuple[Any, Any]:
    """Give draws and statistics of the one chain of a raw trace, each a table of Arrow, warm-up included."""
    (draws,), (statistics,) = trace.get_arrow_trace()
    return draws, statistics
