"""Which K and which family: mixtures by maximum likelihood over a grid, side by side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.criteria import criteria
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import fit_quietly
from bayesgmm.em.solver import Status
from bayesgmm.em.starts.clutter import without_clutter
from bayesgmm.em.starts.completed import completed, keep_known
from bayesgmm.em.starts.methods import (
    DrawnStart,
    HierarchicalStart,
    drawn_memberships,
    from_method,
    hierarchical_memberships,
)
from bayesgmm.em.starts.requested import FIRST_SHARE
from bayesgmm.em.task import Task, check_grid
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.integers import check_integer
from bayesgmm.tools.progress import progress
from bayesgmm.tools.threads import single_threaded_blas

CRITERIA = ("bic", "aic", "icl")


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Fits over a grid of models, and their criteria.

    Attributes
    ----------
    table : DataFrame
        A row for each model, in the order asked for: covariance_type, n_components, loglik, n_parameters; bic, aic, icl
        (smaller is better); entropy (nats), converged, admissible, n_iter, n_starts, starts_at_best (share of the
        starts run to their end that reached the optimum kept), smallest_component (expected rows) and status, a
        sentence; with noise also noise_weight, its share of all rows, and noise_rows (expected). A model that is not
        admissible has its reason in the sentence, and one that could not be fitted no numbers.
    fits : dict
        Fitted GaussianMixture by (covariance_type, n_components); models that could not be fitted are absent.
    """

    table: pd.DataFrame
    fits: dict[tuple[str, int], GaussianMixture]

    def best(self, criterion: str = "bic") -> GaussianMixture:
        """Return the admissible fit with the smallest value of a criterion.

        Raises
        ------
        ValueError
            For an unknown criterion, or when no model gave an admissible fit.
        """
        if criterion not in CRITERIA:
            raise ValueError(f"`criterion` must be one of {', '.join(CRITERIA)}; received {criterion!r}.")
        candidates = self.table[self.table["admissible"]]
        if candidates.empty:
            raise ValueError("no model gave an admissible fit: use fewer components or a simpler `covariance_type`.")
        row = candidates.loc[candidates[criterion].idxmin()]
        return self.fits[row["covariance_type"], row["n_components"]]


def compare(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    *,
    covariance_type: str | Iterable[str] = "all",
    sample_weight: Any = None,
    errors: Any = None,
    known_labels: Any = None,
    n_init: int = 5,
    tol: float = 1e-8,
    reg_covar: float = 1e-8,
    max_iter: int = 1000,
    acceleration: str | None = "quasi-newton",
    prior: str | None = None,
    noise: Any = None,
    random_state: Any = None,
    on_fit: Callable[[int, int], None] | None = None,
    progressbar: bool = False,
) -> Comparison:
    """Fit mixtures over numbers of components and families; tabulate criteria.

    The first start of each model is the hierarchical one, made once for the whole grid; the others are made by k-means,
    once for all families of K components.

    Parameters
    ----------
    X : table
        (N, D).
    n_components : int or iterable of int
    covariance_type : str or iterable of str
        One family, several, or "all": the fourteen, or E and V where there is one feature.
    sample_weight : (N,) array, optional
        Non-negative row weights, as in `GaussianMixture.fit`.
    errors, known_labels : array, optional
        Variances of measurement errors, and known components, as there.
    n_init : int
        Starts for each model.
    tol, reg_covar, max_iter, acceleration, prior, noise
        As in `GaussianMixture`. With noise, starts are made from the rows that do not look like it, and the
        hierarchical one from all rows besides.
    random_state : int or None
        Seed of the starts by k-means.
    on_fit : callable (done, total), optional
        Told after each model.
    progressbar : bool
        Show the models done, the time taken and the time left, where standard error is a terminal.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError, ValueError
        Before any fit, when the data cannot be used or has fewer distinct rows than the largest number of components.
    """
    n_init = check_integer("n_init", n_init)
    observations = as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels)
    tasks = check_grid(observations, n_components, covariance_type, noise)
    most = max(task.n_components for task in tasks)
    shared = _SharedStarts(observations, n_init, random_state, tasks[0].background, most)
    settings: dict[str, Any] = {
        "tol": tol, "reg_covar": reg_covar, "max_iter": max_iter, "acceleration": acceleration, "prior": prior,
        "noise": noise, "n_init": n_init, "random_state": random_state,
    }  # fmt: skip
    rows, fits = [], {}
    with single_threaded_blas(), progress("models", len(tasks), show=progressbar) as advance:
        for done, task in enumerate(tasks, start=1):
            family, k = task.family.name, task.n_components
            mixture = GaussianMixture(k, covariance_type=family, **settings)
            end = _fitted(mixture, task, shared.of(task, reg_covar))
            if isinstance(end, GaussianMixture):
                fits[family, k] = end
            rows.append({"covariance_type": family, "n_components": k} | _row(end, observations))
            advance(1)
            if on_fit is not None:
                on_fit(done, len(tasks))
    columns = [
        *("covariance_type", "n_components", "loglik", "n_parameters", "bic", "aic", "icl", "entropy"),
        *("converged", "admissible", "n_iter", "n_starts", "starts_at_best", "smallest_component", "status"),
    ]
    if noise is not None:
        columns += ["noise_weight", "noise_rows"]
    return Comparison(pd.DataFrame(rows, columns=columns), fits)


def _fitted(
    mixture: GaussianMixture, task: Task, starts: Sequence[Callable[[], MixtureParameters]]
) -> GaussianMixture | CollapseError:
    """Fit from the starts; a model that could not be fitted is a result too."""
    try:
        return fit_quietly(mixture, task, starts)
    except CollapseError as error:
        return error


def _row(fit: GaussianMixture | CollapseError, observations: Observations) -> dict[str, Any]:
    """Return what the table says of one model."""
    if isinstance(fit, CollapseError):
        return {"converged": False, "admissible": False, "status": str(fit)}
    values = criteria(observations, fit.parameters_, fit.n_parameters_)
    smallest = float(np.exp(fit.parameters_.log_shares.min())) * observations.total_weight
    status = fit.status_.value
    if fit.status_ is Status.CONVERGED and not fit.admissible_:
        few = f"too few for {observations.n_features} features to be admissible"
        status += f" A component expects {smallest:.3g} rows: {few}."
    return {
        "loglik": values.log_likelihood,
        "n_parameters": fit.n_parameters_,
        "bic": values.bic,
        "aic": values.aic,
        "icl": values.icl,
        "entropy": values.entropy,
        "converged": fit.converged_,
        "admissible": fit.admissible_,
        "n_iter": fit.n_iter_,
        "n_starts": fit.n_starts_,
        "starts_at_best": fit.n_starts_at_best_ / fit.n_starts_ended_,
        "smallest_component": smallest,
        "status": status,
    } | _noise(fit, observations.total_weight)


def _noise(fit: GaussianMixture, total_weight: float) -> dict[str, float]:
    if fit.parameters_.noise is None:
        return {}
    return {"noise_weight": fit.noise_weight_, "noise_rows": fit.noise_weight_ * total_weight}


class _SharedStarts:
    """Starts of a whole grid: one agglomeration for all of it, and memberships by k-means once for each K."""

    def __init__(
        self,
        observations: Observations,
        n_init: int,
        random_state: Any,
        background: Background | None,
        most_components: int,
    ) -> None:
        self._incomplete, self._observations = observations, completed(observations)
        self._n_init = n_init
        words = check_random_state(random_state).randint(2**31 - 1, size=4).tolist()
        self._seeds = np.random.SeedSequence(words)
        self._background, self._share = background, FIRST_SHARE
        self._whole: HierarchicalStart | None = None
        if background is not None:
            rng = np.random.default_rng(np.random.SeedSequence(words, spawn_key=(0,)))
            cleaned = without_clutter(self._observations, most_components, rng)
            if cleaned is not None:
                self._whole = hierarchical_memberships(self._observations)
                self._observations, self._share = cleaned
        self._hierarchy: HierarchicalStart | None = None
        self._drawn: dict[int, list[DrawnStart]] = {}

    def of(self, task: Task, reg_covar: float) -> Sequence[Callable[[], MixtureParameters]]:
        """List the starts of one model."""
        observations, family, K, floor = self._observations, task.family, task.n_components, task.floor(reg_covar)
        if self._hierarchy is None:
            self._hierarchy = hierarchical_memberships(observations)
        if K not in self._drawn:
            seeds = np.random.SeedSequence(self._seeds.entropy, spawn_key=(K,)).spawn(self._n_init - 1 if K > 1 else 0)
            self._drawn[K] = [
                drawn_memberships(observations, "kmeans", K, np.random.default_rng(seed)) for seed in seeds
            ]
        drawn = [partial(start.parameters, family, floor) for start in self._drawn[K]]
        if self._hierarchy.hierarchy.n_distinct < K:
            # a sample of so many rows that few of them differ: k-means looks at more
            starts = drawn or [partial(from_method, observations, "kmeans", K, family, floor, np.random.default_rng(K))]
        else:
            starts = [partial(self._hierarchy.parameters, K, family, floor), *drawn]
        if self._whole is not None and self._whole.hierarchy.n_distinct >= K:
            starts.append(partial(self._whole.parameters, K, family, floor))
        if self._background is not None:
            noise = Noise(np.asarray(self._share), self._background)
            starts = [partial(_with_noise, start, noise) for start in starts]
        return [keep_known(start, self._incomplete, family, floor) for start in starts]


def _with_noise(start: Callable[[], MixtureParameters], noise: Noise) -> MixtureParameters:
    return replace(start(), noise=noise)
