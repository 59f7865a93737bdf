"""Threads of our own: results in order, errors come out, BLAS is held to one beside them and let go afterwards."""

import multiprocessing
import threading
import time

import pytest
from threadpoolctl import threadpool_info

from bayesgmm.tools.threads import available_cores, over_threads, single_threaded_blas
from tests.support.skips import NO_FORK


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_there_is_a_core_to_run_on():
    assert available_cores() >= 1


@pytest.mark.parametrize("n_threads", [None, 1, 2, 5])
@pytest.mark.parametrize("n_parts", [0, 1, 7])
def test_results_are_those_of_a_loop_in_its_order(n_threads, n_parts):
    parts = list(range(n_parts))
    assert over_threads(lambda i: i * i, parts, n_threads) == [i * i for i in parts]


def test_parts_really_run_at_the_same_time():
    meet = threading.Barrier(2, timeout=20)
    # each waits for the other: one thread alone would break the barrier
    assert sorted(over_threads(lambda _: meet.wait(), [0, 1], 2)) == [0, 1]


def test_an_error_in_a_thread_comes_out_and_the_pool_lives_on():
    def fail(i):
        raise LookupError(f"part {i}")

    for n_threads in (1, 2, 5):
        with pytest.raises(LookupError, match="part 0"):
            over_threads(fail, [0, 1, 2], n_threads)
        assert over_threads(str, [0, 1, 2], n_threads) == ["0", "1", "2"]


def test_when_an_error_comes_out_no_thread_works_any_more():
    begun, ended = [], []

    def part(i):
        begun.append(i)
        if i == 0:
            raise LookupError
        time.sleep(0.05)
        ended.append(i)

    with pytest.raises(LookupError):
        over_threads(part, range(100), 3)
    assert sorted(begun) == [0, *sorted(ended)]
    assert len(begun) < 100


def test_parts_that_ask_for_threads_do_not_wait_for_each_other():
    def outer(i):
        return over_threads(lambda j: 10 * i + j, [0, 1, 2], 2)

    answers = []
    # on a thread of its own, so that a lock would fail the test and not hang it
    asking = threading.Thread(target=lambda: answers.append(over_threads(outer, range(6), 2)), daemon=True)
    asking.start()
    asking.join(20)
    assert answers == [[[10 * i, 10 * i + 1, 10 * i + 2] for i in range(6)]]


def test_threads_are_kept():
    def names():
        meet = threading.Barrier(3, timeout=20)
        over_threads(lambda _: meet.wait(), range(3), 3)
        return {thread.name for thread in threading.enumerate() if thread.name.startswith("bayesgmm")}

    first = names()
    assert first
    assert names() == first


def test_blas_is_held_to_one_thread_and_let_go():
    before = blas_threads()
    assert before, "NumPy's BLAS is not known to threadpoolctl"
    with single_threaded_blas():
        assert blas_threads() == {1}
        with single_threaded_blas():
            assert blas_threads() == {1}
        assert blas_threads() == {1}, "the inner one let go what the outer holds"
    assert blas_threads() == before
    with pytest.raises(LookupError), single_threaded_blas():
        raise LookupError
    assert blas_threads() == before


def _child(connection):
    connection.send(over_threads(lambda i: i + 1, [1, 2, 3], 2))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason=NO_FORK)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own():
    over_threads(str, [1, 2, 3], 2)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there,))
    child.start()
    assert here.poll(20), "the child hangs: it waits for threads that only its parent has"
    assert here.recv() == [2, 3, 4]
    child.join(5)
