"""A bar on standard error while something slow runs and somebody watches.

May import rich only.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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


class ChainProgress:
    """One bar for all chains, on standard error when that is a terminal."""

    def __init__(self, n_chains: int, n_draws: int, wanted: bool):
        console = Console(stderr=True)
        self._shown = wanted and console.is_terminal
        self._draws = np.zeros(n_chains, dtype=int)
        self._divergences = np.zeros(n_chains, dtype=int)
        self._bar = Progress(
            TextColumn("Sampling {task.fields[chains]} chains, {task.fields[divergences]} divergences"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._shown,
        )
        self._task = self._bar.add_task("", total=n_chains * n_draws, chains=n_chains, divergences=0)

    def __enter__(self) -> ChainProgress:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave it as it stands."""
        self.refresh()
        self._bar.stop()

    def reporter(self, chain: int) -> Callable | None:
        """Return the function nutpie calls with the progress of its one chain; none if nobody is looking."""
        if not self._shown:
            return None

        def report(progress: list) -> None:
            self._draws[chain] = progress[0].finished_draws
            self._divergences[chain] = progress[0].divergences

        return report

    def refresh(self) -> None:
        """Show the draws made so far."""
        self._bar.update(self._task, completed=self._draws.sum(), divergences=self._divergences.sum())
