"""The suite itself: nothing is skipped in silence, and what is called quick neither compiles nor draws examples."""

import re
import subprocess
import sys

import pytest

from tests.support.imports import ROOT
from tests.support.quick import is_quick
from tests.support.skips import ALLOWED

SOME_TESTS = f"""
import importlib
import pytest
from hypothesis import given, strategies

def test_that_passes():
    assert True

def test_that_skips():
    pytest.skip("there is no such program here")

@pytest.mark.skip(reason={min(ALLOWED)!r})
def test_that_may_skip():
    assert False

@pytest.mark.xfail(reason="known")
def test_that_fails_as_it_should():
    assert False

@pytest.mark.parametrize("nothing", [])
def test_of_no_case(nothing):
    assert True

@given(strategies.integers())
def test_that_draws(number):
    assert number == number

def test_that_hides_what_it_imports():
    importlib.import_module("num" + "ba")
"""


@pytest.fixture
def outcomes(tmp_path):
    """Run tests as the suite is run, in vain; how each ended, by name or, if skipped, by reason."""

    def run(text: str, *options: str) -> dict[str, str]:
        (tmp_path / "test_some.py").write_text(text, encoding="utf-8")
        plugins = ["-p", "tests.support.quick", "-p", "tests.support.skips", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-rA", "-q", "--no-header", *plugins, *options, str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode > 0, done.stdout + done.stderr
        summary = done.stdout.rpartition("short test summary info")[2].splitlines()
        lines = [line for line in summary if "test_some.py" in line]
        return {re.split("test_some.py:[:0-9]* ?", line)[-1].split(" - ")[0]: line.split()[0] for line in lines}

    return run


def test_a_skip_is_a_failure_but_for_what_a_system_cannot_do(outcomes):
    assert outcomes(SOME_TESTS, "-W", "ignore") == {
        "test_that_passes": "PASSED",
        "test_that_skips": "FAILED",
        min(ALLOWED): "SKIPPED",
        "test_that_fails_as_it_should": "XFAIL",
        "test_of_no_case[NOTSET]": "ERROR",
        "test_that_draws": "PASSED",
        "test_that_hides_what_it_imports": "PASSED",
    }


def test_a_file_that_is_skipped_whole_is_an_error_too(outcomes):
    found = outcomes("import pytest\npytest.importorskip('no_such_library')\n\ndef test_a(): pass")
    assert list(found.values()) == ["ERROR"]


def test_quick_tests_draw_nothing_and_fail_if_they_load_a_compiler(outcomes):
    found = outcomes(SOME_TESTS, "--quick", "-k", "passes or draws or hides")
    assert found == {"test_that_passes": "PASSED", "test_that_hides_what_it_imports": "FAILED"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/kernel/test_complete.py", True),
        ("tests/laws/test_architecture.py", True),
        ("bayesgmm/em/estimator.py", True),
        ("bayesgmm/posterior/datatree.py", True),
        ("tests/model/test_likelihood.py", False),  # imports PyTensor
        ("tests/selection/test_evidence.py", False),  # reaches it through `bg.sample_posterior`
        ("bayesgmm/posterior/sampling.py", False),
        ("bayesgmm/questions/density.py", False),  # numba, when it is called
        ("tests/documents/test_notebooks.py", False),
        ("tests/documents/test_guide.py", False),  # every public name
        ("bayesgmm/__init__.py", False),
        ("tests/laws/test_suite.py", False),
    ],
)
def test_what_is_quick_is_read_from_imports(path, expected):
    assert (ROOT / path).exists()
    assert is_quick(ROOT / path) is expected
