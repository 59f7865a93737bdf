"""README and guide keep up with the code: what they call exists, and nothing public is left out of the guide."""

import ast
import re
from pathlib import Path

import pytest

import bayesgmm as bg

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide.md"


def snippets(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def attributes(source: str) -> set[str]:
    """Names taken from `bg`, or from `bg.priors`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("bg", "bg.priors"):
            found.add(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", [ROOT / "README.md", GUIDE], ids=lambda path: path.name)
def test_what_the_snippets_call_exists(path: Path) -> None:
    names = attributes("\n".join(snippets(path)))
    assert len(names) > 10
    for name in names:
        owner = bg.priors if name.startswith("bg.priors.") else bg
        assert hasattr(owner, name.rpartition(".")[2]), name


def test_the_guide_names_everything_public() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    missing = [name for name in bg.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == []


def test_the_table_of_the_api_names_everything_public() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in bg.__all__ if f"`{name}`" not in text] == []
