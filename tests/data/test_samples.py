"""Some of many rows: all where there are few, in order, and at random only by the generator that is given."""

import numpy as np
import pytest

from bayesgmm.data import samples
from bayesgmm.data.observations import as_observations
from bayesgmm.data.samples import choose_rows, even_positions, even_sample, random_positions, sample_rows, some_rows


def rows(n, weights=None):
    return as_observations(np.arange(n, dtype=float)[:, None], weights=weights)


@pytest.mark.parametrize(
    "choose", [even_positions, lambda n, most: random_positions(n, most, np.random.default_rng(1))]
)
def test_positions_are_distinct_and_in_order(choose):
    np.testing.assert_array_equal(choose(7, 7), np.arange(7))
    np.testing.assert_array_equal(choose(3, 7), np.arange(3))
    some = choose(100, 7)
    assert len(some) == 7 and (np.diff(some) > 0).all() and 0 <= some[0] and some[-1] < 100


def test_even_positions_hold_both_ends():
    assert even_positions(100, 4).tolist() == [0, 33, 66, 99]


def test_the_seed_decides_random_positions_and_pictures_have_one_of_their_own():
    first, again, other = (random_positions(500, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(choose_rows(rows(500), 20), random_positions(500, 20, np.random.default_rng(0)))
    assert some_rows(rows(500), 20).values[:, 0].tolist() == list(range(0, 500, 25))


@pytest.mark.parametrize("sample", [even_sample, lambda some: sample_rows(some, np.random.default_rng(0))])
def test_a_sample_for_a_start_has_rows_from_every_stretch_and_stands_for_weights(sample, monkeypatch):
    monkeypatch.setattr(samples, "MOST_ROWS", 50)
    monkeypatch.setattr(samples, "MOST_AGGLOMERATED", 50)
    few = rows(40)
    assert sample(few) is few
    positions = sample(rows(500)).values[:, 0]
    np.testing.assert_array_equal(positions // 10, np.arange(50))
    weights = np.where(np.arange(500) < 250, 3.0, 1.0)
    weighted = sample(rows(500, weights))
    assert weighted.weights is None and weighted.n_rows == 50
    # three quarters of the weight, within four standard errors of a draw
    share = (weighted.values[:, 0] < 250).mean()
    assert abs(share - 0.75) <= 4 * np.sqrt(0.75 * 0.25 / 50)
    kept = sample(rows(500, np.where(np.arange(500) < 30, 2.0, 0.0)))
    np.testing.assert_array_equal(kept.weights, np.full(30, 2.0))
