"""A bar on standard error while something slow runs and somebody watches.

May import rich only, and only where there is a bar to show.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PATIENCE = 2.0
"""Seconds of work before a bar appears."""


class Advance(Protocol):
    """Told how many more are done, and what to call the work from now on if that has changed; from any thread."""

    def __call__(self, more: int, what: str | None = None) -> None: ...  # noqa: D102


@contextmanager
def progress(what: str, total: int, *, show: bool = True) -> Iterator[Advance]:
    """Lend a function that is told how many more are done.

    Parameters
    ----------
    what : str
        What is counted.
    total : int
    show : bool
        Whether a bar is wanted. It appears on a terminal only, and only when the work takes longer than `PATIENCE`.
    """
    if not (show and sys.stderr.isatty()):
        yield lambda more, what=None: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, *times, console=Console(file=sys.stderr), transient=True)
    task, lock, started, live = bar.add_task(what, total=total), threading.Lock(), time.monotonic(), False

    def advance(more: Any, what: str | None = None) -> None:
        nonlocal live
        with lock:
            bar.update(task, advance=int(more), description=what)
            if not live and time.monotonic() - started > PATIENCE:
                bar.start()
                live = True

    try:
        yield advance
    finally:
        if live:
            bar.stop()
