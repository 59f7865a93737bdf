"""Where the time goes: the parts of a run, and the seconds that each of them took.

May import the standard library only.
"""

import time
from collections.abc import Mapping

PARTS = {
    "imports": "imports",
    "em": "EM",
    "model": "model and graph",
    "compilation": "compilation",
    "modes": "modes",
    "sampling": "sampling",
    "alignment": "alignment and likelihood",
    "report": "report and files",
    "pictures": "pictures",
}
"""Every part that is timed, in the order in which they begin, and what a reader is told."""


class Clock:
    """Seconds spent in each part of a run: every second falls to one part.

    Parameters
    ----------
    started : float, optional
        When the run began, by `time.perf_counter`; now, by default.

    Attributes
    ----------
    seconds : dict
        Of each part that has begun, by its key in `PARTS`.
    """

    def __init__(self, started: float | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter() if started is None else started

    def lap(self, part: str) -> None:
        """Give the time since the last lap to a part."""
        now = time.perf_counter()
        self._add(part, now - self._last)
        self._last = now

    def take_over(self, seconds: Mapping[str, float]) -> None:
        """Take what another clock saw of the time since the last lap; what it did not see falls to the next one."""
        for part, spent in seconds.items():
            self._add(part, spent)
            self._last += spent

    def _add(self, part: str, spent: float) -> None:
        if part not in PARTS:
            raise KeyError(f"no part of a run is called {part!r}; there are {', '.join(PARTS)}.")
        self.seconds[part] = self.seconds.get(part, 0.0) + spent
