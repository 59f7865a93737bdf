"""A fit without a word: of many fits, what they are for says how each ended."""

from collections.abc import Callable, Sequence
from typing import Any

from bayesgmm.data.observations import Observations
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.fitting import task_of
from bayesgmm.em.task import Task
from bayesgmm.mixture.parameters import MixtureParameters


def fit_quietly(
    mixture: GaussianMixture, X: Any, starts: Sequence[Callable[[], MixtureParameters]] | None = None
) -> GaussianMixture:
    """Fit, and warn of nothing: `status_` says how it ended.

    Parameters
    ----------
    mixture : GaussianMixture
    X : table, Observations or Task
        (N, D) rows, or these checked against the mixture already.
    starts : sequence of callables, optional
        What makes each start, in standard coordinates, in place of those that the mixture's settings ask for.

    Raises
    ------
    CollapseError
        When a component loses its spread in every start, and there is no floor.
    """
    mixture._fit(X if isinstance(X, Task) else task_of(mixture, X), starts)
    return mixture


def admissible_fit(mixture: GaussianMixture, X: Any) -> GaussianMixture | None:
    """Fit without a word; None where it collapses, or is no description of clusters."""
    try:
        fit_quietly(mixture, X)
    except CollapseError:
        return None
    return mixture if mixture.admissible_ else None


def refit(fit: GaussianMixture, observations: Observations) -> GaussianMixture | None:
    """Fit again, from the fit itself; None where that is not admissible."""
    again = GaussianMixture(
        fit.parameters_.n_components,
        covariance_type=fit.covariance_type,
        init_params=fit,
        tol=fit.tol,
        reg_covar=fit.reg_covar,
        max_iter=fit.max_iter,
        acceleration=fit.acceleration,
        prior=fit.prior,
        frozen=fit.frozen,
        noise=None if fit.parameters_.noise is None else fit.noise_background_,
    )
    return admissible_fit(again, observations)
