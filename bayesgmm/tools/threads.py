"""Threads of our own, and BLAS held to one beside them.

May import NumPy's neighbours only.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def available_cores() -> int:
    """Processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this operating system
        return os.cpu_count() or 1


_HELD = threading.local()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: blocks run on threads of our own, and two pools fight over the cores.

    Inside another, on the same thread, it costs nothing: a fit holds BLAS once, not at every pass.
    """
    if getattr(_HELD, "now", False):
        yield
        return
    with _blas().limit(limits=1, user_api="blas"):
        _HELD.now = True
        try:
            yield
        finally:
            _HELD.now = False


def over_threads[T, R](function: Callable[[T], R], parts: Sequence[T], n_threads: int | None = None) -> list[R]:
    """Return results of `function` on each part, in order, from several threads with BLAS held to one."""
    n_threads = min(available_cores() if n_threads is None else n_threads, len(parts))
    with single_threaded_blas():
        return list(map(function, parts) if n_threads < 2 else pool(n_threads + 1).map(function, parts))


_LOCK = threading.Lock()
_POOLS: dict[int, ThreadPoolExecutor] = {}


def pool(n_threads: int) -> ThreadPoolExecutor:
    """Return a pool kept for the life of the process: starting threads costs as much as a small pass."""
    with _LOCK:
        if n_threads not in _POOLS:
            _POOLS[n_threads] = ThreadPoolExecutor(n_threads - 1, thread_name_prefix="bayesgmm")
        return _POOLS[n_threads]


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


# a forked child has none of the parent's threads
os.register_at_fork(after_in_child=_POOLS.clear)
