"""Starts: whatever the method, a whole mixture, blind to units and to the number of rows, and the same for one seed."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data import samples
from bayesgmm.data.observations import as_observations
from bayesgmm.data.samples import MOST_AGGLOMERATED, MOST_ROWS
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.starts import methods as initialization
from bayesgmm.em.starts.methods import (
    DRAWN,
    LEAST_SPREAD,
    METHODS,
    from_method,
    hierarchical_memberships,
    kmeans,
    nearest_row,
    nearest_seed,
    random_memberships,
    statistics_of,
)
from bayesgmm.kernel.moments import Moments
from tests.support.strategies import random_rows, seeds

FULL = FAMILIES["full"]
methods = pytest.mark.parametrize("method", METHODS)
drawn_methods = pytest.mark.parametrize("method", DRAWN)
few = settings(max_examples=max(5, settings().max_examples // 4))  # of every family
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def start(observations, method, K, *, family=FULL, seed=0):
    return from_method(observations, method, K, family, np.zeros(observations.n_features), np.random.default_rng(seed))


def blobs(rng, per=40, D=2):
    centres = np.array([[0.0] * D, [20.0] * D, [0.0] * (D - 1) + [40.0]])
    return np.repeat(centres, per, axis=0) + rng.normal(size=(3 * per, D)), np.repeat(np.arange(3), per)


@methods
@families
@few
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 3))
def test_a_start_is_a_mixture_of_the_family_among_the_data(method, family, seed, K, D):
    rng = np.random.default_rng(seed)
    observations = as_observations(random_rows(rng, 40, D))
    found = observations.from_standard(start(observations, method, K, family=family, seed=seed))
    assert found.means.shape == (K, D)
    assert (found.means >= observations.values.min(axis=0) - 1e-9).all()
    assert (found.means <= observations.values.max(axis=0) + 1e-9).all()
    assert (found.weights > 0).all()
    assert_allclose(family.unpack(family.pack(found.covariances), K, D), found.covariances, rtol=1e-12, atol=1e-12)


@drawn_methods
def test_the_seed_decides(method, rng):
    observations = as_observations(random_rows(rng, 60, 2))
    first, again = (start(observations, method, 3, seed=7) for _ in range(2))
    assert_array_equal(first.means, again.means)
    assert_array_equal(first.covariances, again.covariances)
    others = [start(observations, method, 3, seed=s).means for s in range(5)]
    assert any(not np.array_equal(other, others[0]) for other in others)


@methods
@pytest.mark.parametrize("factor", [np.array([1e-8, 1e8]), np.array([1e6, 1e6])], ids=["per column", "common"])
def test_a_start_does_not_see_units_or_the_origin(method, factor, rng):
    X = random_rows(rng, 60, 2)
    observations, moved = as_observations(X), as_observations(X * factor + 100 * factor)
    here = observations.from_standard(start(observations, method, 3))
    there = moved.from_standard(start(moved, method, 3))
    assert_allclose(there.weights, here.weights, rtol=1e-9)
    assert_allclose(there.means / factor - 100, here.means, rtol=1e-8, atol=1e-8)
    assert_allclose(there.covariances / factor[:, None] / factor, here.covariances, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ["kmeans", "k-means++"])
def test_separate_clusters_are_found(method, rng):
    X, labels = blobs(rng)
    found = DRAWN[method]((X - X.mean(axis=0)) / X.std(axis=0), None, 3, rng).argmax(axis=1)
    assert len(set(zip(found.tolist(), labels.tolist(), strict=True))) == 3


@pytest.mark.parametrize("method", [kmeans, nearest_seed, nearest_row, random_memberships])
def test_memberships_sum_to_one_and_no_component_is_empty(method, rng):
    rows = rng.normal(size=(50, 2))
    for K in (1, 2, 5):
        r = method(rows, None, K, rng)
        assert r.shape == (50, K)
        assert_allclose(r.sum(axis=1), 1.0)
        assert (r.sum(axis=0) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_as_many_components_as_distinct_rows_still_start(method):
    rows = np.repeat(np.array([[0.0, 1.0], [1.0, 1.0], [1.0 + 1e-12, 1.0], [5.0, 0.0]]), 3, axis=0)
    observations = as_observations(rows)
    for seed in range(10):
        assert (start(observations, method, 4, seed=seed).weights > 0).all()


@pytest.mark.parametrize("method", ["kmeans", "k-means++"])
def test_weights_count_as_repeated_rows_when_seeds_are_drawn(method, rng):
    """A cluster that carries nearly all the weight must be seen as such."""
    rows = np.concatenate([rng.normal(size=(10, 1)), rng.normal(size=(10, 1)) + 30, rng.normal(size=(200, 1)) + 60])
    weights = np.concatenate([np.full(20, 1e6), np.full(200, 1e-6)])
    for seed in range(10):
        r = DRAWN[method](rows, weights, 2, np.random.default_rng(seed))
        assert r[:10].argmax(axis=1).tolist() != r[10:20].argmax(axis=1).tolist()
        assert len(set(r[:10].argmax(axis=1))) == len(set(r[10:20].argmax(axis=1))) == 1


def test_rows_without_weight_have_no_say(rng):
    X, labels = blobs(rng)
    observations = as_observations(X, weights=(labels < 2).astype(float))
    for method in METHODS:
        found = observations.from_standard(start(observations, method, 2)).means
        assert found[:, 1].max() < 30, method


@methods
def test_a_narrow_component_is_widened(method, rng):
    X = np.concatenate([np.tile([[0.0, 0.0]], (30, 1)), rng.normal(size=(30, 2)) + 5])
    observations = as_observations(X)
    found = observations.from_standard(start(observations, method, 2))
    smallest = np.linalg.eigvalsh(found.covariances / np.sqrt(np.outer(observations.variances, observations.variances)))
    assert smallest.min() >= LEAST_SPREAD * (1 - 1e-9)


def test_of_many_rows_a_stratified_sample_is_used(monkeypatch, rng):
    seen = {}

    def remember(rows, weights, K, rng):
        seen["rows"] = rows
        return random_memberships(rows, weights, K, rng)

    monkeypatch.setitem(initialization.DRAWN, "random", remember)
    N = 3 * MOST_ROWS + 1
    observations = as_observations(np.arange(N, dtype=float)[:, None])
    start(observations, "random", 2)
    rows = seen["rows"][:, 0] * np.sqrt(observations.variances) + observations.shift
    assert rows.shape == (MOST_ROWS,)
    assert len(np.unique(rows.round())) == MOST_ROWS
    # one of every three consecutive rows, so quantiles are those of the data to a part in MOST_ROWS
    assert np.abs(np.sort(rows) / N - np.arange(MOST_ROWS) / MOST_ROWS).max() < 2 / MOST_ROWS


def test_a_weighted_sample_follows_the_weights(monkeypatch, rng):
    seen = {}

    def remember(rows, weights, K, rng):
        seen.update(rows=rows, weights=weights)
        return random_memberships(rows, weights, K, rng)

    monkeypatch.setitem(initialization.DRAWN, "random", remember)
    N = 2 * MOST_ROWS
    X = np.concatenate([np.zeros(N // 2), np.ones(N // 2)]) + rng.normal(scale=1e-3, size=N)
    observations = as_observations(X[:, None], weights=np.repeat([1.0, 3.0], N // 2))
    start(observations, "random", 2)
    assert seen["weights"] is None
    share = (seen["rows"][:, 0] * np.sqrt(observations.variances) + observations.shift > 0.5).mean()
    assert abs(share - 0.75) < 5 * np.sqrt(0.75 * 0.25 / MOST_ROWS)  # 5 standard errors


@methods
def test_a_start_takes_memory_that_does_not_grow_with_the_rows(method, rng, monkeypatch):
    monkeypatch.setattr(samples, "MOST_AGGLOMERATED", 200)

    def peak(N):
        observations = as_observations(rng.normal(size=(N, 4)))
        tracemalloc.start()
        start(observations, method, 3)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    small, large = 2 * MOST_ROWS, 8 * MOST_ROWS
    peak(small)  # what is allocated once for all
    assert peak(large) - peak(small) < 0.05 * (large - small) * 4 * 8


def test_the_hierarchical_start_draws_nothing(rng):
    observations = as_observations(random_rows(rng, 60, 2))
    untouched = np.random.default_rng(5)
    first = from_method(observations, "hierarchical", 3, FULL, np.zeros(2), untouched)
    assert untouched.bit_generator.state == np.random.default_rng(5).bit_generator.state
    assert_array_equal(first.means, start(observations, "hierarchical", 3, seed=1).means)


@families
@few
@given(seed=seeds, weighted=st.booleans())
def test_one_agglomeration_serves_every_number_of_components(family, seed, weighted):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, size=40).astype(float) if weighted else None
    if weights is not None:
        weights[:10] = 1.0
    observations = as_observations(random_rows(rng, 40, 2), weights=weights)
    at_once = hierarchical_memberships(observations)
    for K in range(1, 6):
        expected = start(observations, "hierarchical", K, family=family)
        found = at_once.parameters(K, family, np.zeros(2))
        assert_array_equal(found.weights, expected.weights)
        assert_array_equal(found.means, expected.means)
        assert_array_equal(found.covariances, expected.covariances)


def test_the_hierarchical_start_is_the_mixture_of_separate_clusters(rng):
    X, labels = blobs(rng)
    observations = as_observations(X)
    found = observations.from_standard(start(observations, "hierarchical", 3))
    expected = np.array([X[labels == k].mean(axis=0) for k in range(3)])
    assert_allclose(found.means[found.means.sum(axis=1).argsort()], expected[expected.sum(axis=1).argsort()])
    assert_allclose(found.weights, 1 / 3)


def test_the_hierarchical_start_counts_weights_as_repeated_rows(rng):
    X, times = random_rows(rng, 30, 2), rng.integers(0, 4, size=30)
    weighted = as_observations(X, weights=times.astype(float))
    repeated = as_observations(np.repeat(X, times, axis=0))
    here, there = (each.from_standard(start(each, "hierarchical", 3)) for each in (weighted, repeated))
    assert_allclose(here.weights, there.weights, rtol=1e-12)
    assert_allclose(here.means, there.means, rtol=1e-10)
    assert_allclose(here.covariances, there.covariances, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_of_many_rows_evenly_spaced_ones_are_agglomerated(monkeypatch, weighted):
    monkeypatch.setattr(samples, "MOST_AGGLOMERATED", 50)
    N = 1_001
    X = np.arange(N, dtype=float)[:, None]
    # the second half of the rows counts three times as much, and one row nothing
    weights = np.where(np.arange(N) < N // 2, 1.0, 3.0)
    weights[N // 2] = 0.0
    sample = hierarchical_memberships(as_observations(X, weights=weights if weighted else None)).sample
    assert sample.weights is None
    assert sample.n_rows == 50
    taken = sample.values[:, 0]
    reached = (weights.cumsum() / weights.sum())[taken.astype(int)] if weighted else taken / N
    assert np.abs(reached - (np.arange(50) + 0.5) / 50).max() < 3 / N + 1e-9
    assert N // 2 not in taken or not weighted


def test_most_rows_agglomerated_bound_the_memory():
    assert 8 * MOST_AGGLOMERATED**2 < 64 * 2**20


@given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 3), weighted=st.booleans())
def test_statistics_of_memberships_are_weighted_sums(seed, K, D, weighted):
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 4, size=30).astype(float) if weighted else None
    observations = as_observations(random_rows(rng, 30, D), weights=weights)
    r = rng.dirichlet(np.ones(K), size=30)
    Y = (observations.values - observations.shift) / observations.scale
    rw = r * (1 if weights is None else weights[:, None])
    found = statistics_of(observations, r, Moments.FULL)
    assert_allclose(found.N, rw.sum(axis=0), rtol=1e-12)
    assert_allclose(found.S1, rw.T @ Y, atol=1e-11)
    assert_allclose(found.S2, np.einsum("nk,ni,nj->kij", rw, Y, Y), atol=1e-11)
    diagonal = statistics_of(observations, r, Moments.DIAGONAL)
    assert_allclose(diagonal.S2, np.diagonal(found.S2, axis1=1, axis2=2), rtol=1e-12, atol=1e-12)


def test_statistics_of_memberships_of_many_blocks(rng):
    observations = as_observations(rng.normal(size=(20_000, 2)))
    codes = np.arange(20_000) % 3
    by_code, by_responsibility = (statistics_of(observations, m, Moments.FULL) for m in (codes, np.eye(3)[codes]))
    assert_array_equal(by_code.N, [6667, 6667, 6666])
    assert_allclose(by_code.S2, by_responsibility.S2, rtol=1e-12)
