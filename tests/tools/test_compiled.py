"""What is compiled goes by a name that changes with everything that it was compiled from."""

import sys
from types import FunctionType

import numba
import numpy as np
import pytest
from llvmlite.binding import address_of_symbol
from numba import types

from bayesgmm.tools import compiled as module
from bayesgmm.tools.compiled import c_function, compiled, symbols
from tests.support.copies import PackageCopy

FACTOR = 3.0
REAL = types.float64(types.float64)


@numba.njit
def times_factor(x):
    return FACTOR * x


def called_by_python(x):
    return times_factor(x) + 1.0


def called_by_c(x):
    return times_factor(x) + 2.0


def copy_of(function, **names):
    """The same function, of which some globals are others."""
    copied = FunctionType(function.__code__, function.__globals__ | names, function.__name__)
    copied.__module__ = __name__
    return copied


def test_it_is_the_function_and_is_kept_under_a_name_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    function = compiled()(copy_of(called_by_python))
    assert function(2.0) == 7.0
    (index,) = tmp_path.rglob("*.nbi")
    assert index.name.startswith(f"test_compiled.{function.py_func.__qualname__}-")
    again = compiled()(copy_of(called_by_python))
    assert again(2.0) == 7.0
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_number_changed_in_the_process_is_another_name_and_the_old_file_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    other = numba.njit(copy_of(times_factor.py_func, FACTOR=5.0))
    first = compiled()(copy_of(called_by_python))
    first(2.0)
    beside = next(tmp_path.rglob("*.nbi")).with_name("test_compiled.called_by_python_too_0123456789abcdef-1.py312.nbi")
    beside.touch()
    assert len(list(tmp_path.rglob("*.nb?"))) == 3
    second = compiled()(copy_of(called_by_python, times_factor=other))
    assert list(tmp_path.rglob("*.nb?")) == [beside]
    assert second(2.0) == 11.0 != first(2.0)
    assert len(list(tmp_path.rglob("*.nb?"))) == 3


def test_a_c_function_is_called_by_its_symbol_from_compiled_code():
    one = c_function("bayesgmm_test_of_symbols", REAL)(copy_of(called_by_c))
    two = c_function("bayesgmm_test_of_symbols", REAL)(
        copy_of(called_by_c, times_factor=numba.njit(copy_of(times_factor.py_func, FACTOR=5.0)))
    )
    assert one.symbol != two.symbol
    first, second = one.call, two.call
    assert numba.njit(lambda x: first(x) + second(x))(2.0) == 8.0 + 12.0
    assert address_of_symbol(one.symbol) == one.owner.address
    assert symbols([sys.modules[__name__]]) == sorted([one.symbol, two.symbol])
    assert symbols([np]) == []


def test_where_nothing_can_be_kept_it_compiles_and_says_once_what_to_do(monkeypatch):
    """Of a function without a file numba knows no folder either."""
    module._warn_once.cache_clear()
    scope = {"__name__": __name__, "FACTOR": FACTOR}
    exec(compile("def nowhere(x): return FACTOR * x", "/nowhere/nowhere.py", "exec"), scope)
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
        assert compiled()(copy_of(scope["nowhere"]))(2.0) == 6.0
    assert compiled()(copy_of(scope["nowhere"]))(2.0) == 6.0
    assert c_function("bayesgmm_test_nowhere", REAL)(copy_of(scope["nowhere"])).owner.ctypes(2.0) == 6.0


INTERVALS = """
from importlib import import_module
from tests.support.posteriors import fake_posterior
import_module("bayesgmm.questions.summaries").COMPILED_FROM = 0
_, dt, X = fake_posterior("galaxies", 1, chains=1, draws=3)
found = import_module("bayesgmm.questions.membership").membership(dt, X.values[:2], n_simulated=0)
print(*found["probability_lower"].values.ravel(), *found["probability_upper"].values.ravel())
"""


def test_an_edit_in_one_file_reaches_what_is_compiled_from_another(tmp_path):
    package = PackageCopy(tmp_path)
    # in place of what takes long to compile: it is the cache that is tested
    package.add(
        "kernel/compiled/over_draws.py",
        """
@numba.njit
def _sweep(eta, tile, log_joint, start, width, joint, best, stored, sums, log_mean, own_scale):
    best[:], stored[:], sums[:], log_mean[:] = 0, 1.0, len(best), 0.0
    return True
""",
    )
    package.add(
        "kernel/compiled/order_statistics.py",
        """
@numba.njit
def ends(group, j, below, above, values, keys):
    return 0.25, 0.75
""",
    )
    assert package.run(INTERVALS) == ["0.25 0.25 0.75 0.75"]
    package.edit("kernel/compiled/order_statistics.py", "return 0.25, 0.75", "return 0.125, 0.875")
    assert package.run(INTERVALS) == ["0.125 0.125 0.875 0.875"]
