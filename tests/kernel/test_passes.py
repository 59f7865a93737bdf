"""The verbs over all rows: complete data goes the fast way, rows that hide more the other, and both mean the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from bayesgmm.data.observations import as_observations
from bayesgmm.kernel import complete, incomplete
from bayesgmm.kernel import passes as blocks
from bayesgmm.kernel.passes import expected_statistics, for_each_block, map_rows
from tests.support import oracle
from tests.support.strategies import problems, random_mixture, random_rows

FIELDS = ("log_likelihood", "N", "S1", "S2")


def hidden(kind, X):
    """What each kind of row adds to a complete table."""
    if kind == "missing":
        X = X.copy()
        X[3, 1] = np.nan
        return X, {}
    if kind == "errors":
        return X, {"errors": np.full(X.shape, 0.1)}
    return X, {"known_labels": np.where(np.arange(len(X)) == 5, 1, -1)}


def logs(verb, observations, parameters):
    out = np.empty((observations.n_rows, 2))

    def keep(rows, log_joint):
        out[rows] = log_joint.T

    verb(keep, observations, parameters)
    return out


@pytest.mark.parametrize("kind", ["complete", "missing", "errors", "known"])
def test_rows_go_to_the_pass_that_knows_them(rng, kind, monkeypatch):
    X, more = (random_rows(rng, 40, 3), {}) if kind == "complete" else hidden(kind, random_rows(rng, 40, 3))
    observations, standard = as_observations(X, **more), random_mixture(rng, 2, 3)
    right, wrong = (complete, incomplete) if kind == "complete" else (incomplete, complete)
    parameters = observations.from_standard(standard)
    expected = right.expected_statistics(observations, standard)
    by_block = logs(right.for_each_block, observations, parameters)

    def refuse(*arguments, **settings):
        raise AssertionError("the other pass was called")

    # the passes themselves call helpers of the other module, never its verbs
    monkeypatch.setattr(blocks, wrong.__name__.rpartition(".")[2], type("Other", (), dict.fromkeys(VERBS, refuse)))
    found = expected_statistics(observations, standard)
    for field in FIELDS:
        assert_array_equal(getattr(found, field), getattr(expected, field))
    assert_array_equal(logs(for_each_block, observations, parameters), by_block)


VERBS = ("expected_statistics", "for_each_block")


def test_both_passes_agree_on_complete_rows(rng):
    """Errors too small to matter turn the same rows over to the other pass."""
    X, standard = random_rows(rng, 200, 3), random_mixture(rng, 2, 3)
    here, there = as_observations(X), as_observations(X, errors=np.full(X.shape, 1e-14))
    a, b = expected_statistics(here, standard), expected_statistics(there, standard)
    for field in FIELDS:
        assert_allclose(getattr(b, field), getattr(a, field), rtol=1e-9, atol=1e-9)
    p = here.from_standard(standard)
    assert_allclose(logs(for_each_block, there, p), logs(for_each_block, here, p), rtol=1e-9, atol=1e-9)


@given(problem=problems(max_rows=50), S=st.integers(1, 5))
def test_leading_batch_dimensions_are_a_loop_over_mixtures(problem, S):
    observations = problem.observations
    rng = np.random.default_rng(S)
    batch = observations.from_standard(random_mixture(rng, 3, observations.n_features, batch=(S, 2)))
    found = map_rows(lambda a: np.moveaxis(a, -1, 0).copy(), observations, batch, trailing=(S, 2, 3))
    for s in range(S):
        for c in range(2):
            expected = oracle.log_joint(observations.values, batch[s][c])
            assert_allclose(found[:, s, c], expected, rtol=1e-9, atol=1e-8)


@given(problem=problems())
def test_mapped_rows_are_in_the_units_of_the_data_and_in_order(problem):
    observations, parameters = problem
    found = map_rows(lambda log_joint: logsumexp(log_joint, axis=0), observations, parameters)
    assert_allclose(found, oracle.log_density(observations.values, parameters), rtol=1e-9, atol=1e-8)
    labels = map_rows(lambda a: a.argmax(axis=0), observations, parameters, dtype=np.intp)
    assert labels.dtype == np.intp
