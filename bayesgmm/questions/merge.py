"""Components merged into clusters, one pair at a time, by what the merge takes from the entropy."""

from typing import Any

import numpy as np
import xarray as xr
from scipy.special import entr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.posterior.datatree import COMPONENT, OBS, netcdf_labels, view

N_CLUSTERS, CLUSTER_ID, PAIR = "n_clusters", "cluster_id", "pair"


def merge(dt: "xr.DataTree | GaussianMixture", X: Any = None, *, memberships: bool = True) -> xr.Dataset:
    """Merge components into clusters, from K clusters down to one.

    A cluster need not be normal: where several components describe one, their memberships are uncertain, and those of
    their sum are not. Each step merges the pair of clusters k, l whose merge lowers the entropy
    ENT = -sum_n sum_k t_nk log t_nk most, with t_n(k or l) = t_nk + t_nl (Baudry, Raftery, Celeux, Lo & Gottardo 2010,
    equation 8). The mixture, and its density, stay what they are. Noise is no cluster, and is merged with none; its
    memberships are a term of the entropy that no merge changes.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior (t is the mean of r over draws), or a maximum-likelihood fit.
    X : table, optional
        Rows whose memberships are judged; the fitted rows by default.
    memberships : bool
        Whether to return the memberships for each number of clusters, K^2 N numbers.

    Returns
    -------
    Dataset
        Over n_clusters (K, K - 1, ... 1): ``entropy`` in nats; ``entropy_drop``, what the merge that led to so many
        clusters took from it; ``n_merged``, the rows of the two clusters merged (by their most probable cluster), and
        ``entropy_drop_per_row``, the drop divided by it, which does not favour large clusters; ``n_merged_so_far``,
        its sum. Over (n_clusters, component): ``cluster``, to which of the clusters, numbered from 0, each component
        belongs. Over (n_clusters, pair): ``merged``, the two clusters (as numbered before) that were merged, -1 for
        none. Over (n_clusters, obs_id): ``label``, -1 for noise; over (n_clusters, obs_id, cluster_id):
        ``probability``, NaN for clusters that there are no more.
        Attributes: ``suggested``, the number of clusters at the elbow of the entropy against the number of clusters,
        and ``suggested_per_row``, at the elbow against ``n_merged_so_far``; K where K < 3 leaves no elbow to find.

    Raises
    ------
    ValueError, TypeError, DataError
        For another source, or rows that do not fit the mixture.

    Notes
    -----
    The elbow is where two straight lines, meeting in a common point of the curve, leave the least squares (section 4).
    It suggests; the picture of the steps (`plot_merging`) is what the method asks to look at.

    References
    ----------
    Baudry, Raftery, Celeux, Lo & Gottardo (2010), J. Comput. Graph. Stat. 19, 332-353.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(3, random_state=0).fit(X)
    >>> bg.merge(gm, X)["entropy"].values.round(0)
    array([47.,  9.,  0.])
    """
    mixture = view(dt)
    observations = mixture.observe(X)
    K, noise = mixture.parameters.n_components, mixture.parameters.noise

    def mean(log_joint: np.ndarray) -> np.ndarray:
        normalise(log_joint)
        return log_joint.mean(axis=0).T

    t = map_rows(mean, observations, mixture.parameters, trailing=(K + (noise is not None),))
    t, in_noise = t[:, :K], t[:, K:]
    steps = _steps(t, in_noise)
    counts = np.arange(K, 0, -1)
    entropy, merged_rows = np.array([s[0] for s in steps]), np.array([s[2] for s in steps])
    cluster = np.array([s[3] for s in steps])
    drop = np.concatenate([[0.0], entropy[:-1] - entropy[1:]])
    label = np.empty((K, observations.n_rows), dtype=np.int64)
    result = xr.Dataset(
        coords={OBS: netcdf_labels(observations.row_labels), N_CLUSTERS: counts, COMPONENT: np.arange(K)}
    )
    kept = np.full((K, observations.n_rows, K), np.nan) if memberships else None
    for step, number in enumerate(counts):
        summed = _sums(t, cluster[step], int(number))
        label[step] = _most_probable(summed, in_noise)
        if kept is not None:
            kept[step, :, :number] = summed

    def add(name: str, dims: Any, values: np.ndarray, text: str, **attrs: Any) -> None:
        result[name] = (dims, values, {"long_name": text, **attrs})

    add("entropy", N_CLUSTERS, entropy, "entropy of the memberships", units="nat")
    add("entropy_drop", N_CLUSTERS, drop, "entropy taken by the merge", units="nat")
    add("n_merged", N_CLUSTERS, merged_rows, "rows of the clusters merged")
    add("n_merged_so_far", N_CLUSTERS, np.cumsum(merged_rows), "rows of the clusters merged, summed over merges")
    with np.errstate(invalid="ignore", divide="ignore"):
        per_row = np.where(merged_rows > 0, drop / merged_rows, 0.0)
    add("entropy_drop_per_row", N_CLUSTERS, per_row, "entropy taken by the merge, per row merged", units="nat")
    add("cluster", (N_CLUSTERS, COMPONENT), cluster, "cluster of the component")
    add("merged", (N_CLUSTERS, PAIR), np.array([s[1] for s in steps]), "clusters merged, as numbered before")
    add("label", (N_CLUSTERS, OBS), label, "most probable cluster")
    if kept is not None:
        # a variable never has a dimension's name: the clusters of `probability` are counted by a dimension of their own
        add("probability", (N_CLUSTERS, OBS, CLUSTER_ID), kept, "P(cluster | row)")
    result.attrs = {
        "suggested": elbow(counts[::-1].astype(float), entropy[::-1], counts[::-1]),
        "suggested_per_row": elbow(np.cumsum(merged_rows).astype(float), entropy, counts),
    }
    return result


def _sums(t: np.ndarray, cluster: np.ndarray, number: int) -> np.ndarray:
    """Memberships (N, number) of clusters of components."""
    return t @ (cluster[:, None] == np.arange(number)).astype(np.float64)


def _most_probable(t: np.ndarray, in_noise: np.ndarray) -> np.ndarray:
    """Cluster, (N,), of memberships (N, C) in clusters and (N, 1) in noise, or (N, 0) without; -1 is noise."""
    best = np.concatenate([t, in_noise], axis=1).argmax(axis=1)
    return np.where(best == t.shape[1], NOISE_LABEL, best)


def _steps(t: np.ndarray, in_noise: np.ndarray) -> list[tuple[float, tuple[int, int], int, np.ndarray]]:
    """For K, K - 1, ... clusters: entropy, the pair merged, their rows, and the cluster of each component."""
    K = t.shape[1]
    cluster = np.arange(K)
    of_noise = float(entr(in_noise).sum())
    steps = [(float(entr(t).sum()) + of_noise, (-1, -1), 0, cluster)]
    for _ in range(K - 1):
        best = _most_probable(t, in_noise)
        sizes = np.bincount(best[best >= 0], minlength=t.shape[1])
        own = entr(t).sum(axis=0)
        pairs = [(k, j) for k in range(t.shape[1]) for j in range(k + 1, t.shape[1])]
        gains = [own[k] + own[j] - entr(t[:, k] + t[:, j]).sum() for k, j in pairs]
        k, j = pairs[int(np.argmax(gains))]
        t = _joined(t, k, j)
        cluster = np.where(cluster == j, k, cluster)
        cluster = cluster - (cluster > j)
        steps.append((float(entr(t).sum()) + of_noise, (k, j), int(sizes[k] + sizes[j]), cluster))
    return steps


def _joined(t: np.ndarray, k: int, j: int) -> np.ndarray:
    """Memberships with cluster j added to k, and gone; a sum that rounding leaves above one has no entropy."""
    joined = t.copy()
    joined[:, k] = np.minimum(joined[:, k] + joined[:, j], 1.0)
    return np.delete(joined, j, axis=1)


def elbow(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> int:
    """Count at the point where two lines, one to each side of it and both through data up to it, fit best.

    Parameters
    ----------
    x, y : (K,) float64
        The curve.
    counts : (K,) int
        What is returned for each point.
    """
    if len(x) < 3:
        return int(counts.max())
    squares = [_residual(x[: c + 1], y[: c + 1]) + _residual(x[c:], y[c:]) for c in range(1, len(x) - 1)]
    return int(counts[1 + int(np.argmin(squares))])


def _residual(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of squares about the least-squares line."""
    x, y = x - x.mean(), y - y.mean()
    spread = float(x @ x)
    return float(y @ y - (x @ y) ** 2 / spread) if spread > 0 else float(y @ y)
