"""Where EM starts: responsibilities of a sample of rows, then one M-step.

Starts are computed on at most `MOST_ROWS` rows drawn at random (with probability proportional to their weights), in
columns divided by their standard deviation, so that a start does not depend on units, nor its memory on N. The
hierarchical one draws nothing: it sees at most `MOST_AGGLOMERATED` rows, evenly spaced. May import NumPy, scikit-learn
and the modules below it only.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bayesgmm.data.checks import row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import even_sample, sample_rows
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.em.m_step import maximise
from bayesgmm.em.starts.hierarchy import Hierarchy, agglomerate
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.parameters import MixtureParameters

LEAST_SPREAD = 1e-3
"""A start whose component has less than this share of the data's variance in some direction is widened to it."""


def kmeans(rows: np.ndarray, weights: np.ndarray | None, K: int, rng: np.random.Generator) -> np.ndarray:
    """Hard clusters of Lloyd's algorithm from k-means++ seeds, (n, K)."""
    seed = int(rng.integers(2**31 - 1))
    # Lloyd's own threads add in an order that depends on the number of cores; too few clusters are seen to below
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(K, n_init=1, random_state=seed).fit(rows, sample_weight=weights)
    return np.eye(K)[fitted.labels_]


def nearest_seed(rows: np.ndarray, weights: np.ndarray | None, K: int, rng: np.random.Generator) -> np.ndarray:
    """Rows to the nearest of K k-means++ seeds (Arthur & Vassilvitskii 2007), (n, K)."""
    seeds, _ = kmeans_plusplus(rows, K, sample_weight=weights, random_state=int(rng.integers(2**31 - 1)))
    return _nearest(rows, seeds)


def nearest_row(rows: np.ndarray, weights: np.ndarray | None, K: int, rng: np.random.Generator) -> np.ndarray:
    """Rows to the nearest of K distinct rows drawn at random, (n, K)."""
    distinct = np.unique(rows, axis=0)
    return _nearest(rows, distinct[rng.choice(len(distinct), K, replace=False)])


def random_memberships(rows: np.ndarray, weights: np.ndarray | None, K: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform random numbers, normalised: the classical recipe, (n, K)."""
    responsibilities = rng.random((len(rows), K))
    return responsibilities / responsibilities.sum(axis=1, keepdims=True)


DRAWN: dict[str, Callable[[np.ndarray, np.ndarray | None, int, np.random.Generator], np.ndarray]] = {
    "kmeans": kmeans,
    "k-means++": nearest_seed,
    "random_from_data": nearest_row,
    "random": random_memberships,
}
"""Starts that another seed makes another, by the name in ``init_params``."""

METHODS = (*DRAWN, "hierarchical")
"""Every name of a start in ``init_params``; the last one is always the same for the same rows."""


@dataclass(frozen=True, slots=True, eq=False)
class HierarchicalStart:
    """Starts for any number of components and any family, from one agglomeration.

    Attributes
    ----------
    sample : Observations
        The n rows that were agglomerated.
    hierarchy : Hierarchy
        Their partitions.
    """

    sample: Observations
    hierarchy: Hierarchy

    def parameters(self, n_components: int, family: CovarianceFamily, floor: np.ndarray) -> MixtureParameters:
        """Return the M-step of the partition into K clusters, in standard coordinates; narrow ones are widened.

        Parameters
        ----------
        n_components : int
            K.
        family : CovarianceFamily
        floor : (D,) float64
            Smallest variance allowed, in standard coordinates.

        Raises
        ------
        ValueError
            When the sample has fewer than K distinct rows.
        """
        return _mixture(self.sample, self.hierarchy.labels(n_components), family, floor)


def hierarchical_memberships(observations: Observations) -> HierarchicalStart:
    """Agglomerate the rows once, for starts with any number of components and any family.

    Of many rows, `MOST_AGGLOMERATED` are taken, evenly spaced; of many weighted rows, as many at evenly spaced points
    of the cumulative weight (systematic sampling). Nothing is random. Rows whose order has a period that the spacing
    divides are sampled badly: shuffle them first.

    Parameters
    ----------
    observations : Observations

    Returns
    -------
    start : HierarchicalStart
    """
    sample = even_sample(observations)
    return HierarchicalStart(sample, agglomerate(sample.values, sample.weights))


def from_method(
    observations: Observations,
    method: str,
    n_components: int,
    family: CovarianceFamily,
    floor: np.ndarray,
    rng: np.random.Generator,
) -> MixtureParameters:
    """Return a start by one of `METHODS`, in standard coordinates.

    Components that come out (nearly) singular are widened to `LEAST_SPREAD` of the data's variances: a start is only
    a place to begin. The hierarchical start leaves `rng` as it is; for many numbers of components or families,
    `hierarchical_memberships` does the work once.
    """
    if method not in DRAWN:
        return hierarchical_memberships(observations).parameters(n_components, family, floor)
    return drawn_memberships(observations, method, n_components, rng).parameters(family, floor)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnStart:
    """Memberships of a sample of rows: a start for every family.

    Attributes
    ----------
    sample : Observations
        n rows.
    memberships : (n, K) float64
    """

    sample: Observations
    memberships: np.ndarray

    def parameters(self, family: CovarianceFamily, floor: np.ndarray) -> MixtureParameters:
        """Return the M-step of the memberships, in standard coordinates; narrow components are widened."""
        return _mixture(self.sample, self.memberships, family, floor)


def drawn_memberships(
    observations: Observations, method: str, n_components: int, rng: np.random.Generator
) -> DrawnStart:
    """Draw a start by one of `DRAWN`, once for all families."""
    sample = sample_rows(observations, rng)
    # scale by column, not by the common scalar: k-means must not see units
    spread = np.sqrt(observations.variances)
    rows = (sample.values - observations.shift) / spread
    responsibilities = DRAWN[method](rows, sample.weights, n_components, rng)
    if not responsibilities.any(axis=0).all():
        # distances cannot tell rows apart that differ in their last digits; comparing them can
        responsibilities = nearest_row(rows, sample.weights, n_components, rng)
    return DrawnStart(sample, responsibilities)


def statistics_of(observations: Observations, memberships: np.ndarray, moments: Moments) -> SufficientStatistics:
    """Sufficient statistics of given memberships: codes 0..K-1 (N,), or responsibilities (N, K).

    Of `moments` it matters only whether they are diagonal.
    """
    D = observations.n_features
    K = int(memberships.max()) + 1 if memberships.ndim == 1 else memberships.shape[1]
    N, S1 = np.zeros(K), np.zeros((K, D))
    S2 = np.zeros((K, D) if moments.diagonal else (K, D, D))
    buffer = np.empty((D, observations.n_rows if observations.n_rows < 8192 else 8192))
    for rows in row_slices(observations.n_rows):
        y = observations.standard_block(rows, buffer[:, : rows.stop - rows.start])
        block = memberships[rows]
        r = (np.eye(K)[block] if block.ndim == 1 else block).T
        weights = observations.block_weights(rows)
        if weights is not None:
            r = r * weights
        N += r.sum(axis=1)
        S1 += r @ y.T
        S2 += r @ (y * y).T if moments.diagonal else np.stack([(y * r_k) @ y.T for r_k in r])
    return SufficientStatistics(float("nan"), N, S1, S2, observations.shift, observations.scale)


def _mixture(
    sample: Observations, memberships: np.ndarray, family: CovarianceFamily, floor: np.ndarray
) -> MixtureParameters:
    """M-step of the memberships of a sample, no component narrower than `LEAST_SPREAD`."""
    statistics = statistics_of(sample, memberships, family.moments)
    variances = family.floor_variances(sample.variances) / sample.scale**2
    return maximise(statistics, family, np.maximum(floor, LEAST_SPREAD * variances))[0]


def _nearest(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    # differences before squares: a centre is a row, and must be nearest to itself however close another centre is
    distances = np.stack([((rows - center) ** 2).sum(axis=1) for center in centers], axis=1)
    return np.eye(len(centers))[distances.argmin(axis=1)]
