"""A fit as an estimator asks for it: settings checked, starts made, the best end kept, with a word where it is poor."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from bayesgmm.data.observations import as_observations
from bayesgmm.em.collapse import CollapseError, CollapseWarning, rows_on_floor, with_rows
from bayesgmm.em.conjugate import conjugate_prior
from bayesgmm.em.known import KnownMixture
from bayesgmm.em.search import search
from bayesgmm.em.solver import Status
from bayesgmm.em.starts.requested import GIVEN_BY, Start
from bayesgmm.em.task import Task, check_task
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.integers import check_integer
from bayesgmm.tools.threads import single_threaded_blas


class Settings(Protocol):
    """What `GaussianMixture` is told; see there."""

    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    weights_init: Any
    means_init: Any
    precisions_init: Any
    random_state: Any
    acceleration: str | None
    frozen: Sequence[str]
    prior: str | None
    noise: Any


def check_settings(settings: Settings) -> None:
    """Refuse settings that are none, whatever the data.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came.
    """
    for name in ("max_iter", "n_init"):
        check_integer(name, getattr(settings, name))
    for name in ("tol", "reg_covar"):
        value = getattr(settings, name)
        if not isinstance(value, Real) or not 0 <= float(value) < 1:
            raise ValueError(f"`{name}` must be a number in [0, 1); received {value!r}.")
    if settings.acceleration not in ("quasi-newton", None):
        raise ValueError(f"`acceleration` must be 'quasi-newton' or None; received {settings.acceleration!r}.")
    if settings.prior not in ("conjugate", None):
        raise ValueError(f"`prior` must be 'conjugate' or None; received {settings.prior!r}.")
    frozen = settings.frozen
    if isinstance(frozen, str) or not set(frozen) <= set(GIVEN_BY):
        raise ValueError(f"`frozen` must list some of {', '.join(map(repr, GIVEN_BY))}; received {frozen!r}.")


def task_of(settings: Settings, X: Any, **known_of_rows: Any) -> Task:
    """Read rows (arguments of `as_observations`), and check them against the mixture that is asked for."""
    observations = as_observations(X, **known_of_rows)
    return check_task(observations, settings.n_components, settings.covariance_type, settings.noise)


def fit(
    task: Task,
    settings: Settings,
    origin: Any,
    previous: KnownMixture | None = None,
    starts: Sequence[Callable[[], MixtureParameters]] | None = None,
) -> tuple[KnownMixture, Warning | None]:
    """Fit the mixture that is asked for, and say what is to be warned of.

    Parameters
    ----------
    task : Task
        Rows, and the mixture that the settings ask for.
    settings : Settings
    origin : str, array or MixtureParameters
        Where to start: `init_params`, its parameters where it is a mixture.
    previous : KnownMixture, optional
        The fit to go on from, in place of `origin` and the given parts.
    starts : sequence of callables, optional
        What makes each start, in place of all of these; `compare` shares them between models.

    Raises
    ------
    ValueError
        When settings or starts are none, or do not fit the rows.
    CollapseError
        When every start loses a component, naming its rows where there is one.
    """
    check_settings(settings)
    observations = task.observations
    floor = task.floor(settings.reg_covar)
    seeds = np.random.SeedSequence(check_random_state(settings.random_state).randint(2**31 - 1, size=4).tolist())
    reached = None
    if starts is None:
        if previous is None:
            parts = settings.weights_init, settings.means_init, settings.precisions_init
            start = Start(origin, *parts, task.background)
        else:
            start = Start(previous.parameters, background=task.background)
            if not settings.prior and np.isfinite(previous.lower_bound):
                reached = previous.lower_bound * observations.total_weight
        start.check(task, settings.frozen)
        starts = start.starts(task, floor, seeds, settings.n_init)
    with single_threaded_blas():
        try:
            result = search(
                observations,
                starts,
                task.family,
                tol=settings.tol,
                max_iter=settings.max_iter,
                floor=floor,
                accelerated=settings.acceleration is not None,
                frozen=frozenset(settings.frozen),
                prior=conjugate_prior(observations, task.n_components) if settings.prior else None,
                reached=reached,
            )
        except CollapseError as error:
            raise with_rows(error, observations) from None
    best = result.best
    mixture = KnownMixture(
        observations.from_standard(best.parameters),
        {"covariance_type": settings.covariance_type, "frozen": settings.frozen},
        observations.feature_names,
        observations.units,
        observations.named,
        best.status,
        {
            "converged_": best.status is not Status.MAX_ITER,
            "admissible_": best.admissible,
            "n_iter_": len(best.log_likelihoods),
            "n_starts_": result.n_starts,
            "n_starts_ended_": result.n_ended,
            "n_starts_at_best_": result.n_at_best,
            "label_names_": observations.label_names,
        },
        (best.log_likelihoods / observations.total_weight).tolist(),
        np.random.default_rng(seeds.spawn(1)[0]),
    )
    if best.status is Status.MAX_ITER:
        return mixture, ConvergenceWarning(best.status.value)
    if best.status is Status.COLLAPSED:
        rows = rows_on_floor(observations, mixture.parameters, best.floored)
        return mixture, CollapseWarning(f"{best.status.value} {rows}.")
    return mixture, None
