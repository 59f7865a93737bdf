"""Expectation-maximisation: alternate the E-step of the kernel and the M-step of a covariance family.

Dempster, Laird & Rubin (1977); McLachlan & Peel (2000), section 3.2. May import NumPy and the modules below it only.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.em.acceleration import QuasiNewton
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.conjugate import ConjugatePrior
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.em.floor import above_floor, far_above_floor
from bayesgmm.em.m_step import maximise
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.parameters import MixtureParameters


class Status(Enum):
    """How EM ended; the value is the sentence to print."""

    CONVERGED = "EM converged: the log-likelihood is not expected to rise by more than `tol` per row."
    MAX_ITER = "EM stopped at `max_iter` before the log-likelihood settled: raise `max_iter` or `tol`."
    COLLAPSED = (
        "EM converged with a component on the variance floor: it describes a few (nearly) equal rows, not a cluster. "
        "Use fewer components, another start, or a simpler `covariance_type`."
    )


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
        return expected_statistics(observations, parameters, family.moments)

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
                and not far_above_floor(proposal.precision_cholesky, floor)
                and above_floor(proposal.covariances, floor)[1]
            ):
                ahead.refuse()
                proposal = None
        if proposal is not None:
            seen = look(proposal)
            objective = value(proposal, seen)
            if objective >= objective_before:
                ahead.accept()  # type: ignore[union-attr]
                parameters, statistics, floored = proposal, seen, ()
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
        if floored and not family.linear:
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
    if (status is Status.MAX_ITER or max_iter == 1) and (family.linear or not target_floored):
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
