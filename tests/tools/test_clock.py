"""Seconds of a run's parts: each falls to one, none is lost, and no part is made up."""

import pytest

from bayesgmm.tools import clock as module
from bayesgmm.tools.clock import Clock


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock will read, one after another."""
    readings: list[float] = []
    monkeypatch.setattr(module.time, "perf_counter", lambda: readings.pop(0))
    return readings


def test_a_lap_is_the_time_since_the_last_one(ticks: list[float]) -> None:
    ticks += [1.0, 3.0, 10.0, 12.0]
    clock = Clock()
    for part in ("imports", "em", "imports"):
        clock.lap(part)
    assert clock.seconds == {"imports": 4.0, "em": 7.0}


def test_no_second_is_lost_between_two_clocks(ticks: list[float]) -> None:
    ticks += [3.0, 10.0]
    clock = Clock(1.0)
    clock.lap("imports")
    clock.take_over({"em": 1.0, "compilation": 0.5, "sampling": 4.0})
    clock.lap("report")
    assert clock.seconds == {"imports": 2.0, "em": 1.0, "compilation": 0.5, "sampling": 4.0, "report": 1.5}
    assert sum(clock.seconds.values()) == 10.0 - 1.0


def test_parts_have_the_names_that_there_are() -> None:
    with pytest.raises(KeyError, match="no part of a run is called 'lunch'; there are imports, em"):
        Clock().lap("lunch")
    with pytest.raises(KeyError, match="'nuts_compile'"):
        Clock().take_over({"nuts_compile": 1.0})
