"""Contingency tables and sweeps of a search over partitions, compiled.

Both losses have one form: with a convex f, F(a) = sum of f over the sizes of the clusters of a, and a ^ b the partition
into their intersections, L(a, b) = F(a) + F(b) - 2 F(a ^ b). f(n) = n log2(n) / N is the variation of information,
f(n) = n^2 / N^2 Binder's loss. U groups of rows, M draws of partitions. May import NumPy and numba.
"""

import numpy as np

from bayesgmm.tools.compiled import compiled


@compiled(fastmath=False, error_model="numpy", nogil=True)
def losses(labels: np.ndarray, weights: np.ndarray, draws: np.ndarray, f: np.ndarray, out: np.ndarray) -> None:
    """Write L(a, z_m) for each a of `labels`.

    Parameters
    ----------
    labels : (P, U) int16, not negative
    weights : (U,) int64
        Rows in each group.
    draws : (M, U) int16, not negative
    f : (N + 1,) float64
    out : (P, M) float64
    """
    P, U = labels.shape
    M = draws.shape[0]
    width = draws.max() + 1
    for p in range(P):
        height = labels[p].max() + 1
        sizes, table, others = np.zeros(height, np.int64), np.zeros(height * width, np.int64), np.zeros(width, np.int64)
        for u in range(U):
            sizes[labels[p, u]] += weights[u]
        own = 0.0
        for c in range(height):
            own += f[sizes[c]]
        for m in range(M):
            table[:] = 0
            others[:] = 0
            for u in range(U):
                table[labels[p, u] * width + draws[m, u]] += weights[u]
            total = own
            for c in range(height):
                for j in range(width):
                    size = table[c * width + j]
                    others[j] += size
                    total -= 2.0 * f[size]
            for j in range(width):
                total += f[others[j]]
            out[p, m] = total


@compiled(fastmath=False, error_model="numpy", nogil=True)
def settle(
    labels: np.ndarray,
    weights: np.ndarray,
    draws: np.ndarray,
    f: np.ndarray,
    most: int,
    orders: np.ndarray,
) -> int:
    """Move groups of rows, one by one, to the cluster where the expected loss is least, until none moves.

    Parameters
    ----------
    labels : (U,) int16
        The start, changed in place; -1 for a group that is in no cluster yet, and is allocated when its turn comes.
    weights : (U,) int64
    draws : (U, M) int16
    f : (N + 1,) float64
    most : int
        Clusters there may be.
    orders : (T, U) int64
        Order of the groups in each sweep, at most T of them.

    Returns
    -------
    int
        Sweeps made; T where groups still moved in the last.
    """
    U, M = draws.shape
    width = draws.max() + 1
    sizes = np.zeros(most, np.int64)
    table = np.zeros((M, width, most), np.int64)
    for u in range(U):
        if labels[u] >= 0:
            sizes[labels[u]] += weights[u]
            for m in range(M):
                table[m, draws[u, m], labels[u]] += weights[u]
    cost = np.empty(most)
    open_clusters = np.empty(most, np.int64)
    for sweep in range(len(orders)):
        moved = False
        for u in orders[sweep]:
            w, here = weights[u], labels[u]
            if here >= 0:
                sizes[here] -= w
                for m in range(M):
                    table[m, draws[u, m], here] -= w
            # candidates: clusters with rows, and one that is empty
            n_open, empty = 0, False
            for c in range(most):
                if sizes[c] > 0 or not empty:
                    empty = empty or sizes[c] == 0
                    open_clusters[n_open] = c
                    cost[n_open] = 0.0
                    n_open += 1
            for m in range(M):
                row = table[m, draws[u, m]]
                for i in range(n_open):
                    size = row[open_clusters[i]]
                    cost[i] -= f[size + w] - f[size]
            best, least, stay = 0, np.inf, -1
            for i in range(n_open):
                size = sizes[open_clusters[i]]
                cost[i] = f[size + w] - f[size] + 2.0 * cost[i] / M
                if cost[i] < least:
                    best, least = i, cost[i]
                if open_clusters[i] == here:
                    stay = i
            there = open_clusters[best]
            # rounding must not make a group go to and fro between clusters as good as each other
            if here >= 0:
                was_alone = sizes[here] == 0
                if (stay >= 0 and cost[stay] <= least + 1e-13) or (was_alone and sizes[there] == 0):
                    there = here
            labels[u] = there
            sizes[there] += w
            for m in range(M):
                table[m, draws[u, m], there] += w
            moved = moved or there != here
        if not moved:
            return sweep + 1
    return len(orders)
