"""Held-out log density over K and family: each row judged by a mixture that has not seen it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import admissible_fit
from bayesgmm.em.task import check_components, check_grid
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.tools.integers import check_integer
from bayesgmm.tools.progress import progress
from bayesgmm.tools.threads import single_threaded_blas


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """Held-out log densities over a grid of models.

    Attributes
    ----------
    table : DataFrame
        A row for each model: covariance_type, n_components; ``elpd``, the sum of the log densities of all rows by their
        weights, each under the fit to the other folds (greater is better), with its ``standard_error``; ``difference``
        from the best model, with the standard error of that difference, row by row (``difference_error``); ``failed``
        folds.
    pointwise : (M, N) float64
        Log density of each row under each model, in the order of the table: of what is seen of the row, and of its
        component too where that is known.
    """

    table: pd.DataFrame
    pointwise: np.ndarray

    def best(self) -> tuple[str, int]:
        """Return (covariance_type, n_components) with the greatest held-out log density."""
        row = self.table.loc[self.table["elpd"].idxmax()]
        return str(row["covariance_type"]), int(row["n_components"])


def cross_validate(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    *,
    covariance_type: str | Iterable[str] = "full",
    sample_weight: Any = None,
    errors: Any = None,
    known_labels: Any = None,
    n_folds: int = 10,
    n_init: int = 5,
    noise: Any = None,
    random_state: int | None = None,
    progressbar: bool = False,
) -> CrossValidation:
    """Cross-validate EM fits over numbers of components and families.

    Rows are shuffled into folds once for all models, so that differences are row by row. What it estimates is the
    expected log density of new rows under a fit to as many rows as a fold leaves (Smyth 2000).

    Parameters
    ----------
    X : table
        (N, D).
    n_components : int or iterable of int
    covariance_type : str or iterable of str
        One family, several, or "all".
    sample_weight, errors, known_labels : array, optional
        As in `GaussianMixture.fit`. A row of weight w, which is all in one fold, counts as w equal rows.
    n_folds : int
        At least 2, and at most N (leave-one-out).
    n_init : int
        Starts of each fit.
    noise : optional
        As in `GaussianMixture`. A background of the data is that of all rows, for every fold: it says where rows can
        be, which is taken as known.
    random_state : int, optional
        Seed of the folds and of the starts.
    progressbar : bool

    Returns
    -------
    CrossValidation

    Raises
    ------
    DataError, ValueError
        Before any fit, when the data or an argument cannot be used.

    Notes
    -----
    Standard errors are those of a sum over rows taken as independent; folds share most of their rows, which makes them
    somewhat too small (Bengio & Grandvalet 2004). A fold on which a model has no admissible fit is counted in
    ``failed``, and its rows make the model's ``elpd`` NaN.

    References
    ----------
    Smyth (2000), Statistics and Computing 10, 63-72. Bengio & Grandvalet (2004), J. Mach. Learn. Res. 5, 1089-1105.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> bg.cross_validate(X, [1, 2], random_state=0).best()
    ('full', 2)
    """
    observations = as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels)
    tasks = check_grid(observations, n_components, covariance_type, noise)
    N = observations.n_rows
    n_folds = check_integer("n_folds", n_folds, 2, N, "the number of rows")
    rng = np.random.default_rng(random_state)
    fold = _folds(observations, n_folds, rng)
    kept = [_anew(observations.take(np.flatnonzero(fold != f))) for f in range(n_folds)]
    for some in kept:
        check_components(some, max(task.n_components for task in tasks))
    pointwise = np.full((len(tasks), N), np.nan)
    failed = np.zeros(len(tasks), dtype=int)
    seed = int(rng.integers(2**31))
    with single_threaded_blas(), progress("fits", len(tasks) * n_folds, show=progressbar) as done:
        for m, task in enumerate(tasks):
            for f, training in enumerate(kept):
                held_out = np.flatnonzero(fold == f)
                mixture = GaussianMixture(
                    task.n_components,
                    covariance_type=task.family.name,
                    n_init=n_init,
                    random_state=seed,
                    noise=task.background,
                )
                fitted = admissible_fit(mixture, training)
                if fitted is None:
                    failed[m] += 1
                else:
                    pointwise[m, held_out] = map_rows(normalise, observations.take(held_out), fitted.parameters_)
                done(1)
    weights = observations.counts
    elpd = pointwise @ weights
    if np.isnan(elpd).all():
        raise ValueError("no model has an admissible fit in every fold: use fewer components or fewer folds.")
    from_best = pointwise - pointwise[np.nanargmax(elpd)]
    table = pd.DataFrame(
        {
            "covariance_type": [task.family.name for task in tasks],
            "n_components": [task.n_components for task in tasks],
            "elpd": elpd,
            "standard_error": _error_of_sum(pointwise, weights),
            "difference": from_best @ weights,
            "difference_error": _error_of_sum(from_best, weights),
            "failed": failed,
        }
    )
    return CrossValidation(table, pointwise)


def _folds(observations: Observations, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each row, (N,); rows of each known component are spread over the folds."""
    turns = np.arange(observations.n_rows) % n_folds
    labels = observations.known_labels
    if labels is None:
        return rng.permutation(turns)
    counts = np.bincount(labels[labels >= 0])
    if (counts == 1).any():
        component = int(np.argmax(counts == 1))
        name = component if observations.label_names is None else observations.label_names[component]
        raise ValueError(
            f"component {name!r} is known of one row only, and the fit without that row would not know it: give "
            "another label, or none."
        )
    shuffled = rng.permutation(observations.n_rows)
    fold = np.empty_like(turns)
    fold[shuffled[labels[shuffled].argsort(kind="stable")]] = turns
    return fold


def _anew(training: Observations) -> Observations:
    """Rows with a shift and scale of their own: those of all rows would know the held-out ones."""
    rows = as_observations(training.values, weights=training.weights, errors=training.errors)
    return replace(rows, known_labels=training.known_labels, label_names=training.label_names)


def _error_of_sum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give the standard errors (M,) of the sums of w_n values_mn, each row standing for w_n."""
    total = weights.sum()
    mean = values @ weights / total
    return np.sqrt(total / (total - 1.0) * ((values - mean[:, None]) ** 2 @ weights))
