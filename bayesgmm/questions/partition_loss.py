"""How far apart two partitions are: variation of information, Binder's loss, and the adjusted Rand index.

May import NumPy only, and the compiled tables.
"""

import numpy as np

LOSSES = ("vi", "binder")


def loss_table(loss: str, N: int) -> np.ndarray:
    """Values (N + 1,) of f(n) for n = 0 ... N rows, with which either loss is F(a) + F(b) - 2 F(a ^ b).

    F sums f over the clusters of a partition, a ^ b has their intersections as clusters. f(n) = n log2(n) / N makes it
    the variation of information in bits (Meila 2007), H(a) + H(b) - 2 I(a, b); f(n) = n^2 / N^2 makes it Binder's
    (1978) loss with equal costs: the share of ordered pairs of rows together in one partition and apart in the other.

    Raises
    ------
    ValueError
        For another name.
    """
    n = np.arange(N + 1, dtype=np.float64)
    if loss == "vi":
        return n * np.log2(np.maximum(n, 1)) / N
    if loss == "binder":
        return (n / N) ** 2
    raise ValueError(f"`loss` must be 'vi' (variation of information) or 'binder'; received {loss!r}.")


def partition_distance(a: np.ndarray, b: np.ndarray, loss: str = "vi") -> float:
    """Loss between two partitions, given as labels (N,) of any kind: the readable form of what is compiled."""
    _, first = np.unique(np.asarray(a), return_inverse=True)
    _, second = np.unique(np.asarray(b), return_inverse=True)
    f = loss_table(loss, len(first))
    table = np.zeros((first.max() + 1, second.max() + 1), dtype=np.int64)
    np.add.at(table, (first, second), 1)
    return float(f[table.sum(axis=1)].sum() + f[table.sum(axis=0)].sum() - 2 * f[table].sum())


def losses_to_draws(labels: np.ndarray, weights: np.ndarray, draws: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Losses (P, M) of P partitions to M draws, of U groups of rows.

    Parameters
    ----------
    labels : (P, U) int, not negative
    weights : (U,) int
        Rows in each group.
    draws : (M, U) int, not negative
    f : (N + 1,) float64
        What `loss_table` gives.
    """
    from bayesgmm.kernel.compiled import partitions

    out = np.empty((len(labels), len(draws)))
    partitions.losses(np.ascontiguousarray(labels, np.int16), weights, np.ascontiguousarray(draws, np.int16), f, out)
    return out


def adjusted_rand(known: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Compare M partitions (M, N) with known labels (N,), both whole numbers from 0: their adjusted Rand index, (M,).

    Hubert & Arabie (1985), J. Classification 2, equation 5. One for equal partitions, zero in expectation for
    independent ones; 1 as well where both have one cluster, or both one for each row.
    """

    def pairs(n: np.ndarray) -> float:
        return float((n * (n - 1.0)).sum()) / 2

    N, G, K = len(known), int(known.max()) + 1, int(draws.max()) + 1
    all_pairs = N * (N - 1) / 2
    of_known = pairs(np.bincount(known, minlength=G))
    out = np.empty(len(draws))
    for m, labels in enumerate(draws):
        table = np.bincount(labels.astype(np.int64) * G + known, minlength=K * G).reshape(K, G)
        of_draw, together = pairs(table.sum(axis=1)), pairs(table)
        expected = of_known * of_draw / all_pairs if all_pairs else 0.0
        largest = (of_known + of_draw) / 2
        out[m] = 1.0 if largest == expected else (together - expected) / (largest - expected)
    return out
