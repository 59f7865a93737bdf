"""The best clustering of the rows, how far the posterior strays from it, and how far it is from known labels."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import linear_sum_assignment

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.allocations import draw_allocations
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.posterior.datatree import OBS, netcdf_labels, view
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.partition_loss import LOSSES, adjusted_rand, loss_table, losses_to_draws
from bayesgmm.questions.partition_search import Groups, group_rows, search_partition
from bayesgmm.tools.integers import check_integer

BOUND = "bound"
BOUNDS = ("vertical_upper", "vertical_lower", "horizontal")
MOST_LABELS = 2e8
"""Labels kept at once, over rows and draws: 400 MB."""


def partition(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    loss: str = "vi",
    ci_prob: float | None = None,
    known: Any = None,
    n_draws: int | None = None,
    n_runs: int | None = None,
    random_seed: int | None = 0,
) -> xr.Dataset:
    """Find the clustering of least expected loss, with its credible ball.

    c* = argmin_c E[L(c, z) | data] over every partition c of the rows, by search: the expectation is over draws of the
    allocations z (one from each of `n_draws` draws of the parameters), not a bound of it. Labels of components, and
    whether they switch, do not matter. The credible ball is the smallest around c* that holds `ci_prob` of the draws;
    its bounds show how different a clustering may still be.

    With a noise component, noise is one more class of the rows, as in mclust's classifications: to put two rows of it
    apart is a loss. It is not one of the clusters, and its label is -1.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then z varies for its given parameters only).
    X : table, optional
        Rows to cluster; the fitted rows by default.
    loss : {"vi", "binder"}
        Variation of information in bits (Meila 2007), or Binder's (1978) with equal costs as a share of the ordered
        pairs of rows. Binder's is prone to many small clusters (Wade & Ghahramani 2018, section 3).
    ci_prob : float, optional
        Probability of the ball and of intervals; ``az.rcParams["stats.ci_prob"]`` by default.
    known : (N,) labels, optional
        To be compared with; rows whose label is missing are left out of the comparison.
    n_draws : int, optional
        Draws of z; by default one for each draw of the parameters, at least 500 and at most 1000, and fewer where there
        are more than 200 000 rows.
    n_runs : int, optional
        Sequential allocations in random order that the search starts from, besides draws and hierarchies; 16 by
        default, 2 where rows and draws are many.
    random_seed : int, optional
        Of the draws of z and of the search.

    Returns
    -------
    Dataset
        Over obs_id: ``label``, from 0, where K clusters are numbered as the components they share most rows with, and
        fewer or more clusters in the order of those, -1 for noise; ``cohesion``, the mean probability that the row is
        together with another of its cluster (1 where it has no other). Over (bound, obs_id): ``bound_label``, draws at
        the edge of the ball: among the draws in it that have the fewest clusters ("vertical_upper"), the most clusters
        ("vertical_lower") and among all ("horizontal"), the furthest from c*; ``bound_distance`` and
        ``bound_n_clusters`` of each. Numbers: ``expected_loss``, ``best_draw_loss`` (the least of single draws),
        ``radius`` of the ball, ``n_clusters``, ``n_clusters_lower`` and ``n_clusters_upper`` (interval over draws, of
        clusters that have rows). With `known`: ``ari`` (adjusted Rand index of ``label`` with it), ``ari_mean``,
        ``ari_lower`` and ``ari_upper`` (over draws of z).

    Raises
    ------
    ValueError
        For an unknown loss, counts that are none, or `known` of another length.

    Notes
    -----
    A search proves nothing: ``n_starts`` and ``n_starts_at_best`` among the attributes say how often the same end was
    reached. The best single draw is found exactly while M^2 times the number of groups of rows (rows with the same
    labels in every draw are one) is at most 2e9; attribute ``n_draws_judged`` says how many were tried. Time is
    O(sweeps U M C) for U groups and C clusters.

    References
    ----------
    Wade & Ghahramani (2018), Bayesian Analysis 13, 559-626 (loss, ball, bounds); Dahl, Johnson & Mueller (2022),
    J. Comput. Graph. Stat. 31, 1189-1201 (search); Meila (2007), J. Multivariate Anal. 98, 873-895; Binder (1978),
    Biometrika 65, 31-38; Hubert & Arabie (1985), J. Classification 2, 193-218.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> best = bg.partition(gm, X, n_draws=100)
    >>> best["n_clusters"].item(), bool(best["expected_loss"] <= best["best_draw_loss"])
    (2, True)
    """
    if loss not in LOSSES:
        loss_table(loss, 1)
    for name, value, least in (("n_draws", n_draws, 1), ("n_runs", n_runs, 0)):
        if value is not None:
            check_integer(name, value, least)
    prob = check_ci_prob(ci_prob)
    mixture = view(dt)
    observations = mixture.observe(X)
    N, S = observations.n_rows, mixture.parameters.batch_shape[0]
    compared = None if known is None else _known_labels(known, N)
    M = int(n_draws) if n_draws is not None else int(np.clip(S, 500, min(1000, max(100, MOST_LABELS / N))))
    z = draw_allocations(observations, mixture.parameters, M, random_seed)
    # noise as a class after the components
    K = mixture.parameters.n_components
    z[z == NOISE_LABEL] = K

    groups = group_rows(z)
    f = loss_table(loss, N)
    common = _most_common(groups)
    best = search_partition(groups, f, common[None], n_runs=n_runs, rng=np.random.default_rng(random_seed))
    labels = _number(best.labels, common, groups.weights, _matched(best.labels, common, groups.weights, K))
    # rounded, so that draws as far away as each other are, and the clustering itself is at no distance
    distances = losses_to_draws(best.labels[None], groups.weights, groups.draws, f)[0].round(12) + 0.0
    occupied = np.array([len(np.unique(draw[draw < K])) for draw in groups.draws])
    # the smallest radius that holds the probability: an order statistic, not a quantile between draws
    radius = np.sort(distances)[int(np.ceil(prob * M - 1e-9)) - 1]
    chosen = _bounds(distances, occupied, radius)
    lower, upper = interval(occupied, prob)

    of_row = groups.of_row
    result = xr.Dataset(coords={OBS: netcdf_labels(observations.row_labels), BOUND: list(BOUNDS)})

    def add(name: str, dims: Any, values: Any, text: str, **attrs: Any) -> None:
        result[name] = (dims, values, {"long_name": text, **attrs})

    unit = {"units": "bit" if loss == "vi" else "1"}
    add("label", OBS, labels[of_row].astype(np.int64), "cluster of the row")
    add(
        "cohesion",
        OBS,
        _cohesion(best.labels, groups)[of_row],
        "mean probability of being with another row of the cluster",
    )
    add("expected_loss", (), best.expected_loss, "expected loss of the clustering", **unit)
    add("best_draw_loss", (), best.best_draw_loss, "least expected loss of a single draw", **unit)
    add("radius", (), radius, "radius of the credible ball", **unit)
    add("n_clusters", (), int(labels.max()) + 1, "clusters")
    add("n_clusters_lower", (), lower, "lower end of the interval over draws")
    add("n_clusters_upper", (), upper, "upper end of the interval over draws")
    reference = np.where(labels == NOISE_LABEL, labels.max() + 1, labels)
    edge = np.stack([_number(groups.draws[m], reference, groups.weights, K) for m in chosen])
    add("bound_label", (BOUND, OBS), edge[:, of_row].astype(np.int64), "cluster of the row at the edge of the ball")
    add("bound_distance", BOUND, distances[chosen], "distance from the clustering", **unit)
    add("bound_n_clusters", BOUND, occupied[chosen], "clusters")
    if compared is not None:
        rows, codes = compared
        of_draws = adjusted_rand(codes, z[:, rows])
        low, high = interval(of_draws, prob)
        own = adjusted_rand(codes, best.labels[of_row][None, rows])[0]
        add("ari", (), own, "adjusted Rand index of the clustering with the known labels")
        add("ari_mean", (), of_draws.mean(), "adjusted Rand index with the known labels, mean over draws")
        add("ari_lower", (), low, "lower end of the interval over draws")
        add("ari_upper", (), high, "upper end of the interval over draws")
    result.attrs = {
        "loss": loss, "ci_prob": prob, "n_draws": M, "n_draws_judged": best.n_judged, "n_starts": best.n_starts,
        "n_starts_at_best": best.n_at_best,
    }  # fmt: skip
    return result


def _known_labels(known: Any, N: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have a label, and its number."""
    values = pd.Series(np.asarray(known).ravel())
    if len(values) != N:
        raise ValueError(f"`known` has {len(values)} labels, and there are {N} rows: give one for each row, in order.")
    codes = pd.factorize(values.where(values.astype(str) != "", None))[0]
    rows = np.flatnonzero(codes >= 0)
    if not len(rows):
        raise ValueError("`known` has no label at all: every one is missing.")
    return rows, codes[rows]


def _most_common(groups: Groups) -> np.ndarray:
    """Label (U,) that each group has in most draws."""
    K = int(groups.draws.max()) + 1
    return np.stack([(groups.draws == k).sum(axis=0) for k in range(K)]).argmax(axis=0).astype(np.int16)


def _shared(labels: np.ndarray, reference: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows shared by the clusters of a partition, (C,) their labels, and those of another: (C, R)."""
    values, own = np.unique(labels, return_inverse=True)
    shared = np.zeros((len(values), int(reference.max()) + 1))
    np.add.at(shared, (own, reference), weights)
    return values, shared


def _matched(labels: np.ndarray, reference: np.ndarray, weights: np.ndarray, wanted: int) -> int | None:
    """Find the cluster that is to another partition's cluster `wanted` what the others are to its others, if any."""
    values, shared = _shared(labels, reference, weights)
    for cluster, matched in zip(*linear_sum_assignment(-shared), strict=True):
        if matched == wanted and shared[cluster, matched] > 0:
            return int(values[cluster])
    return None


def _number(labels: np.ndarray, reference: np.ndarray, weights: np.ndarray, noise: int | None = None) -> np.ndarray:
    """Return labels from 0, in the order of the clusters of another partition that they share most rows with.

    Those of the cluster `noise` become -1.
    """
    rest = labels != noise
    if not rest.all():
        numbers = np.full(len(labels), NOISE_LABEL, dtype=np.int16)
        if rest.any():
            numbers[rest] = _number(labels[rest], reference[rest], weights[rest])
        return numbers
    values, shared = _shared(labels, reference, weights)
    C, R = shared.shape
    own = np.searchsorted(values, labels)
    clusters, matched = linear_sum_assignment(-shared)
    # those without a match of their own come last, the largest first
    place = np.full(C, R)
    place[clusters] = matched
    order = np.lexsort((-shared.sum(axis=1), place))
    number = np.empty(C, dtype=np.int16)
    number[order] = np.arange(C)
    return number[own]


def _bounds(distances: np.ndarray, occupied: np.ndarray, radius: float) -> np.ndarray:
    """Draws at the edges of the ball, in the order of `BOUNDS`."""
    inside = np.flatnonzero(distances <= radius)
    counts = occupied[inside]
    fewest, largest = inside[counts == counts.min()], inside[counts == counts.max()]
    return np.array([rows[np.argmax(distances[rows])] for rows in (fewest, largest, inside)])


def _cohesion(labels: np.ndarray, groups: Groups) -> np.ndarray:
    """Mean over the other rows of a group's cluster of the share of draws that have them together, (U,)."""
    M, U = groups.draws.shape
    C, K = int(labels.max()) + 1, int(groups.draws.max()) + 1
    together = np.zeros(U)
    for draw in groups.draws:
        table = np.bincount(labels.astype(np.int64) * K + draw, weights=groups.weights, minlength=C * K).reshape(C, K)
        together += table[labels, draw]
    others = np.bincount(labels, weights=groups.weights, minlength=C)[labels] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others > 0, (together / M - 1) / others, 1.0)
