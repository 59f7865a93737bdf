"""Rows that look like noise before any mixture is known: those far from their neighbours.

In a homogeneous scatter of points in D dimensions the D-th power of the distance to the k-th neighbour follows a gamma
distribution of shape k whose rate is the density times the volume of the unit ball. Rows of clusters and of a thin
background are then a mixture of two gammas, fitted by EM (Byers & Raftery 1998, J. Am. Stat. Assoc. 93, section 3).
Clusters are no homogeneous scatter, so that their tails pass for noise: a place to begin. May import NumPy,
scikit-learn and the modules below it only.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from sklearn.neighbors import NearestNeighbors

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import random_positions, sample_rows

NEIGHBOUR = 12
"""k: from 5 to 20 little changes; fewer are noisier, more blur clusters of few rows."""

MANY_FEATURES, FEWER_ROWS = 15, 5_000
"""Beyond so many features, where every pair of rows must be looked at, fewer rows are."""

STEPS = 200

SETTLED = 1e-6

LEAST_SHARE, MOST_SHARE = 0.01, 0.9
"""The share of noise that a start may have: from none at all EM would not find any."""


class Cleaned(NamedTuple):
    """What is left of some rows without their clutter.

    Attributes
    ----------
    observations : Observations
        The rows that are not called noise, of a sample of at most `samples.MOST_ROWS`.
    share : float
        Share of noise in the sample, by weight, between `LEAST_SHARE` and `MOST_SHARE`.
    """

    observations: Observations
    share: float


def without_clutter(observations: Observations, n_components: int, rng: np.random.Generator) -> Cleaned | None:
    """Leave out rows that look like noise; None where that leaves no rows for K clusters, or leaves out none.

    Parameters
    ----------
    observations : Observations
        Complete rows.
    n_components : int
        K.
    rng : numpy.random.Generator
        Of many rows it draws those that are looked at.

    Returns
    -------
    Cleaned or None
    """
    sample = sample_rows(observations, rng)
    if sample.n_features > MANY_FEATURES and sample.n_rows > FEWER_ROWS:
        sample = sample.take(random_positions(sample.n_rows, FEWER_ROWS, rng))
    noise = noise_probability(sample) > 0.5
    share = float(sample.counts[noise].sum() / sample.counts.sum())
    left = sample.take(np.flatnonzero(~noise))
    needed = n_components * (sample.n_features + 1)
    if not noise.any() or left.n_rows < needed or len(np.unique(left.values, axis=0)) < n_components:
        return None
    return Cleaned(left, float(np.clip(share, LEAST_SHARE, MOST_SHARE)))


def noise_probability(observations: Observations) -> np.ndarray:
    """Probability of each of complete rows (N,) to be noise, by the distance to its k-th neighbour.

    Columns are divided by their standard deviation first. A row of weight w counts as w equal rows, weights below one
    on average as one on average.
    """
    N, D = observations.values.shape
    if N < 3:
        return np.zeros(N)
    weights = observations.counts / min(1.0, observations.counts.mean())
    k = min(NEIGHBOUR, N - 1)
    rows = (observations.values - observations.shift) / np.sqrt(observations.variances)
    distances, neighbours = NearestNeighbors(n_neighbors=k + 1).fit(rows).kneighbors(rows)
    # a row's other copies are its first neighbours, at no distance
    before = weights[neighbours].cumsum(axis=1) - 1.0
    which = np.minimum((before < k - 1e-9).sum(axis=1), k)
    distance = distances[np.arange(N), which]
    if not (distance > 0).any():
        return np.zeros(N)
    log_power = D * np.log(np.maximum(distance, distance[distance > 0].min()))
    return _two_gammas(log_power, weights, k)


def _two_gammas(log_y: np.ndarray, weights: np.ndarray, shape: int) -> np.ndarray:
    """Probability of each y of belonging to the gamma of smaller rate, of two of one shape, (N,)."""
    # in a space of many features the nearest are nearer than double precision can tell
    y = np.exp(np.maximum(log_y - log_y.max(), -600.0))
    noise = (y > np.quantile(y, 0.75)).astype(np.float64)
    if not noise.any():
        return noise
    for _ in range(STEPS):
        inside, outside = weights @ (1.0 - noise), weights @ noise
        if min(inside, outside) <= 0:
            return np.zeros(len(y))
        rates = shape * np.array([inside / (weights @ ((1.0 - noise) * y)), outside / (weights @ (noise * y))])
        share = outside / (inside + outside)
        before = noise
        # (shape - 1) log y is common to both
        noise = expit(logit(share) + shape * np.log(rates[1] / rates[0]) + (rates[0] - rates[1]) * y)
        if np.abs(noise - before).max() < SETTLED:
            break
    return noise if rates[1] < rates[0] else np.zeros(len(y))
