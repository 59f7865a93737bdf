"""Expectation-maximisation: alternate the E-step of the kernel and the M-step of a covariance family.

Dempster, Laird & Rubin (1977); McLachlan & Peel (2000), section 3.2. May import NumPy and the modules below it only.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.em.acceleration import QuasiNewton
from bayesgmm.em.conjugate import ConjugatePrior
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError, inverse_cholesky

LEAST_WEIGHT = 1e-10
"""A component expecting less than this share of one row keeps its place and shape: there is nothing to move it."""


class Status(Enum):
    """How EM ended; the value is the sentence to print."""

    CONVERGED = "EM converged: the log-likelihood is not expected to rise by more than `tol` per row."
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
        In standard coordinates. Where `max_iter` ended the run, those of the last M-step.
    log_likelihoods : (n_iter,) float64
        sum_n w_n log p(x_n) at each E-step, x in the units of the data. The last belongs to `parameters`, except where
        `max_iter` ended the run: then to the parameters that the last M-step began from, and that of `parameters`, not
        looked at any more, is no lower.
    status : Status
    floored : tuple of int
        Components held by the variance floor.
    N : (K,) float64
        Expected rows in each component, at the last E-step.
    objective : float
        What was maximised: the log-likelihood, plus the log density of the prior where there is one.
    least_rows : float
        What each component must expect more of, for the fit to be admissible.
    """

    parameters: MixtureParameters
    log_likelihoods: np.ndarray
    status: Status
    floored: tuple[int, ...]
    N: np.ndarray
    objective: float
    least_rows: float

    @property
    def log_likelihood(self) -> float:
        """The log-likelihood of the last E-step."""
        return float(self.log_likelihoods[-1])

    @property
    def admissible(self) -> bool:
        """Whether this is a description of clusters: converged, off the floor, more rows than features in each.

        More than one row in each is enough with a prior, which stands for the rows that are missing; and where there
        are too few rows for so many features altogether, for families that pool their scatter.
        """
        return self.status is Status.CONVERGED and bool((self.N > self.least_rows * (1 + 1e-9)).all())


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
    if family.own_shape and floor.any():
        # these families divide by the determinant of each scatter: the floor must hold before, not after
        scatter, held = _scatter_above_floor(scatter, safe_N, floor)
    covariances = family.maximise(scatter, safe_N, None if previous is None else previous.covariances)
    if empty.any() and previous is not None:
        covariances = np.where(empty[:, None, None], previous.covariances, covariances)
    factors = _factors_above_floor(covariances, floor, family)
    if factors is not None:
        return MixtureParameters(weights, means, covariances, factors, noise), held
    covariances, floored = _above_floor(covariances, floor)
    floored = tuple(sorted({*held, *floored}))
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
    return MixtureParameters(weights, means, covariances, factors, noise), floored


def run(
    observations: Observations,
    start: MixtureParameters,
    family: CovarianceFamily,
    *,
    tol: float,
    max_iter: int,
    floor: np.ndarray,
    accelerated: bool = False,
    frozen: frozenset[str] = frozenset(),
    prior: ConjugatePrior | None = None,
    reached: float | None = None,
) -> EMResult:
    """Iterate from `start` until the log-likelihood is not expected to rise by more than `tol` per row.

    Parameters
    ----------
    observations : Observations
    start : MixtureParameters
        In standard coordinates.
    family : CovarianceFamily
    tol : float
        Smallest rise of the log-likelihood per unit of row weight that goes on. Plain EM stops when a step rises by
        less; accelerated EM, when what is still expected of all further steps is less too.
    max_iter : int
        Most E-steps, each with its M-step.
    floor : (D,) float64
        Smallest variances, see `maximise`.
    accelerated : bool
        Whether to take the longer steps of `QuasiNewton` where they raise the likelihood.
    frozen : set of "weights", "means", "covariances"
        Held as in `start`.
    prior : ConjugatePrior, optional
        Maximise the posterior density (MAP-EM): that is then what never falls.
    reached : float, optional
        The objective at the last E-step of the run that this one goes on from: the first E-step may then be the last.

    Raises
    ------
    CollapseError
        When a covariance becomes singular and `floor` is zero.
    """

    def look(parameters: MixtureParameters) -> SufficientStatistics:
        return expected_statistics(
            observations, parameters, diagonal=family.diagonal, spherical=family.spherical, common=family.common
        )

    def step(from_: MixtureParameters, statistics: SufficientStatistics) -> tuple[MixtureParameters, tuple[int, ...]]:
        try:
            return maximise(statistics, family, floor, from_, frozen, prior)
        except CollapseError:
            if len(log_likelihoods) < max_iter:
                raise
            # nothing is looked at any more: the fit stays where its likelihood is known
            return from_, ()

    def value(at: MixtureParameters, statistics: SufficientStatistics) -> float:
        return statistics.log_likelihood + (0.0 if prior is None else prior.log_density(at, common=family.common))

    least_rise = tol * observations.total_weight
    parameters, statistics = start, look(start)
    log_likelihoods = [statistics.log_likelihood]
    if not np.isfinite(log_likelihoods[0]):
        raise CollapseError("the log-likelihood is not finite: the start puts some row out of every reach.", 0)
    objective = value(parameters, statistics)
    floored: tuple[int, ...] = ()
    status = Status.MAX_ITER
    ahead = QuasiNewton(family, observations.total_weight, frozen) if accelerated else None
    target, target_floored = step(parameters, statistics)
    if reached is not None:
        expected = 0.0 if ahead is None or target_floored else ahead.learn(parameters, parameters, target)
        # with no step remembered `expected` says little: where a second E-step is allowed, it is looked at
        known = ahead is None or max_iter == 1
        if known and target is not parameters and max(abs(objective - reached), expected) <= least_rise:
            floored = target_floored
            status = Status.COLLAPSED if floored else Status.CONVERGED
    while status is Status.MAX_ITER and len(log_likelihoods) < max_iter:
        before, objective_before = parameters, objective
        proposal = None
        # on the floor the EM step has a kink, and what was learned from it elsewhere does not hold
        if ahead is not None and not target_floored:
            proposal = ahead.propose(parameters)
            if (
                proposal is not None
                and not _far_above_floor(proposal.precision_cholesky, floor)
                and _above_floor(proposal.covariances, floor)[1]
            ):
                ahead.refuse()
                proposal = None
        if proposal is not None:
            found = look(proposal)
            objective = value(proposal, found)
            if objective >= objective_before:
                ahead.accept()  # type: ignore[union-attr]
                parameters, statistics, floored = proposal, found, ()
            else:
                ahead.refuse()  # type: ignore[union-attr]
                log_likelihoods.append(statistics.log_likelihood)
                proposal, objective = None, objective_before
                if len(log_likelihoods) >= max_iter:
                    break
        if proposal is None:
            parameters, floored = target, target_floored
            statistics = look(parameters)
            objective = value(parameters, statistics)
        log_likelihoods.append(statistics.log_likelihood)
        if floored and not family.clips_exactly:
            # what the floor makes of such a family is no longer of the family, and need not rise
            status = Status.COLLAPSED
            break
        rise = abs(objective - objective_before)
        if rise <= least_rise and ahead is None:
            status = Status.COLLAPSED if floored else Status.CONVERGED
            break
        target, target_floored = step(parameters, statistics)
        if target is parameters:
            break
        if ahead is not None:
            expected = ahead.learn(before, parameters, target)
            if rise <= least_rise and (target_floored or expected <= least_rise):
                status = Status.COLLAPSED if floored else Status.CONVERGED
                break
    # fits of one E-step each are a run of many: each leaves its M-step to the next
    if (status is Status.MAX_ITER or max_iter == 1) and (family.clips_exactly or not target_floored):
        parameters, floored = target, target_floored
    K, D = parameters.means.shape
    pooled = family.common and observations.total_weight <= K * D
    least_rows = 1.0 if pooled or prior is not None else float(D)
    ends = np.array(log_likelihoods)
    return EMResult(parameters, ends, status, floored, statistics.N, objective, least_rows)


def go_on(observations: Observations, result: EMResult, family: CovarianceFamily, **settings: Any) -> EMResult:
    """Continue a run that stopped at fewer E-steps; settings as of `run`, `max_iter` for both together."""
    left = settings["max_iter"] - len(result.log_likelihoods)
    if result.status is not Status.MAX_ITER or left < 1:
        return result
    more = run(observations, result.parameters, family, **{**settings, "max_iter": left, "reached": result.objective})
    return replace(more, log_likelihoods=np.concatenate([result.log_likelihoods, more.log_likelihoods]))


def _factors_above_floor(covariances: np.ndarray, floor: np.ndarray, family: CovarianceFamily) -> np.ndarray | None:
    """Factors U_k of the precisions where all covariances are seen at once to be above the floor, None where not."""
    if not floor.any():
        return None
    if family.diagonal:
        K, D = covariances.shape[:2]
        variances = covariances.reshape(K, D * D)[:, :: D + 1]
        if not (variances > 0).all():
            return None
        factors = np.zeros((K, D, D))
        factors.reshape(K, D * D)[:, :: D + 1] = 1.0 / np.sqrt(variances)
    else:
        try:
            # one factor serves a covariance that all components share
            factors = inverse_cholesky(covariances[:1] if family.common else covariances)
        except ParameterError:
            return None
        if family.common:
            factors = np.repeat(factors, len(covariances), axis=0)
    return factors if _far_above_floor(factors, floor) else None


def _far_above_floor(factors: np.ndarray, floor: np.ndarray) -> bool:
    """Whether sum_k tr(Sigma_k^-1) times the largest floor is below one: no eigenvalue of Sigma_k is then below it."""
    return bool(np.vdot(factors, factors) * floor.max() < 1.0)


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


def _scatter_above_floor(scatter: np.ndarray, N: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Raise each component's own scatter, (K, D, D) or its diagonals (K, D), to N_k floor; which needed it."""
    if scatter.ndim == 2:
        least = N[:, None] * floor
        low = (scatter < least).any(axis=1)
        return np.maximum(scatter, least), tuple(int(k) for k in np.flatnonzero(low))
    raised, low_components = _above_floor(scatter / N[:, None, None], floor)
    return (scatter if not low_components else raised * N[:, None, None]), low_components


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
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    # of NaN it makes NaN without a word
    return bool(np.isfinite(factor).all())
