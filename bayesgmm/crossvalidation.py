"""Held-out log density over K and family: each row judged by a mixture that has not seen it."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from bayesgmm.background import background_of
from bayesgmm.compare import check_grid
from bayesgmm.em import CollapseError
from bayesgmm.estimator import CollapseWarning, GaussianMixture
from bayesgmm.observations import as_observations, check_components
from bayesgmm.progress import progress
from bayesgmm.threads import single_threaded_blas


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """Held-out log densities over a grid of models.

    Attributes
    ----------
    table : DataFrame
        A row for each model: covariance_type, n_components; ``elpd``, the sum of the log densities of all rows, each
        under the fit to the other folds (greater is better), with its ``standard_error``; ``difference`` from the best
        model, with the standard error of that difference, row by row (``difference_error``); ``failed`` folds.
    pointwise : (M, N) float64
        Log density of each row under each model, in the order of the table.
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
    observations = as_observations(X)
    background = background_of(noise, observations)
    families, counts = check_grid(observations, n_components, covariance_type)
    N = observations.n_rows
    if isinstance(n_folds, bool) or not isinstance(n_folds, int | np.integer) or not 2 <= n_folds <= N:
        raise ValueError(f"`n_folds` must be an integer from 2 to the number of rows, {N}; received {n_folds!r}.")
    rng = np.random.default_rng(random_state)
    fold = rng.permutation(np.arange(N) % n_folds)
    kept = [observations.take(np.flatnonzero(fold != f)) for f in range(n_folds)]
    for some in kept:
        check_components(some, max(counts))
    grid = [(family, k) for family in families for k in counts]
    pointwise = np.full((len(grid), N), np.nan)
    failed = np.zeros(len(grid), dtype=int)
    seed = int(rng.integers(2**31))
    with single_threaded_blas(), progress("fits", len(grid) * n_folds, show=progressbar) as done:
        for m, (family, k) in enumerate(grid):
            for f, training in enumerate(kept):
                held_out = np.flatnonzero(fold == f)
                mixture = GaussianMixture(
                    k, covariance_type=family.name, n_init=n_init, random_state=seed, noise=background
                )
                # shift and scale anew: those of all rows would know the held-out ones
                fitted = _fitted(mixture, as_observations(training.values))
                if fitted is None:
                    failed[m] += 1
                else:
                    pointwise[m, held_out] = fitted.score_samples(observations.values[held_out])
                done(1)
    elpd = pointwise.sum(axis=1)
    if np.isnan(elpd).all():
        raise ValueError("no model has an admissible fit in every fold: use fewer components or fewer folds.")
    from_best = pointwise - pointwise[np.nanargmax(elpd)]
    table = pd.DataFrame(
        {
            "covariance_type": [family.name for family, _ in grid],
            "n_components": [k for _, k in grid],
            "elpd": elpd,
            "standard_error": np.sqrt(N) * pointwise.std(axis=1, ddof=1),
            "difference": from_best.sum(axis=1),
            "difference_error": np.sqrt(N) * from_best.std(axis=1, ddof=1),
            "failed": failed,
        }
    )
    return CrossValidation(table, pointwise)


def _fitted(mixture: GaussianMixture, X: Any) -> GaussianMixture | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(X)
    except CollapseError:
        return None
    return mixture if mixture.admissible_ else None
