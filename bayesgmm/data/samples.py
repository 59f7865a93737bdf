"""Some of many rows."""

import numpy as np

from bayesgmm.data.observations import Observations

MOST_ROWS = 20_000

MOST_AGGLOMERATED = 800
"""Time and memory of `agglomerate` grow as the square of the rows."""


def sample_rows(observations: Observations, rng: np.random.Generator) -> Observations:
    """At most MOST_ROWS rows; a weighted draw with replacement stands for the weights, so the sample has none."""
    if observations.weights is None:
        if observations.n_rows <= MOST_ROWS:
            return observations
        # one row from each of MOST_ROWS equal stretches: unlike a draw from all rows, it needs no list of them
        edges = observations.n_rows * np.arange(MOST_ROWS + 1) // MOST_ROWS
        return observations.take(rng.integers(edges[:-1], edges[1:]))
    present = np.flatnonzero(observations.weights)
    if len(present) <= MOST_ROWS:
        return observations.take(present)
    share = observations.weights / observations.weights.sum()
    return observations.take(np.sort(rng.choice(observations.n_rows, MOST_ROWS, p=share))).unweighted()


def even_sample(observations: Observations) -> Observations:
    """At most MOST_AGGLOMERATED rows, at the middles of as many equal stretches of rows or of their weight."""
    middles = (2 * np.arange(MOST_AGGLOMERATED) + 1) / (2 * MOST_AGGLOMERATED)
    if observations.weights is None:
        if observations.n_rows <= MOST_AGGLOMERATED:
            return observations
        return observations.take((middles * observations.n_rows).astype(np.intp))
    present = np.flatnonzero(observations.weights)
    if len(present) <= MOST_AGGLOMERATED:
        return observations.take(present)
    reached = observations.weights[present].cumsum()
    return observations.take(present[reached.searchsorted(middles * reached[-1], side="right")]).unweighted()


def some_rows(observations: Observations, most: int) -> Observations:
    """Every row, or `most` of them at even distances."""
    N = observations.n_rows
    return observations if N <= most else observations.take(np.arange(most) * N // most)


def random_positions(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of every one of n rows, or of `most` at random, in order."""
    return np.arange(n) if n <= most else np.sort(rng.choice(n, size=most, replace=False))


def even_positions(n: int, most: int) -> np.ndarray:
    """Positions of every one of n rows, or of `most` at even distances, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)


MOST_POINTS = 5000
"""No picture draws more points than these; the rows are chosen at random with a fixed seed."""


def choose_rows(observations: Observations, most: int = MOST_POINTS) -> np.ndarray:
    """Positions of the rows to draw, in order: all, or `most` of them at random (seed 0)."""
    return random_positions(observations.n_rows, most, np.random.default_rng(0))
