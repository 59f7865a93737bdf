"""A version names the text of modules and of all that they import, and what cannot be named is an error."""

import importlib
import sys

import pytest

from bayesgmm.tools import sources
from bayesgmm.tools.sources import closure, version


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write and import a package of a few files; give the function that imports another, or one again."""
    (tmp_path / "rooms").mkdir()
    files = {
        "__init__": "VALUE = 1\n",
        "cellar": "import math\nDEPTH = 3.0\n",
        "kitchen": "import sys\ntry:\n    from rooms.cellar import DEPTH\nfinally:\n    pass\n",
        "hall": "from typing import TYPE_CHECKING\nfrom rooms import kitchen\n"
        "if TYPE_CHECKING:\n    import rooms.nowhere\n",
        "attic": "def roof():\n    from . import ladder\n",
        "ladder": "from . import VALUE\n",
    }
    for name, text in files.items():
        (tmp_path / "rooms" / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "_SOURCES", {})

    def module(name, text=None):
        if text is None:
            return importlib.import_module(f"rooms.{name}")
        (tmp_path / "rooms" / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.reload(importlib.import_module(f"rooms.{name}"))

    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == "rooms"]:
        del sys.modules[name]


def names(*modules):
    return [module.__name__ for module in closure(*modules)]


def test_imports_are_followed_within_the_package(package):
    assert names(package("hall")) == ["rooms.cellar", "rooms.hall", "rooms.kitchen"]
    assert names(package("cellar"), package("kitchen")) == ["rooms.cellar", "rooms.kitchen"]
    assert names(package("ladder")) == ["rooms", "rooms.ladder"]


def test_a_version_changes_with_any_of_the_files_and_with_no_other(package):
    hall, ladder = package("hall"), package("ladder")
    before, other = version(hall), version(ladder)
    assert len(before) == 64 and before == version(hall) != version(package("kitchen"))
    package("cellar", "import math\nDEPTH = 4.0\n")
    assert version(hall) != before
    assert version(ladder) == other
    package("cellar", "import math\nDEPTH = 3.0\n")
    assert version(hall) == before


def test_a_file_that_was_edited_after_its_import_is_what_was_imported(package):
    before = version(package("cellar"))
    with open(package("cellar").__file__, "a", encoding="utf-8") as file:
        file.write("DEPTH = 5.0\n")
    assert version(package("cellar")) == before


def test_what_is_missing_is_an_error(package):
    with pytest.raises(ImportError, match=r"`rooms.attic` needs the module `rooms.ladder`, which is not loaded"):
        version(package("attic"))
    package("ladder")
    assert names(package("attic")) == ["rooms", "rooms.attic", "rooms.ladder"]
    hall = package("hall")
    sys.modules.pop("rooms.cellar")
    with pytest.raises(ImportError, match=r"`rooms.kitchen` needs the module `rooms.cellar`"):
        version(hall)
    with pytest.raises(ImportError, match=r"`math` has no file of Python source"):
        version(sys.modules["math"])
    package("kitchen").__file__ = "/nowhere/kitchen.py"
    sources._SOURCES.clear()
    with pytest.raises(ImportError, match=r"`rooms.kitchen` has no file .* is '/nowhere/kitchen.py'"):
        version(package("kitchen"))
