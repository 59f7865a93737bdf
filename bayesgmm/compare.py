"""Which K: mixtures by maximum likelihood over a range of components, side by side."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from bayesgmm.covariance import FAMILIES, covariance_family
from bayesgmm.criteria import criteria
from bayesgmm.em import CollapseError
from bayesgmm.estimator import CollapseWarning, GaussianMixture
from bayesgmm.observations import as_observations, check_components

CRITERIA = ("bic", "aic", "icl")


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Fits over a grid of models, and their criteria.

    Attributes
    ----------
    table : DataFrame
        A row for each model, in the order asked for: covariance_type, n_components, loglik, n_parameters; bic, aic, icl
        (smaller is better); entropy (nats), converged, admissible, n_iter, smallest_component (expected rows) and
        status, a sentence.
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
    n_init: int = 10,
    random_state: Any = None,
    on_fit: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Fit mixtures over numbers of components and families; tabulate criteria.

    Parameters
    ----------
    X : table
        (N, D).
    n_components : int or iterable of int
    covariance_type : str or iterable of str
        One family, several, or "all".
    n_init : int
        Starts for each model.
    random_state : int or None
        The same seed for each model.
    on_fit : callable (done, total), optional
        Told after each model.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError, ValueError
        Before any fit, when the data cannot be used or has fewer distinct rows than the largest number of components.
    """
    types = list(FAMILIES) if covariance_type == "all" else covariance_type
    types = [covariance_family(t).name for t in ([types] if isinstance(types, str) else types)]
    counts = list(n_components) if isinstance(n_components, Iterable) else [n_components]
    grid = [(t, k) for t in types for k in counts]
    if not grid:
        raise ValueError("nothing to compare: `n_components` or `covariance_type` is empty.")
    for k in counts:
        if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
            raise ValueError(f"`n_components` must be integers of at least 1; received {k!r}.")
    observations = as_observations(X)
    check_components(observations, max(counts))
    rows, fits = [], {}
    for done, (kind, k) in enumerate(grid, start=1):
        mixture = GaussianMixture(k, covariance_type=kind, n_init=n_init, random_state=random_state)
        row: dict[str, Any] = {"covariance_type": kind, "n_components": k}
        try:
            with warnings.catch_warnings():
                # the table says so for each model
                warnings.simplefilter("ignore", CollapseWarning)
                warnings.simplefilter("ignore", ConvergenceWarning)
                mixture.fit(observations)
        except CollapseError as error:
            row |= {"converged": False, "admissible": False, "status": str(error)}
        else:
            fits[kind, k] = mixture
            found = criteria(observations, mixture.parameters_, mixture.n_parameters_)
            row |= {
                "loglik": found.log_likelihood,
                "n_parameters": mixture.n_parameters_,
                "bic": found.bic,
                "aic": found.aic,
                "icl": found.icl,
                "entropy": found.entropy,
                "converged": mixture.converged_,
                "admissible": mixture.admissible_,
                "n_iter": mixture.n_iter_,
                "smallest_component": float(mixture.weights_.min()) * observations.total_weight,
                "status": mixture.status_.value,
            }
        rows.append(row)
        if on_fit is not None:
            on_fit(done, len(grid))
    columns = [
        *("covariance_type", "n_components", "loglik", "n_parameters", "bic", "aic", "icl", "entropy"),
        *("converged", "admissible", "n_iter", "smallest_component", "status"),
    ]
    return Comparison(pd.DataFrame(rows, columns=columns), fits)
