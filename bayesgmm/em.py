"""Expectation-maximisation: alternate the E-step of the kernel and the M-step of a covariance family.

Dempster, Laird & Rubin (1977); McLachlan & Peel (2000), section 3.2. May import NumPy and the modules below it only.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from bayesgmm.blocks import expected_statistics
from bayesgmm.covariance import CovarianceFamily
from bayesgmm.observations import Observations
from bayesgmm.parameters import MixtureParameters, ParameterError, inverse_cholesky
from bayesgmm.statistics import SufficientStatistics

LEAST_WEIGHT = 1e-10
"""A component expecting less than this share of one row keeps its place and shape: there is nothing to move it."""


class Status(Enum):
    """How EM ended; the value is the sentence to print."""

    CONVERGED = "EM converged: the log-likelihood no longer rises by more than `tol` per row."
    MAX_ITER = "EM stopped at `max_iter` before the log-likelihood settled: raise `max_iter` or `tol`."
    COLLAPSED = (
        "EM converged with a component on the variance floor: it describes a few (nearly) equal rows, not a cluster. "
        "Use fewer components, another start, or a simpler `covariance_type`."
    )


class CollapseError(ValueError):
    """A component lost its spread and no floor holds it.

    Attributes
    ----------
    component : int
    parameters : MixtureParameters or None
        The last whole mixture, in standard coordinates: its memberships name the rows.
    """

    def __init__(self, message: str, component: int, parameters: MixtureParameters | None = None) -> None:
        super().__init__(message)
        self.component = component
        self.parameters = parameters


@dataclass(frozen=True, slots=True, eq=False)
class EMResult:
    """Where EM ended.

    Attributes
    ----------
    parameters : MixtureParameters
        In standard coordinates.
    log_likelihoods : (n_iter,) float64
        sum_n w_n log p(x_n) at each E-step, x in the units of the data; the last belongs to `parameters`.
    status : Status
    floored : tuple of int
        Components held by the variance floor.
    N : (K,) float64
        Expected rows in each component.
    """

    parameters: MixtureParameters
    log_likelihoods: np.ndarray
    status: Status
    floored: tuple[int, ...]
    N: np.ndarray

    @property
    def log_likelihood(self) -> float:
        """The log-likelihood at `parameters`."""
        return float(self.log_likelihoods[-1])

    @property
    def admissible(self) -> bool:
        """Whether this is a description of clusters: converged, off the floor, more rows than features in each."""
        return self.status is Status.CONVERGED and bool((self.N > self.parameters.n_features).all())


def maximise(
    statistics: SufficientStatistics,
    family: CovarianceFamily,
    floor: np.ndarray,
    previous: MixtureParameters | None = None,
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
        Where an empty component stays.

    Raises
    ------
    CollapseError
        When a covariance is singular and `floor` is zero.
    """
    N = statistics.N
    empty = N < LEAST_WEIGHT
    safe_N = np.where(empty, 1.0, N)
    means = statistics.S1 / safe_N[:, None]
    if empty.any():
        if previous is None:
            raise CollapseError(
                f"component {int(np.argmax(empty))} has no rows in the given start.", int(np.argmax(empty))
            )
        means = np.where(empty[:, None], previous.means, means)
    covariances = family.maximise(statistics.scatter(means), safe_N)
    if empty.any() and previous is not None:
        covariances = np.where(empty[:, None, None], previous.covariances, covariances)
    covariances, floored = _above_floor(covariances, floor)
    try:
        factors = inverse_cholesky(covariances)
        singular = np.zeros(len(N), dtype=bool) if floor.any() else _only_rounding(means, covariances, factors)
    except ParameterError:
        factors, singular = covariances, np.array([not _positive_definite(matrix) for matrix in covariances])
    if singular.any():
        component = int(np.argmax(singular))
        raise CollapseError(
            f"component {component} collapsed: its covariance is singular (it expects {N[component]:.3g} rows).",
            component,
            previous,
        )
    return MixtureParameters(N / N.sum(), means, covariances, factors), floored


def run(
    observations: Observations,
    start: MixtureParameters,
    family: CovarianceFamily,
    *,
    tol: float,
    max_iter: int,
    floor: np.ndarray,
    on_iteration: Callable[[int, float], None] | None = None,
) -> EMResult:
    """Iterate from `start` until the log-likelihood rises by less than `tol` per row.

    Parameters
    ----------
    observations : Observations
    start : MixtureParameters
        In standard coordinates.
    family : CovarianceFamily
    tol : float
        Smallest rise of the log-likelihood per unit of row weight that goes on.
    max_iter : int
        Most E-steps.
    floor : (D,) float64
        Smallest variances, see `maximise`.
    on_iteration : callable, optional
        Told the number of E-steps and the log-likelihood after each.

    Raises
    ------
    CollapseError
        When a covariance becomes singular and `floor` is zero.
    """
    parameters = start
    floored: tuple[int, ...] = ()
    log_likelihoods: list[float] = []
    status = Status.MAX_ITER
    statistics = expected_statistics(observations, parameters, diagonal=family.diagonal)
    while True:
        log_likelihoods.append(statistics.log_likelihood)
        if not np.isfinite(statistics.log_likelihood):
            raise CollapseError("the log-likelihood is not finite: the start puts some row out of every reach.", 0)
        if on_iteration is not None:
            on_iteration(len(log_likelihoods), statistics.log_likelihood)
        if len(log_likelihoods) > 1:
            rise = (log_likelihoods[-1] - log_likelihoods[-2]) / observations.total_weight
            if abs(rise) <= tol:
                status = Status.COLLAPSED if floored else Status.CONVERGED
                break
        if len(log_likelihoods) >= max_iter:
            break
        parameters, floored = maximise(statistics, family, floor, parameters)
        statistics = expected_statistics(observations, parameters, diagonal=family.diagonal)
    return EMResult(parameters, np.array(log_likelihoods), status, floored, statistics.N)


def go_on(
    observations: Observations,
    result: EMResult,
    family: CovarianceFamily,
    *,
    tol: float,
    max_iter: int,
    floor: np.ndarray,
) -> EMResult:
    """Continue a run that stopped at fewer E-steps; arguments as in `run`, `max_iter` for both together."""
    if result.status is not Status.MAX_ITER or len(result.log_likelihoods) >= max_iter:
        return result
    left = max_iter - len(result.log_likelihoods) + 1
    more = run(observations, result.parameters, family, tol=tol, max_iter=left, floor=floor)
    return replace(more, log_likelihoods=np.concatenate([result.log_likelihoods, more.log_likelihoods[1:]]))


def _above_floor(covariances: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Raise eigenvalues of diag(floor)^-1/2 Sigma diag(floor)^-1/2 to one; which components needed it.

    Clipping leaves covariances above the floor untouched, so the optimum is the exact maximum of the likelihood;
    adding a constant, the usual remedy, would move every fit.
    """
    if not floor.any():
        return covariances, ()
    root = np.sqrt(floor)
    if covariances.shape[-1] == 1:
        low = covariances[:, 0, 0] < floor[0]
        return np.maximum(covariances, floor), tuple(int(k) for k in np.flatnonzero(low))
    relative = covariances / (root[:, None] * root[None, :])
    if _positive_definite(relative - np.eye(len(root))):
        return covariances, ()
    low = [k for k, matrix in enumerate(relative) if not _positive_definite(matrix - np.eye(len(root)))]
    covariances = covariances.copy()
    for k in low:
        values, vectors = np.linalg.eigh(relative[k])
        clipped = (vectors * np.maximum(values, 1.0)) @ vectors.T
        covariances[k] = 0.5 * (clipped + clipped.T) * (root[:, None] * root[None, :])
    return covariances, tuple(low)


def _only_rounding(means: np.ndarray, covariances: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Whether a variance of each component, given the other features, is no more than what rounding leaves of zero.

    Moments about the common shift are rounded to eps (mu^2 + sigma^2); a scatter of that size is positive by chance.
    """
    pivots = 1.0 / np.diagonal(factors, axis1=-2, axis2=-1) ** 2
    rounding = np.finfo(np.float64).eps * (means**2 + np.diagonal(covariances, axis1=-2, axis2=-1))
    return (pivots <= 1e3 * rounding).any(axis=-1)


def _positive_definite(matrix: np.ndarray) -> bool:
    """Whether a matrix, or every one of a stack, is positive definite."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
