"""CONTRIBUTING.md keeps up with the code: its table is the package's, and each public name is where one looks."""

import re

from tests.documents.where_is import (
    COMMAND,
    CONTRIBUTING,
    NOUNS,
    PACKAGE,
    ROOT,
    has_its_name,
    home,
    public,
    written,
)
from tests.support.marks import between

NOT_OURS = {"NUMBA_CACHE_DIR", "__pycache__"}


def test_the_table_is_what_the_package_says():
    stands = between(CONTRIBUTING.read_text(encoding="utf-8"), COMMAND)
    assert stands == written(), f"{COMMAND} --write"


def test_each_public_name_is_in_a_file_of_its_name_or_of_a_noun_with_a_reason():
    elsewhere = {name: home(name) for name in public() if not has_its_name(home(name), name)}
    assert {name: path for name, path in elsewhere.items() if path not in NOUNS} == {}
    assert set(NOUNS) == set(elsewhere.values()), "a noun that is no home any more"
    assert all(NOUNS.values())


def test_files_that_are_named_exist():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:bayesgmm|tests|docs)/[\w./]*)`", text))
    assert len(named) > 25
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_names_from_the_code_are_there():
    steps = CONTRIBUTING.read_text(encoding="utf-8").split("<!-- begin")[0]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    named = {name for name in re.findall(r"`([A-Za-z_]+)`", steps) if name not in NOT_OURS}
    assert len(named) > 15
    assert [name for name in sorted(named) if not re.search(rf"\b{name}\b", code)] == []
