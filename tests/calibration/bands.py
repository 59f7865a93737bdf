"""Are ranks uniform? Exact simultaneous bands for their empirical distribution function.

Under uniformity the number of n ranks below i / (L + 1) is Binomial(n, i / (L + 1)), for i = 1..L, and given the number
below one point the number between it and the next is binomial too. So the counts are a Markov chain, and the chance
that all of them stay within given limits is a product of matrices (Säilynoja, Bürkner & Vehtari 2022, section 2.2).
"""

from functools import lru_cache

import numpy as np
from scipy.stats import binom


@lru_cache(maxsize=4)
def _chain(n: int, L: int) -> tuple[np.ndarray, np.ndarray]:
    """Transition matrices (L, n + 1, n + 1) of the counts, and how extreme each count is at each point, (L, n + 1)."""
    points = np.arange(1, L + 1) / (L + 1)
    counts = np.arange(n + 1)
    previous = np.concatenate([[0.0], points[:-1]])
    shares = (points - previous) / (1 - previous)
    gained = counts[None, :] - counts[:, None]
    steps = np.stack([binom.pmf(gained, (n - counts)[:, None], share) for share in shares])
    below, above = binom.cdf(counts, n, points[:, None]), binom.sf(counts - 1, n, points[:, None])
    return steps, np.minimum(1.0, 2 * np.minimum(below, above))


def probability_outside(gamma: float, n: int, L: int) -> float:
    """Chance that some count is as extreme as `gamma`, or more so, by its own two-sided binomial p-value."""
    steps, extreme = _chain(n, L)
    state = np.zeros(n + 1)
    state[0] = 1.0
    for step, tails in zip(steps, extreme, strict=True):
        state = (state @ step) * (tails > gamma * (1 + 1e-9))
    return max(0.0, float(1 - state.sum()))


def p_value(ranks: np.ndarray, L: int) -> float:
    """Chance that uniform ranks leave the narrowest band that these ranks touch.

    Parameters
    ----------
    ranks : (n,) integers in 0..L
    """
    n = len(ranks)
    counts = np.searchsorted(np.sort(ranks), np.arange(1, L + 1), side="left")
    _, extreme = _chain(n, L)
    return probability_outside(float(extreme[np.arange(L), counts].min()), n, L)


@lru_cache(maxsize=8)
def band(level: float, n: int, L: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (L,), and the lowest and highest share of ranks below them in a band that is left with chance <= level."""
    low, high = -60.0, 0.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if probability_outside(np.exp(middle), n, L) <= level else (low, middle)
    inside = _chain(n, L)[1] > np.exp(low)
    lowest, highest = inside.argmax(axis=1), n - inside[:, ::-1].argmax(axis=1)
    return np.arange(1, L + 1) / (L + 1), lowest / n, highest / n
