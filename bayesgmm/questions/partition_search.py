"""Search for the partition of least expected loss over draws of partitions.

May import NumPy, SciPy, the compiled sweeps and the modules below it only.
"""

from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform

from bayesgmm.questions.partition_loss import losses_to_draws
from bayesgmm.tools.threads import available_cores, over_threads

MOST_SWEEPS, MOST_ORDERS = 100, 5_000_000
MOST_RUNS = 16
MOST_CLUSTERS = 60
MOST_IN_HIERARCHY = 1500
"""Groups of rows of which a whole similarity matrix is agglomerated."""

MOST_JUDGED = 2e9
"""Entries of contingency tables that finding the best single draw may touch; with more, draws are judged in part."""

STARTS_SETTLED, FEWEST_STARTS = 8, 2
LARGE = 5e6
"""Labels, over groups and draws, from which on few starts are settled: they end alike, and each takes long."""


class Groups(NamedTuple):
    """Rows that are together in every draw, as one.

    Attributes
    ----------
    draws : (M, U) int16
    weights : (U,) int64
        Rows in each group.
    of_row : (N,) int
        Group of each row.
    """

    draws: np.ndarray
    weights: np.ndarray
    of_row: np.ndarray


class Settled(NamedTuple):
    """What a search ends with.

    Attributes
    ----------
    labels : (U,) int16
    expected_loss : float
    best_draw_loss : float
        The least expected loss among the draws that were judged.
    n_judged : int
        How many draws were.
    n_starts, n_at_best : int
        Starts that were settled, and how many ended as low.
    """

    labels: np.ndarray
    expected_loss: float
    best_draw_loss: float
    n_judged: int
    n_starts: int
    n_at_best: int


def group_rows(draws: np.ndarray) -> Groups:
    """Take rows with the same labels in every draw, (M, N), together.

    No best partition parts them. With s of the w rows of such a group in cluster A and the rest in B, the expected loss
    is f(a + s) + f(b + w - s) - 2 E[f(a_z + s) + f(b_z + w - s)] and what does not depend on s, where a_z <= a counts
    the rows of A that z has with them. f'' falls or stays level as n grows, for either loss, so that the second
    derivative is at most minus that of the first two terms: a concave function is least at an end, s = 0 or s = w.
    """
    rows = np.ascontiguousarray(draws.T)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, of_row, weights = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    return Groups(np.ascontiguousarray(draws[:, first]), weights.astype(np.int64), of_row.ravel())


def similarity(groups: Groups) -> np.ndarray:
    """Share of draws (U, U) in which two groups are together."""
    total = np.zeros((len(groups.weights),) * 2)
    for k in range(int(groups.draws.max()) + 1):
        member = (groups.draws == k).astype(np.float32)
        total += member.T @ member
    return total / len(groups.draws)


def search_partition(
    groups: Groups, f: np.ndarray, guesses: np.ndarray, *, n_runs: int | None = None, rng: np.random.Generator
) -> Settled:
    """Settle many starts, and keep the best end.

    A start is settled by moving rows one by one to the cluster where the expected loss is least, in random order, until
    none moves: the sweetening of Dahl, Johnson & Mueller (2022). Starts are the best of: draws, cuts of the average and
    the complete linkage of 1 - similarity (Medvedovic & Sivaganesan 2002), and the guesses given; and `n_runs`
    sequential allocations of the rows in random order.

    Parameters
    ----------
    groups : Groups
    f : (N + 1,) float64
        What `loss_table` gives.
    guesses : (P, U) int
        Further partitions to start from.
    n_runs : int, optional
        16, or 2 where the labels are many.
    rng : numpy.random.Generator
    """
    M, U = groups.draws.shape
    most = int(min(len(groups.of_row), max(MOST_CLUSTERS, 2 * (int(groups.draws.max()) + 1))))
    n_judged = int(min(M, max(50, MOST_JUDGED / (M * U))))
    judged = np.unique(np.linspace(0, M - 1, n_judged).astype(int))
    candidates = np.concatenate([groups.draws[judged], guesses, _cuts(groups, most)]).astype(np.int16)
    expected = _expected(candidates, groups, f)
    best_draw_loss = float(expected[: len(judged)].min())
    order = np.argsort(expected, kind="stable")
    _, distinct = np.unique(expected[order].round(12), return_index=True)
    large = M * U > LARGE
    starts = [candidates[i] for i in order[distinct[: FEWEST_STARTS if large else STARTS_SETTLED]]]
    n_runs = (FEWEST_STARTS if large else MOST_RUNS) if n_runs is None else n_runs
    starts += [np.full(U, -1, dtype=np.int16) for _ in range(n_runs)]
    sweeps = int(np.clip(MOST_ORDERS // U, 10, MOST_SWEEPS))
    seeds = rng.spawn(len(starts))
    by_group = np.ascontiguousarray(groups.draws.T)

    def settle(position: int) -> np.ndarray:
        from bayesgmm.kernel.compiled import partitions

        labels = starts[position].copy()
        orders = seeds[position].permuted(np.tile(np.arange(U), (sweeps, 1)), axis=1)
        partitions.settle(labels, groups.weights, by_group, f, most, orders)
        return labels

    ends = np.stack([*over_threads(settle, range(len(starts))), starts[0]])
    ended = _expected(ends, groups, f)
    best = int(np.argmin(ended))
    at_best = int((ended[:-1] <= ended[best] + 1e-10).sum())
    return Settled(ends[best], float(ended[best]), best_draw_loss, len(judged), len(starts), at_best)


def _expected(labels: np.ndarray, groups: Groups, f: np.ndarray) -> np.ndarray:
    """Average the losses of P partitions over the draws, on several threads."""
    parts = np.array_split(labels, min(len(labels), 4 * available_cores()))
    return np.concatenate(
        over_threads(lambda part: losses_to_draws(part, groups.weights, groups.draws, f).mean(axis=1), parts)
    )


def _cuts(groups: Groups, most: int) -> np.ndarray:
    """Cuts (P, U) of the two hierarchies of 1 - similarity into 1, 2, ... clusters; none where groups are too many.

    Single groups stand for all their rows: a group counts once, however many its rows.
    """
    U = len(groups.weights)
    if not 2 <= U <= MOST_IN_HIERARCHY:
        return np.zeros((1, U), dtype=np.int16)
    distance = 1 - similarity(groups)
    np.fill_diagonal(distance, 0.0)
    condensed = squareform(distance, checks=False)
    counts = np.arange(1, min(U, most) + 1)
    return np.concatenate([cut_tree(linkage(condensed, name), counts).T for name in ("average", "complete")])
