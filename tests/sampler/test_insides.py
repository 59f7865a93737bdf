"""What is used of other libraries' insides is as it is used, and where it is gone sampling goes on without."""

import subprocess
import sys
import tomllib
import warnings
from inspect import signature
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytensor
import pytensor.link.numba.dispatch.basic
import pytensor.link.numba.dispatch.random
import pytest
import xarray as xr
from numba.core.base import BaseContext
from numba.core.callconv import CPUCallConv
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.np.arrayobj import populate_array
from nutpie._lib import PyTrace
from nutpie.compile_pymc import CompiledPyMCModel
from pytensor.link.basic import JITLinker
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src
from pytensor.link.numba.dispatch import basic, numba_funcify, random

import bayesgmm as bg
from bayesgmm.sampler import insides, native_callback
from bayesgmm.sampler.compile_cache import once
from bayesgmm.sampler.insides import InsidesWarning
from bayesgmm.sampler.log_density import compile_log_density

ROWS = np.r_[np.random.default_rng(0).normal(-3.0, 1.0, 40), np.random.default_rng(1).normal(3.0, 1.0, 40)][:, None]


def sample() -> xr.DataTree:
    return bg.sample_posterior(ROWS, 2, draws=60, tune=60, chains=2, random_seed=4, progressbar=False)


@pytest.fixture(scope="module")
def expected() -> xr.Dataset:
    return sample().posterior.to_dataset()


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch, tmp_path):
    """Nothing is compiled or said yet; what PyTensor and numba keep on disk is there, our notes are not."""
    monkeypatch.setattr("bayesgmm.sampler.compile_cache.FOLDER", tmp_path)
    native_callback._callback.cache_clear()
    once.cache_clear()
    insides._warn_once.cache_clear()
    yield
    native_callback._callback.cache_clear()
    once.cache_clear()


@pytest.mark.parametrize(
    ("function", "taken"),
    [
        (basic.register_funcify_and_cache_key, "(op_type)"),
        (numba_funcify, "(op, node=None, storage_map=None, **kwargs)"),
        (random.numba_core_rv_funcify, "(op, node)"),
        (
            compile_numba_function_src,
            "(src, function_name, global_env=None, local_env=None, write_to_disk=False, cache_key=None)",
        ),
        (JITLinker.make_all, "(self, input_storage=None, output_storage=None, storage_map=None)"),
        (CPUCallConv.get_function_type, "(self, restype, argtypes)"),
        (CPUCallConv.call_function, "(self, builder, callee, resty, argtys, args, attrs=None)"),
        (CPUCallConv.return_status_propagate, "(self, builder, status)"),
        (JITCodeLibrary.get_pointer_to_function, "(self, name)"),
        (BaseContext.make_array, "(self, typ)"),
        (BaseContext.make_tuple, "(self, builder, typ, values)"),
        (BaseContext.populate_array, "(self, arr, **kwargs)"),
        (populate_array, "(array, data, shape, strides, itemsize, meminfo, parent=None)"),
        (
            CompiledPyMCModel,
            "(dims, compiled_logp_func, compiled_expand_func, initial_point_func, shared_data, shared_var_keys, "
            "user_data, n_expanded, shape_info, logp_func, expand_func, _n_dim, _shapes, _coords, "
            "_transform_adapt_args=None, *, reparameterized_names=None)",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_insides_take_what_they_are_given(function, taken):
    found = signature(function)
    plain = [parameter.replace(annotation=parameter.empty) for parameter in found.parameters.values()]
    assert str(found.replace(parameters=plain, return_annotation=found.empty)) == taken


def test_insides_have_the_attributes_that_are_read():
    compiled = pytensor.function([], pytensor.shared(1.0) + 1.0, mode="NUMBA")
    function = insides.numba_function(compiled)
    assert isinstance(function, numba.core.dispatcher.Dispatcher)
    assert isinstance(CACHED_SRC_FUNCTIONS[function.py_func], str)
    assert {"signature", "library", "fndesc"} <= set(CompileResult._fields)
    assert callable(PyTrace.get_arrow_trace)


def test_the_dependencies_are_what_this_has_run_with():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {f"{library}{versions}" for library, versions in insides.RUN_WITH.items()} <= set(project["dependencies"])


def without(monkeypatch, module: str, name: str) -> None:
    """Remove a name from a module, for those who import it from now on; the library keeps it for itself."""
    left = ModuleType(module)
    vars(left).update({key: value for key, value in vars(sys.modules[module]).items() if key != name})
    monkeypatch.setitem(sys.modules, module, left)


def without_jit_fn(monkeypatch) -> None:
    make_all = JITLinker.make_all

    def make(self, *arguments, **options):
        made = make_all(self, *arguments, **options)
        del made[0].jit_fn
        return made

    monkeypatch.setattr(JITLinker, "make_all", make)


def refused(monkeypatch, name: str) -> None:
    """Let a function fail as it would without what it uses of numba, which cannot itself do without that."""

    def fail(*_):
        raise AttributeError(f"no {name}")

    monkeypatch.setattr(native_callback, name, fail)
    monkeypatch.setattr("bayesgmm.tools.compiled._folder", lambda function: None)  # generates the callback again


def warned(run) -> tuple[xr.Dataset, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InsidesWarning)
        found = run().posterior.to_dataset()
    return found, [str(one.message) for one in caught if issubclass(one.category, InsidesWarning)]


@pytest.mark.parametrize(
    "name",
    [
        "pytensor.link.numba.cache.CACHED_SRC_FUNCTIONS",
        "pytensor.link.numba.cache.compile_numba_function_src",
        "nutpie.compile_pymc.CompiledPyMCModel",
        "nutpie._lib.PyTrace",
    ],
)
def test_without_a_name_the_draws_are_the_same(name, expected, monkeypatch):
    module, _, attribute = name.rpartition(".")
    if attribute == "compile_numba_function_src":
        sample()  # leaves a note, to be read
        once.cache_clear()
    without(monkeypatch, module, attribute)
    found, said = warned(sample)
    library = name.split(".")[0]
    assert len(said) == 1
    assert f"'{library}{insides.RUN_WITH[library]}'" in said[0] and attribute in said[0]
    xr.testing.assert_identical(found, expected)


@pytest.mark.parametrize(
    ("library", "remove"),
    [
        ("pytensor", without_jit_fn),
        ("numba", lambda patch: refused(patch, "native_form")),
        ("numba", lambda patch: refused(patch, "call_at")),
        ("numba", lambda patch: refused(patch, "array_at")),
    ],
    ids=["jit_fn", "native_form", "call_at", "array_at"],
)
def test_without_machine_code_the_density_is_called_through_python(library, remove, expected, monkeypatch):
    """In another order of operations, and so in other draws, of the same posterior."""
    remove(monkeypatch)
    found, said = warned(sample)
    assert len(said) == 1 and f"'{library}{insides.RUN_WITH[library]}'" in said[0]
    for name in ("weights", "means"):
        z = (found[name] - expected[name]).mean(("chain", "draw")) / expected[name].std(("chain", "draw"))
        assert abs(z).max() < 1.0  # twelve effective draws of each would do, for four of its standard errors
    # and each model has data of its own, though the function is shared
    one, two = (at_origin(bg.mixture_model(rows, 2)) for rows in (ROWS, 2.0 * ROWS))
    assert one != two


def at_origin(model) -> float:
    density = compile_log_density(model)
    x = np.zeros((1, density.space.size))
    (value,), _ = density.at_many(x)
    assert value == density(x[0])[0]
    return value


SCRIPT = """
import sys, warnings
import numpy as np
import {module} as module
del module.{name}
import bayesgmm as bg
rows = np.r_[np.random.default_rng(0).normal(-3.0, 1.0, 40), np.random.default_rng(1).normal(3.0, 1.0, 40)][:, None]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = bg.sample_posterior(rows, 2, draws=60, tune=60, chains=2, random_seed=4, progressbar=False)
print(*sorted(one.category.__name__ for one in caught))
print(found.posterior["means"].values.tobytes().hex())
"""


@pytest.mark.parametrize("name", ["basic.register_funcify_and_cache_key", "random.numba_core_rv_funcify"])
def test_without_a_place_to_register_compiled_forms_the_draws_are_the_same(name, expected):
    module, _, attribute = f"pytensor.link.numba.dispatch.{name}".rpartition(".")
    script = SCRIPT.format(module=module, name=attribute)
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert said[0] == "InsidesWarning" and len(said) == 2
    # another process may compile the graph in another order: the last bits are its own
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(said[1])), expected["means"].values.ravel(), rtol=1e-6)
