"""One pass over many blocks and threads is one pass over all rows at once, to the last bit whatever the threads."""

import multiprocessing
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.observations import as_observations
from bayesgmm.kernel import complete
from bayesgmm.kernel.complete import expected_statistics, for_each_block
from bayesgmm.kernel.moments import Moments
from tests.support import oracle
from tests.support.skips import NO_FORK
from tests.support.strategies import random_mixture, random_rows

THREADS = (1, 2, 3, 8)


def large_problem(rng, *, D=3, K=4, N=30_000):
    observations = as_observations(random_rows(rng, N, D))
    return observations, random_mixture(rng, K, D)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("far", [False, True], ids=["natural", "residual"])
def test_statistics_do_not_depend_on_the_number_of_threads(rng, diagonal, far):
    observations, standard = large_problem(rng)
    if diagonal:
        standard = random_mixture(rng, 4, 3, diagonal=True)
    if far:
        standard = standard.affine(np.full(3, -1e5), 1.0)
    moments = Moments.DIAGONAL if diagonal else Moments.FULL
    results = [expected_statistics(observations, standard, moments, n_threads=n) for n in THREADS]
    for other in results[1:]:
        assert other.log_likelihood == results[0].log_likelihood
        for field in ("N", "S1", "S2"):
            assert_array_equal(getattr(other, field), getattr(results[0], field))


def test_rows_do_not_depend_on_the_number_of_threads(rng):
    observations, standard = large_problem(rng)
    parameters = observations.from_standard(standard)

    def collect(n_threads):
        out = np.empty((observations.n_rows, 4))

        def keep(rows, log_joint):
            out[rows] = log_joint.T

        for_each_block(keep, observations, parameters, n_threads=n_threads)
        return out

    first = collect(1)
    for n_threads in THREADS[1:]:
        assert_array_equal(collect(n_threads), first)
    sample = slice(0, 30_000, 997)
    assert_allclose(first[sample], oracle.log_joint(observations.values[sample], parameters), rtol=1e-9, atol=1e-8)


def test_statistics_of_many_blocks_are_those_of_one(rng, monkeypatch):
    observations, standard = large_problem(rng, N=5000)
    usual = expected_statistics(observations, standard)
    monkeypatch.setattr(complete, "BLOCK_FLOATS", 2**40)
    complete._chunks.cache_clear()
    whole = expected_statistics(observations, standard)
    assert_allclose(usual.log_likelihood, whole.log_likelihood, rtol=1e-13)
    assert_allclose(usual.S2, whole.S2, rtol=1e-11)


@given(n_rows=st.integers(1, 10**6), block_rows=st.integers(64, 4096))
def test_chunks_are_consecutive_blocks_that_cover_every_row(n_rows, block_rows):
    chunks = complete._chunks(n_rows, block_rows)
    flat = [rows for chunk in chunks for rows in chunk]
    assert len(chunks) <= complete.MOST_CHUNKS
    assert flat[0].start == 0 and flat[-1].stop == n_rows
    assert all(a.stop == b.start for a, b in pairwise(flat))
    assert all(0 < rows.stop - rows.start <= block_rows for rows in flat)


def test_an_error_in_a_thread_comes_out(rng):
    observations, standard = large_problem(rng)

    def fail(rows, log_joint):
        raise LookupError(threading.current_thread().name)

    with pytest.raises(LookupError):
        for_each_block(fail, observations, observations.from_standard(standard), n_threads=2)


def test_passes_from_several_threads_at_once_do_not_disturb_each_other(rng):
    observations, standard = large_problem(rng)
    expected = expected_statistics(observations, standard, n_threads=1)
    found = []
    callers = [
        threading.Thread(target=lambda: found.append(expected_statistics(observations, standard, n_threads=2)))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [result.log_likelihood for result in found] == [expected.log_likelihood] * 4


def _child(connection, observations, standard):
    connection.send(expected_statistics(observations, standard, n_threads=2).log_likelihood)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason=NO_FORK)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own(rng):
    observations, standard = large_problem(rng)
    expected = expected_statistics(observations, standard, n_threads=2)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there, observations, standard))
    child.start()
    assert here.poll(20), "the child hangs: it waits for threads that only its parent has"
    assert here.recv() == expected.log_likelihood
    child.join(5)
