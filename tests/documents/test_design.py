"""The design pages keep up with the code: what they name exists, links lead somewhere, the version is said once."""

import pydoc
import re
from pathlib import Path

import pytest

import bayesgmm as bg
from tests.benchmarks._measured import commands
from tests.laws.test_architecture import PACKAGE, ROOMS, ROOT
from tests.support.marks import between

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]


def prose(page: Path) -> str:
    """Text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page):
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_the_drawing_has_the_rooms_in_their_order():
    drawing = (ROOT / "docs" / "images" / "rooms.svg").read_text(encoding="utf-8")
    assert re.findall(r'<text class="room"[^>]*>(\w+)/</text>', drawing) == list(reversed(ROOMS))


def test_what_the_pages_name_exists():
    missing, known = [], 0
    for page in PAGES:
        for path in re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", prose(page)):
            base = PACKAGE if path.split("/")[0] in ROOMS else ROOT
            known += 1
            missing += [] if (base / path).exists() else [f"{page.name}: {path}"]
        for path in re.findall(r"\btests(?:/\w+)+\.py|\btests(?:\.\w+)+", prose(page)):
            known += 1
            file = path if path.endswith(".py") else path.replace(".", "/") + ".py"
            missing += [] if (ROOT / file).exists() else [f"{page.name}: {path}"]
    assert known > 80
    assert missing == []


def test_the_version_is_said_once():
    for name in ("pyproject.toml", "CITATION.cff"):
        assert not re.search(r"^version\b", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE), name
    changes = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(bg.__version__)}$", changes, re.MULTILINE)


def test_what_the_api_shows_is_there():
    shown = re.findall(
        r"^\.\. auto(?:class|module):: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(shown) > 10
    assert [name for name in shown if pydoc.locate(name) is None] == []


def test_every_mark_of_a_measurement_names_a_benchmark_and_holds_what_it_printed():
    marked = commands()
    assert len(marked) >= 2
    for command, page in marked.items():
        script = command.split()[1]
        assert (ROOT / script).is_file(), command
        stands = between(page.read_text(encoding="utf-8"), command)
        assert stands.startswith("```text\n") and " cores; Python " in stands, f"run {command} by _measured"
