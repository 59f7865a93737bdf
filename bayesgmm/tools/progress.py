"""A bar on standard error while something slow runs and somebody watches.

May import rich only.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 2.0
"""Seconds of work before a bar appears."""


@contextmanager
def progress(what: str, total: int, *, show: bool = True) -> Iterator[Callable[[int], None]]:
    """Lend a function that is told how many more are done, from any thread.

    Parameters
    ----------
    what : str
        What is counted.
    total : int
    show : bool
        Whether a bar is wanted. It appears on a terminal only, and only when the work takes longer than `PATIENCE`.
    """
    if not (show and sys.stderr.isatty()):
        yield lambda more: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
    task, lock, started, live = bar.add_task(what, total=total), threading.Lock(), time.monotonic(), False

    def advance(more: Any) -> None:
        nonlocal live
        with lock:
            bar.advance(task, int(more))
            if not live and time.monotonic() - started > PATIENCE:
                bar.start()
                live = True

    try:
        yield advance
    finally:
        if live:
            bar.stop()
