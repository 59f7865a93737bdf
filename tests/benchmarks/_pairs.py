"""Alternating pairs: time two callables in turn, so that a drift of the machine hits both alike."""

import statistics
import time
from collections.abc import Callable

SETTLE = 0.2
"""Seconds of rest before each measurement: BLAS threads spin for a while after their last call, on somebody's core."""


def seconds(function: Callable[[], object], repeats: int = 1) -> float:
    """Mean wall time of `repeats` calls."""
    time.sleep(SETTLE)
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def medians(
    ours: Callable[[], object], theirs: Callable[[], object], pairs: int = 7, repeats: tuple[int, int] = (1, 1)
) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios theirs / ours, over alternating pairs after a warm-up."""
    ours(), theirs()
    times = [(seconds(ours, repeats[0]), seconds(theirs, repeats[1])) for _ in range(pairs)]
    return (
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(b / a for a, b in times),
    )
