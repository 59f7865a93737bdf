"""Agglomeration: the greedy path of its criterion, mclust's partitions, and blindness to origin, units and order."""

import csv
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bayesgmm as bg
from bayesgmm.em.starts import hierarchy
from bayesgmm.em.starts.hierarchy import _determinants, agglomerate, transformed
from tests.support.strategies import random_rows, seeds
from tests.support.truth import TRUTH


def same_partition(first, second):
    pairs = set(zip(np.asarray(first).tolist(), np.asarray(second).tolist(), strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


def criterion(z, n, members):
    """A cluster's term of Fraley's VVV, by its definition: the scatter from the rows."""
    total, D = n.sum(), z.shape[1]
    alpha = (n @ ((z - n @ z / total) ** 2).sum(axis=1)) / (total * D)
    n_k = n[members].sum()
    centred = z[members] - n[members] @ z[members] / n_k
    W = (centred * n[members, None]).T @ centred
    # a cluster of no more rows than features is flat, whatever rounding says
    determinant = np.linalg.det(W / n_k) if len(members) > D else 0.0
    return n_k * np.log(determinant + (np.trace(W) + alpha) / n_k)


def greedy(rows, weights=None):
    """All partitions, from the finest: of all pairs, the one that costs least."""
    distinct, leaves = np.unique(rows, axis=0, return_inverse=True)
    n = np.bincount(leaves.reshape(-1), weights).astype(float)
    z = transformed(distinct, n)
    clusters = [[row] for row in range(len(z))]
    partitions = {}
    while clusters:
        label = np.empty(len(z), dtype=int)
        for code, members in enumerate(clusters):
            label[members] = code
        partitions[len(clusters)] = label[leaves.reshape(-1)]
        pairs = [(i, j) for j in range(len(clusters)) for i in range(j)]
        if not pairs:
            return partitions
        now = [criterion(z, n, cluster) for cluster in clusters]
        costs = [criterion(z, n, clusters[i] + clusters[j]) - now[i] - now[j] for i, j in pairs]
        i, j = pairs[int(np.argmin(costs))]
        clusters = [c for at, c in enumerate(clusters) if at not in (i, j)] + [clusters[i] + clusters[j]]


@given(seed=seeds, N=st.integers(1, 25), D=st.integers(1, 3), weighted=st.booleans())
def test_each_step_joins_the_pair_that_costs_least(seed, N, D, weighted):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, N, D)
    weights = rng.uniform(0.5, 3, size=N) if weighted else None
    found = agglomerate(rows, weights)
    for K, expected in greedy(rows, weights).items():
        assert same_partition(found.labels(K), expected), K


@given(seed=seeds, N=st.integers(2, 40), D=st.integers(1, 3))
def test_partitions_are_nested_and_no_cluster_is_empty(seed, N, D):
    rng = np.random.default_rng(seed)
    found = agglomerate(rng.integers(0, 4, size=(N, D)).astype(float))
    finer = found.labels(found.n_distinct)
    for K in range(found.n_distinct, 0, -1):
        labels = found.labels(K)
        assert_array_equal(np.unique(labels), np.arange(K))
        assert len(set(zip(finer, labels, strict=True))) == len(set(finer))
        finer = labels


@given(seed=seeds, D=st.integers(1, 3))
def test_neither_origin_nor_units_make_a_difference(seed, D):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, 30, D)
    factor, shift = np.exp(rng.uniform(-15, 15, size=D)), rng.uniform(-100, 100, size=D)
    here, there = agglomerate(rows), agglomerate((rows + shift) * factor)
    for K in range(1, 31):
        assert_array_equal(here.labels(K), there.labels(K))


@pytest.mark.parametrize("name", ["faithful", "iris"])
def test_ties_of_rounded_data_do_not_hang_on_rounding_errors(name):
    rows = bg.load_dataset(name).values
    here = agglomerate(rows)
    for factor, shift in ((2.54, 0.0), (1e-3, 7.3), (1 / 3, -1e3)):
        there = agglomerate(rows * factor + shift)
        for K in range(1, here.n_distinct + 1):
            assert_array_equal(here.labels(K), there.labels(K))


@given(seed=seeds, D=st.integers(1, 3), rounded=st.booleans())
def test_the_order_of_the_rows_makes_no_difference(seed, D, rounded):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 5, size=(40, D)).astype(float) if rounded else random_rows(rng, 40, D)
    order = rng.permutation(40)
    here, there = agglomerate(rows), agglomerate(rows[order])
    for K in range(1, here.n_distinct + 1):
        assert_array_equal(here.labels(K)[order], there.labels(K))


@given(seed=seeds, D=st.integers(1, 3))
def test_a_weight_counts_as_so_many_equal_rows(seed, D):
    rng = np.random.default_rng(seed)
    rows, times = random_rows(rng, 20, D), rng.integers(1, 5, size=20)
    weighted, repeated = agglomerate(rows, times.astype(float)), agglomerate(np.repeat(rows, times, axis=0))
    for K in range(1, 21):
        assert_array_equal(np.repeat(weighted.labels(K), times), repeated.labels(K))


def test_far_clusters_are_found_whatever_their_shape(rng):
    per = 60
    long = rng.normal(size=(per, 2)) * [8.0, 0.2]
    round_ = rng.normal(loc=[0.0, 12.0], size=(per, 2))
    small = rng.normal(loc=[30.0, 5.0], scale=0.05, size=(per, 2))
    labels = agglomerate(np.concatenate([long, round_, small])).labels(3)
    assert same_partition(labels, np.repeat([0, 1, 2], per))


def test_in_one_dimension_a_narrow_cluster_beside_a_wide_one_is_kept(rng):
    rows = np.concatenate([rng.normal(scale=0.05, size=80), rng.normal(loc=8, scale=1.5, size=80)])[:, None]
    assert same_partition(agglomerate(rows).labels(2), np.repeat([0, 1], 80))


@pytest.mark.parametrize("name", ["faithful", "iris"])
def test_the_partitions_are_those_of_mclust(name):
    """R package mclust 6.0.0, hc(modelName = "VVV", use = "SVD"); of faithful's many ties it breaks some otherwise."""
    with open(TRUTH / "mclust" / f"{name}_init_partition.csv", encoding="utf-8") as file:
        table = [[int(code) for code in row] for row in list(csv.reader(file))[1:]]
    expected, found = np.array(table).T, agglomerate(bg.load_dataset(name).values)
    if name == "iris":
        for K in range(1, 10):
            assert same_partition(found.labels(K), expected[K - 1])
    else:
        agree = np.mean(found.labels(2) == expected[1] - expected[1].min())
        assert max(agree, 1 - agree) > 0.99


def test_rows_that_differ_in_their_last_digit_can_be_told_apart():
    rows = np.array([[0.0, 1.0], [1.0, 1.0], [1.0 + 1e-15, 1.0], [5.0, 0.0]]).repeat(3, axis=0)
    assert_array_equal(agglomerate(rows).labels(4), np.repeat(np.arange(4), 3))


def test_features_without_spread_or_twice_the_same_are_no_obstacle(rng):
    rows = random_rows(rng, 30, 2)
    more = np.column_stack([np.full(30, 3.0), rows, rows[:, 0] * 2])
    found = agglomerate(more)
    assert_array_equal(np.unique(found.labels(5)), np.arange(5))
    assert transformed(more, np.ones(30)).shape == (30, 2)
    assert_array_equal(agglomerate(np.ones((4, 2))).labels(1), np.zeros(4))


def test_more_clusters_than_distinct_rows_are_refused():
    found = agglomerate(np.array([[0.0], [0.0], [1.0]]))
    with pytest.raises(ValueError, match="from 1 to the number of distinct rows, 2; received 3"):
        found.labels(3)


@given(seed=seeds, D=st.integers(1, 6), rank=st.integers(1, 8))
def test_determinants_of_all_at_once(seed, D, rank):
    factors = np.random.default_rng(seed).normal(size=(7, D, rank))
    matrices = factors @ factors.transpose(0, 2, 1)
    found = _determinants(np.moveaxis(matrices, 0, -1))
    assert (found >= 0).all()
    scale = np.trace(matrices, axis1=1, axis2=2) ** D
    assert_allclose(found / scale, np.linalg.det(matrices) / scale, atol=1e-13)


def test_two_thousand_rows_take_seconds():
    rows = np.random.default_rng(0).normal(size=(2_000, 5))
    began = time.process_time()
    found = agglomerate(rows)
    # 1.4 s on one core; what this catches is a loop over pairs, a hundred times slower
    assert time.process_time() - began < 15
    assert found.n_distinct == 2_000


@pytest.mark.parametrize("D", [2, 5, 12])
def test_determinants_left_out_make_no_difference(monkeypatch, D):
    rows = random_rows(np.random.default_rng(D), 150, D)
    found = agglomerate(rows).merges
    monkeypatch.setattr(hierarchy, "UNSEEN", -1.0)
    assert_array_equal(agglomerate(rows).merges, found)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_squares_of_numbers_in_odd_units_neither_vanish_nor_overflow(unit, rng):
    rows = rng.normal(size=(30, 2))
    assert_array_equal(agglomerate(rows * unit).merges, agglomerate(rows).merges)
