"""Rows far from their neighbours, told from clusters before any mixture is known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.data.observations import as_observations
from bayesgmm.em.starts.clutter import LEAST_SHARE, NEIGHBOUR, noise_probability, without_clutter


def scattered(rng, clustered=600, noise=200, D=2):
    """Two narrow clusters in a wide box, and which rows are noise."""
    centres = np.stack([np.full(D, -4.0), np.full(D, 4.0)])
    rows = centres[rng.integers(2, size=clustered)] + 0.5 * rng.normal(size=(clustered, D))
    background = rng.uniform(-10, 10, size=(noise, D))
    return np.concatenate([rows, background]), np.repeat([False, True], [clustered, noise])


@pytest.mark.parametrize("D", [2, 3, 6])
def test_noise_is_told_from_clusters(rng, D):
    X, noise = scattered(rng, D=D)
    found = noise_probability(as_observations(X)) > 0.5
    assert found[noise].mean() > 0.85 and found[~noise].mean() < 0.1


def test_neither_units_nor_the_order_of_rows_matter(rng):
    X, _ = scattered(rng)
    order = rng.permutation(len(X))
    expected = noise_probability(as_observations(X))
    found = noise_probability(as_observations(X[order] * [1e-3, 1e5] + [7.0, -1e4]))
    assert_allclose(found, expected[order], atol=1e-6)


def test_an_integer_weight_is_that_many_rows(rng):
    """The start of its EM sees no weights, where it ends does."""
    X, _ = scattered(rng, 300, 100)
    weights = rng.integers(1, 4, size=len(X))
    repeated = noise_probability(as_observations(np.repeat(X, weights, axis=0)))
    found = noise_probability(as_observations(X, weights=weights))
    assert_allclose(np.repeat(found, weights), repeated, atol=1e-4)


def test_the_distance_is_that_to_the_kth_neighbour(rng):
    """Against every pair: the more so, the more probably noise."""
    X, _ = scattered(rng, 200, 60)
    rows = (X - X.mean(axis=0)) / X.std(axis=0)
    distance = np.sort(np.linalg.norm(rows[:, None] - rows, axis=-1), axis=1)[:, NEIGHBOUR]
    found = noise_probability(as_observations(X))
    assert (np.diff(found[np.argsort(distance)]) >= -1e-12).all()


def test_what_is_left_are_the_clusters(rng):
    X, noise = scattered(rng)
    cleaned = without_clutter(as_observations(X), 2, rng)
    assert 0.15 < cleaned.share < 0.35  # a quarter is noise
    left = cleaned.observations.values
    assert len(left) < len(X) and np.isin(left[:, 0], X[~noise, 0]).mean() > 0.95
    assert_allclose(cleaned.observations.shift, X.mean(axis=0), atol=1e-12)


def test_of_many_rows_a_sample_is_looked_at(rng):
    X, _ = scattered(rng, 20_000, 5_000)
    cleaned = without_clutter(as_observations(X), 2, rng)
    assert cleaned.observations.n_rows < 20_000
    wide = rng.normal(size=(6_000, 20))
    cleaned = without_clutter(as_observations(wide), 2, rng)
    assert cleaned is None or cleaned.observations.n_rows < 5_000


@pytest.mark.parametrize(
    "X",
    [
        np.repeat([[0.0, 1.0], [2.0, 3.0]], 30, axis=0),
        np.array([[0.0], [1.0]]),
        np.concatenate([np.zeros((40, 1)), [[1.0], [2.0]]]),
    ],
    ids=["ties", "two rows", "one value and two"],
)
def test_too_little_to_tell_leaves_the_rows_alone(X, rng):
    assert without_clutter(as_observations(X), 2, rng) is None


def test_a_share_too_small_to_begin_with_is_raised(rng):
    X = np.concatenate([rng.normal(size=(3000, 2)), [[500.0, 500.0]]])
    cleaned = without_clutter(as_observations(X), 1, rng)
    assert cleaned is None or cleaned.share >= LEAST_SHARE
