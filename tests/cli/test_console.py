import pandas as pd
import pytest

from bayesgmm.cli.console import PLAIN_WIDTH, Screen, plain_table
from bayesgmm.cli.report import Section

SECTION = Section(
    "A title",
    pd.DataFrame({"name": ["[bold]", "b"], "value": ["1.0", "22.5"]}),
    ("A sentence.",),
    ("name",),
    (1,),
)
TABLE = """\
name    value
------  -----
[bold]    1.0
b        22.5"""


def test_a_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.show(SECTION)
    screen.say("word " * 40)
    out, err = capsys.readouterr()
    assert out.startswith(f"\nA title\n{TABLE}\nA sentence.\nword word")
    assert out.isascii()
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= PLAIN_WIDTH
    assert not [line for line in out.splitlines() if line != line.rstrip()]
    assert err == ""
    assert not screen.live


def test_a_terminal_gets_styles(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = Screen()
    screen.show(SECTION)
    out, err = capsys.readouterr()
    assert "\x1b[1m" in out
    assert "[bold]" in out
    assert err == ""
    assert screen.live


def test_quiet_says_nothing_but_warnings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for forced in (False, True):
        if forced:
            monkeypatch.setenv("FORCE_COLOR", "1")
        screen = Screen(quiet=True)
        screen.show(SECTION)
        screen.say("sentence")
        assert capsys.readouterr() == ("", "")
    Screen(quiet=True).warn("careful")
    out, err = capsys.readouterr()
    assert out == ""
    assert "Warning: careful" in err


def test_numbers_are_aligned_right_and_words_left() -> None:
    assert plain_table(SECTION) == TABLE
