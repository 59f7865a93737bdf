"""A bar for slow work on a terminal, nothing elsewhere."""

import io
import sys

import pytest

from bayesgmm.tools import progress as module
from bayesgmm.tools.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "patience", "show", "seen"),
    [
        (Terminal, -1.0, True, True),
        (Terminal, 60.0, True, False),
        (io.StringIO, -1.0, True, False),
        (Terminal, -1.0, False, False),
    ],
)
def test_slow_work_has_a_bar_where_it_is_wanted_and_somebody_watches(monkeypatch, stream, patience, show, seen):
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(module, "PATIENCE", patience)
    with progress("points", 3, show=show) as advance:
        for _ in range(3):
            advance(1)
    assert ("points" in sys.stderr.getvalue()) == seen


def test_the_work_may_be_called_something_else_meanwhile(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    with progress("no chain", 2) as advance:
        advance(1)
        advance(0, "one chain")
        advance(1)
    text = sys.stderr.getvalue()
    assert "one chain" in text
    assert "2/2" in text
