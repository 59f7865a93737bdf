"""The M-step: the mixture of a family that fits given statistics best."""

import numpy as np

from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.conjugate import ConjugatePrior
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.em.floor import above_floor, factors_above_floor, positive_definite, scatter_above_floor
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError, inverse_cholesky

LEAST_WEIGHT = 1e-10
"""A component expecting less than this share of one row keeps its place and shape: there is nothing to move it."""


def maximise(
    statistics: SufficientStatistics,
    family: CovarianceFamily,
    floor: np.ndarray,
    previous: MixtureParameters | None = None,
    frozen: frozenset[str] = frozenset(),
    prior: ConjugatePrior | None = None,
) -> tuple[MixtureParameters, tuple[int, ...]]:
    """One M-step: the mixture of the family that fits the statistics best, and the components held by the floor.

    Parameters
    ----------
    statistics : SufficientStatistics
    family : CovarianceFamily
    floor : (D,) float64
        Smallest variance allowed, for each feature, in standard coordinates: covariances are kept at or above
        diag(floor), in the sense of positive definite matrices. Zero means none.
    previous : MixtureParameters, optional
        Where an empty component stays, where what is frozen is taken from, and where iterative M-steps begin. Without
        it EVE and VVE, whose maxima can be several, take the axes of the pooled scatter.
    frozen : set of "weights", "means", "covariances"
        Held as they are in `previous`; the others maximise given them. The share of noise is one of the weights.
    prior : ConjugatePrior, optional
        The maximum is then that of the posterior density.

    Raises
    ------
    CollapseError
        When a covariance is singular and `floor` is zero.
    """
    N = statistics.N
    empty = N < LEAST_WEIGHT
    safe_N = np.where(empty, 1.0, N)
    means = statistics.S1 / safe_N[:, None] if prior is None else prior.means(N, statistics.S1)
    if empty.any() and prior is None:
        if previous is None:
            k = int(np.argmax(empty))
            raise CollapseError(f"component {k} has no rows in the given start.", k)
        means = np.where(empty[:, None], previous.means, means)
    clustered = float(N.sum())
    weights = N / clustered if clustered > 0 or previous is None else previous.weights
    noise = None if previous is None else previous.noise
    if noise is not None and "weights" not in frozen:
        share = statistics.noise / (statistics.noise + clustered)
        share = share if prior is None else prior.noise_share(statistics.noise, clustered)
        noise = Noise(np.asarray(share), noise.background)
    if previous is not None:
        weights = previous.weights if "weights" in frozen else weights
        means = previous.means if "means" in frozen else means
        if "covariances" in frozen:
            return MixtureParameters(weights, means, previous.covariances, previous.precision_cholesky, noise), ()
    scatter = statistics.scatter(means)
    if prior is not None:
        scatter, safe_N = prior.add_to(scatter, N, means, common=family.common)
        empty = np.zeros(len(N), dtype=bool)
    held: tuple[int, ...] = ()
    if family.divides_by_determinant and floor.any():
        # these families divide by the determinant of each scatter: the floor must hold before, not after
        scatter, held = scatter_above_floor(scatter, safe_N, floor)
    covariances = family.maximise(scatter, safe_N, None if previous is None else previous.covariances)
    if empty.any() and previous is not None:
        covariances = np.where(empty[:, None, None], previous.covariances, covariances)
    factors = factors_above_floor(covariances, floor, family)
    if factors is not None:
        return MixtureParameters(weights, means, covariances, factors, noise), held
    covariances, floored = above_floor(covariances, floor)
    floored = tuple(sorted({*held, *floored}))
    try:
        factors = inverse_cholesky(covariances)
        singular = np.zeros(len(N), dtype=bool) if floor.any() else _only_rounding(means, covariances, factors)
    except ParameterError:
        factors, singular = covariances, np.array([not positive_definite(matrix) for matrix in covariances])
    if singular.any():
        component = int(np.argmax(singular))
        raise CollapseError(
            f"component {component} collapsed: its covariance is singular (it expects {N[component]:.3g} rows).",
            component,
            previous,
        )
    return MixtureParameters(weights, means, covariances, factors, noise), floored


def _only_rounding(means: np.ndarray, covariances: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Whether a variance of each component, given the other features, is no more than what rounding leaves of zero.

    Moments about the common shift are rounded to eps (mu^2 + sigma^2); a scatter of that size is positive by chance.
    """
    pivots = 1.0 / np.diagonal(factors, axis1=-2, axis2=-1) ** 2
    rounding = np.finfo(np.float64).eps * (means**2 + np.diagonal(covariances, axis1=-2, axis2=-1))
    return (pivots <= 1e3 * rounding).any(axis=-1)
