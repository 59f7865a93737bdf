"""`pytest --quick`: the tests that compile nothing and draw no examples; `make quick`.

What a file reaches by its imports says whether it compiles, so that there is no list to keep. Such files are not even
imported. That the rest is as quick as its imports say is checked: a test that loads a compiler all the same fails.
"""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test

from tests.support.imports import ROOT, module_name, modules, reaches

COMPILERS = {"numba", "pymc", "pytensor", "nutpie"}
IMPORT_ANYTHING = {"subprocess", "nbclient", "pydoc"}
"""A process of its own, and a name that is looked up."""


def is_quick(path: Path) -> bool:
    """Whether neither a file, nor a `conftest.py` above it, reaches a compiler, or what imports anything."""
    conftests = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT)]
    names = {module_name(file) for file in (path, *conftests)} & (modules() | modules("tests")).keys()
    return all(
        {found.split(".")[0] for found in reaches(name)}.isdisjoint(COMPILERS | IMPORT_ANYTHING) for name in names
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only what compiles nothing and draws no examples")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    is_module = collection_path.suffix == ".py" and collection_path.is_relative_to(ROOT)
    return True if config.getoption("quick") and is_module and not is_quick(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick"):
        _refuse(COMPILERS & sys.modules.keys(), "as tests were collected")
        slow = [item for item in items if is_hypothesis_test(getattr(item, "obj", None))]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    before = COMPILERS & sys.modules.keys()
    result = yield
    if item.config.getoption("quick"):
        _refuse(COMPILERS & sys.modules.keys() - before, "in a quick test")
    return result


def _refuse(loaded: set[str], when: str) -> None:
    if loaded:
        raise AssertionError(
            f"{', '.join(sorted(loaded))} was imported {when}, where imports, read from the text, reach none. Import"
            " what needs it by its name, or teach `tests/support/imports.py` to see this way of importing."
        )
