"""Work on several threads of our own, with BLAS held to one beside them; how many cores there are.

May import NumPy's neighbours only.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def available_cores() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this operating system
        return os.cpu_count() or 1


class _Thread(threading.local):
    """What is true of the thread that asks."""

    holds_blas = False
    of_pool = False


_THREAD = _Thread()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: blocks run on threads of our own, and two pools fight over the cores.

    Inside another, on the same thread, it costs nothing: a fit holds BLAS once, not at every pass.
    """
    if _THREAD.holds_blas:
        yield
        return
    with _blas().limit(limits=1, user_api="blas"):
        _THREAD.holds_blas = True
        try:
            yield
        finally:
            _THREAD.holds_blas = False


def over_threads[T, R](function: Callable[[T], R], parts: Sequence[T], n_threads: int | None = None) -> list[R]:
    """Return results of `function` on each part, in order, from several threads with BLAS held to one.

    This thread takes its share. A part that asks for threads itself has but its own: every core is at work, and one
    that waited for another's thread could wait for ever.

    Parameters
    ----------
    function : callable
        Of one part. Where several fail, the error of the first of them is raised, when no thread works any more.
    parts : sequence
    n_threads : int, optional
        As many as there are cores by default, and at most one for each part.
    """
    n_threads = 1 if _THREAD.of_pool else min(available_cores() if n_threads is None else n_threads, len(parts))
    with single_threaded_blas():
        if n_threads < 2:
            return [function(part) for part in parts]
        results: list[R | None] = [None] * len(parts)
        failed: dict[int, BaseException] = {}
        positions = itertools.count()

        def work() -> None:
            while not failed and (position := next(positions)) < len(parts):
                try:
                    results[position] = function(parts[position])
                except BaseException as error:
                    failed[position] = error

        others = [_pool(n_threads - 1).submit(work) for _ in range(n_threads - 1)]
        work()
        # one that waits behind the work of others has nothing left to do
        wait([other for other in others if not other.cancel()])
    if failed:
        raise failed[min(failed)]
    return results  # type: ignore[return-value]


_LOCK = threading.Lock()
_POOLS: dict[int, ThreadPoolExecutor] = {}


def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Return a pool kept for the life of the process: starting threads costs as much as a small pass."""
    with _LOCK:
        if n_threads not in _POOLS:
            _POOLS[n_threads] = ThreadPoolExecutor(n_threads, "bayesgmm", initializer=_begin)
        return _POOLS[n_threads]


def _begin() -> None:
    # whoever gives it work holds BLAS
    _THREAD.holds_blas = _THREAD.of_pool = True


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


# a forked child has none of the parent's threads
os.register_at_fork(after_in_child=_POOLS.clear)
