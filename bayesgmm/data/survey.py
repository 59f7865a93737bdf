"""The design of a survey: which rows were drawn together, and how a sum over rows varies from sample to sample.

z_n is a number of row n times its weight, its score for instance. The total of each cluster of rows is z_c; without
clusters each row is one. In stratum h are n_h clusters, taken as drawn independently and with replacement, so that the
variance of the sum over all rows is estimated by (Binder 1983, equation 4.4; Wolter 2007, section 1.4)

    B = sum_h n_h / (n_h - 1) sum_{c in h} (z_c - zbar_h)(z_c - zbar_h)^T.

May import NumPy, pandas and the modules below it only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesgmm.data.observations import Observations
from bayesgmm.data.tables import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Which rows were drawn together.

    Attributes
    ----------
    clusters : (N,) int64 or None
        Cluster of each row, 0 to C - 1; None where each row is its own.
    strata : (C,) int64
        Stratum of each cluster, 0 to H - 1; each has two clusters or more.
    """

    clusters: np.ndarray | None
    strata: np.ndarray

    @property
    def degrees_of_freedom(self) -> int:
        """C - H: clusters less strata."""
        return len(self.strata) - int(self.strata.max()) - 1


def survey_design(observations: Observations, clusters: Any = None, strata: Any = None) -> Design:
    """Read the clusters and strata of a survey.

    Parameters
    ----------
    clusters, strata : (N,) array, optional
        Numbers or names. Clusters of one name in two strata are two clusters, as usual where they are numbered within
        strata.

    Raises
    ------
    DataError
        When a length is not N, a value is missing (the row is named), a stratum has a single cluster (it is named), or
        there are fewer than two clusters.
    """
    stratum, stratum_names = _codes(observations, strata, "strata")
    if clusters is None:
        cluster, of_clusters = None, stratum
    else:
        within, _ = _codes(observations, clusters, "clusters")
        pairs, cluster = np.unique(np.stack([stratum, within], axis=1), axis=0, return_inverse=True)
        cluster, of_clusters = cluster.ravel(), pairs[:, 0]
    counts = np.bincount(of_clusters)
    if (counts < 2).any():
        h = int(np.argmin(counts))
        unit = "row" if clusters is None else "cluster"
        where, advice = "the data has", ""
        if strata is not None:
            where, advice = f"stratum {stratum_names[h]} has", " Merge it with another stratum."
        raise DataError(f"{where} a single {unit}: two or more are needed to see how much they vary.{advice}")
    return Design(cluster, of_clusters)


class ScoreVariance(NamedTuple):
    """Sum of the weighted scores, and its variance over samples of the design.

    Attributes
    ----------
    total : (p,) float64
    variance : (p, p) float64
        B.
    """

    total: np.ndarray
    variance: np.ndarray


def score_variance(blocks: Iterable[tuple[np.ndarray, np.ndarray]], design: Design, p: int) -> ScoreVariance:
    """Add up B; memory grows with the number of clusters, where there are clusters, and not with that of rows.

    Parameters
    ----------
    blocks : iterable of (rows, z)
        Indices (B,) and weighted scores w_n s_n (B, p) of some rows after others.
    """
    if design.clusters is not None:
        totals = np.zeros((len(design.strata), p))
        for rows, z in blocks:
            np.add.at(totals, design.clusters[rows], z)
        blocks = [(np.arange(len(totals)), totals)]
    counts = np.bincount(design.strata)
    factor = counts / (counts - 1.0)
    sums, squares = np.zeros((len(counts), p)), np.zeros((p, p))
    for units, z in blocks:
        stratum = design.strata[units]
        np.add.at(sums, stratum, z)
        squares += (z * factor[stratum][:, None]).T @ z
    variance = squares - (sums * (factor / counts)[:, None]).T @ sums
    return ScoreVariance(sums.sum(axis=0), 0.5 * (variance + variance.T))


def _codes(observations: Observations, given: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give each distinct value of a column a number from 0, (N,), and the values; all rows 0 where nothing is given."""
    N = observations.n_rows
    if given is None:
        return np.zeros(N, dtype=np.int64), np.array([""])
    series = pd.Series(np.asarray(given).ravel() if np.ndim(given) == 1 else np.empty(0))
    if np.ndim(given) != 1 or len(series) != N:
        raise DataError(f"`{name}` has shape {np.shape(given)}, expected ({N},): one for each row.")
    missing = series.isna().to_numpy()
    if missing.any():
        raise DataError(f"`{name}` is missing at {observations.name_rows(missing)}: give one for each row.")
    codes, values = pd.factorize(series)
    return codes.astype(np.int64), np.asarray(values)
