"""Model-based hierarchical agglomeration of rows: a partition into any K clusters, without a seed.

Clusters are joined greedily, each time the pair that costs the classification likelihood of a mixture with free
covariances least (Banfield & Raftery 1993; Fraley 1998). May import NumPy only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_EIGENVALUE = 1e-10
"""Directions of the correlation matrix with less than this share of the largest eigenvalue are left out."""

DECIMALS = 9
"""Costs are compared to so many decimals: rows of rounded data tie, and rounding errors must not break the tie."""

UNSEEN = 10.0 ** -(DECIMALS + 2)
"""What changes a cost by less than this is not computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """Partitions of n rows into every number of clusters, each joining two clusters of the next finer one.

    Attributes
    ----------
    leaves : (n,) int
        Which of the L distinct rows, in lexicographic order, each row is.
    merges : (L - 1, 2) int
        The two clusters joined at each step: l < L is distinct row l, and L + t is what step t made.
    """

    leaves: np.ndarray
    merges: np.ndarray

    @property
    def n_distinct(self) -> int:
        """Number of distinct rows L, the most clusters there can be."""
        return len(self.merges) + 1

    def labels(self, n_clusters: int) -> np.ndarray:
        """Return the partition into K clusters, none of them empty.

        Parameters
        ----------
        n_clusters : int
            K, from 1 to `n_distinct`.

        Returns
        -------
        labels : (n,) int
            Codes 0..K-1, in the lexicographic order of each cluster's first row.

        Raises
        ------
        ValueError
            When there are fewer distinct rows than clusters.
        """
        L = self.n_distinct
        if not 1 <= n_clusters <= L:
            raise ValueError(
                f"`n_clusters` must be from 1 to the number of distinct rows, {L}; received {n_clusters}: "
                "ask for fewer clusters."
            )
        parent = np.arange(2 * L - 1)
        for step, pair in enumerate(self.merges[: L - n_clusters]):
            parent[pair] = L + step
        # a cluster is made after its parts, so from the top down every parent is final before its children ask
        for cluster in range(2 * L - n_clusters - 1, -1, -1):
            parent[cluster] = parent[parent[cluster]]
        _, first, codes = np.unique(parent[:L], return_index=True, return_inverse=True)
        return first.argsort().argsort()[codes][self.leaves]


def agglomerate(rows: np.ndarray, weights: np.ndarray | None = None) -> Hierarchy:
    r"""Join the rows, two clusters at a time, until one is left.

    Each step joins the pair that raises the sum over clusters of

    .. math:: n_k \log\left( \left|\frac{W_k}{n_k}\right| + \frac{\mathrm{tr}(W_k) + \alpha}{n_k} \right), \qquad
              \alpha = \frac{\mathrm{tr}(W)}{n D},

    least: Fraley (1998), criterion of "unconstrained" clusters (VVV), whose second term keeps singular clusters from
    costing nothing. :math:`W_k` is the scatter of cluster k about its mean, :math:`W` that of all rows. In one
    dimension this is the criterion of unequal variances (V).

    The rows are seen as :math:`X V \mathrm{diag}(d)^{-1/2}`, with :math:`X = U \mathrm{diag}(d) V^\top` the centred
    columns divided by their standard deviations (Scrucca & Raftery 2015): half way to the sphere. So neither origin,
    unit nor order of the rows makes a difference. Equal rows are one cluster from the beginning.

    Parameters
    ----------
    rows : (n, D) float64
        Finite; any units.
    weights : (n,) float64, positive, or None
        How many rows each one stands for.

    Returns
    -------
    hierarchy : Hierarchy
        For all numbers of clusters at once.

    Notes
    -----
    Greedy: not the best partition into K clusters. For L distinct rows, time is O(L² D³) at worst and memory
    8 L² + 8 L D² bytes: take a sample of a few thousand at most.

    References
    ----------
    Banfield & Raftery (1993), Biometrics 49:803-821. Fraley (1998), SIAM J. Sci. Comput. 20:270-281.
    Scrucca & Raftery (2015), Adv. Data Anal. Classif. 9:447-460.
    """
    distinct, leaves = np.unique(rows, axis=0, return_inverse=True)
    leaves = leaves.reshape(-1)
    n = np.bincount(leaves, weights)
    return Hierarchy(leaves, _merge(transformed(distinct, n), n))


def transformed(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the standardised rows times V diag(d)^(-1/2), (L, at most D), without columns that have no spread."""
    total = weights.sum()
    # twice, for a mean far larger than the spread rounds at its own size the first time
    centred = rows - weights @ rows / total
    centred = centred - weights @ centred / total
    # largest one first: squares of numbers in odd units overflow or vanish
    largest = np.abs(centred).max(axis=0)
    X = centred[:, largest > 0] / largest[largest > 0]
    X /= np.sqrt(weights @ X**2 / total)
    if not X.size:
        return np.zeros((len(rows), 1))
    eigenvalues, V = np.linalg.eigh((X * weights[:, None]).T @ X)
    seen = eigenvalues > LEAST_EIGENVALUE * eigenvalues.max()
    return X @ V[:, seen] / eigenvalues[seen] ** 0.25


def _merge(z: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return merges of `Hierarchy`, from transformed distinct rows (L, D) and their numbers (L,)."""
    L, D = z.shape
    n, means = n.copy(), z.T.copy()
    # features first: the arithmetic below runs along clusters
    scatters = np.zeros((D, D, L))
    traces = np.zeros(L)
    alpha = max(float(n @ (z**2).sum(axis=1)) / (n.sum() * D), np.finfo(np.float64).tiny)
    terms = n * np.log(alpha / n)

    def joined_terms(a: int, others: np.ndarray) -> np.ndarray:
        """Terms of the criterion (m,), of cluster a joined with each of the others."""
        total = n[a] + n[others]
        apart = _apart(means[:, others] - means[:, a, None], n[a], n[others])
        trace = traces[a] + traces[others] + (apart**2).sum(axis=0)
        inside = (trace + alpha) / total
        # |W| <= (tr(W) / D)^D: a determinant too small to be seen in a cost, as most are of many features, is left out
        seen = np.flatnonzero(total * (trace / (total * D)) ** D > UNSEEN * inside)
        if len(seen):
            scatter = scatters[:, :, others[seen]] + scatters[:, :, a, None] + apart[:, None, seen] * apart[:, seen]
            inside[seen] += _determinants(scatter / total[seen])
        return total * np.log(inside)

    # cost[i, j] of every pair; the diagonal, and clusters that are gone, are infinite. Two distinct rows are on a line,
    # whose determinant is zero but in one dimension
    cost = np.full((L, L), np.inf)
    for a in range(L - 1):
        total = n[a] + n[a + 1 :]
        trace = ((z[a + 1 :] - z[a]) ** 2).sum(axis=1) * (n[a] * n[a + 1 :] / total)
        term = total * np.log(((2 if D == 1 else 1) * trace + alpha) / total)
        cost[a, a + 1 :] = cost[a + 1 :, a] = _rounded(term - terms[a] - terms[a + 1 :])
    nearest = cost.argmin(axis=1)
    least = cost[np.arange(L), nearest]

    name, alive = np.arange(L), np.arange(L)
    merges = np.empty((L - 1, 2), dtype=np.intp)
    for step in range(L - 1):
        a = int(least.argmin())
        b = int(nearest[a])
        a, b = min(a, b), max(a, b)
        merges[step] = name[a], name[b]
        terms[a] = joined_terms(a, np.array([b]))[0]
        apart = _apart(means[:, b] - means[:, a], n[a], n[b])
        scatters[:, :, a] += scatters[:, :, b] + np.outer(apart, apart)
        traces[a] += traces[b] + apart @ apart
        means[:, a] += (means[:, b] - means[:, a]) * (n[b] / (n[a] + n[b]))
        n[a], name[a] = n[a] + n[b], L + step
        alive = alive[alive != b]
        others = alive[alive != a]
        cost[b] = cost[:, b] = np.inf
        least[b] = np.inf
        cost[a, others] = cost[others, a] = _rounded(joined_terms(a, others) - terms[a] - terms[others])
        now, before = cost[a, others], least[others]
        closer = others[(now < before) | ((now == before) & (a < nearest[others]))]
        stale = np.append(others[(nearest[others] == a) | (nearest[others] == b)], a)
        nearest[closer], least[closer] = a, cost[a, closer]
        nearest[stale] = cost[stale].argmin(axis=1)
        least[stale] = cost[stale, nearest[stale]]
    return merges


def _apart(difference: np.ndarray, n_a: Any, n_b: Any) -> np.ndarray:
    """Return v of W_ab = W_a + W_b + v v', from the difference of the means of a and b."""
    return difference * np.sqrt(n_a * n_b / (n_a + n_b))


def _determinants(matrices: np.ndarray) -> np.ndarray:
    """Return determinants (m,) of positive semidefinite matrices (D, D, m), by elimination of all at once."""
    determinants = np.ones(matrices.shape[-1])
    remaining = matrices
    while len(remaining):
        # a pivot that is rounding, of either sign, is a zero: so is then its column
        pivot = np.maximum(remaining[0, 0], 0.0)
        determinants *= pivot
        column = remaining[1:, 0]
        factor = np.divide(column, pivot, out=np.zeros_like(column), where=pivot > 0)
        remaining = remaining[1:, 1:] - factor[:, None] * column
    return determinants


def _rounded(cost: np.ndarray) -> np.ndarray:
    return np.round(cost, DECIMALS)
