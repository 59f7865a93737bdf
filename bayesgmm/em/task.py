"""What is to be fitted: rows, and the kind of mixture, checked against each other once and passed on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesgmm.data.background import background_of
from bayesgmm.data.checks import UNKNOWN, row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.data.tables import DataError
from bayesgmm.em.families import CovarianceFamily, check_dimension, covariance_family, families_for
from bayesgmm.mixture.noise import Background
from bayesgmm.tools.integers import check_integer


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Rows, and a kind of mixture that they can be fitted by.

    Attributes
    ----------
    observations : Observations
    n_components : int
        K; the rows have as many distinct ones, and no known component is beyond it.
    family : CovarianceFamily
        One for as many features as the rows have.
    background : Background or None
        Where noise is, in a mixture that has any.
    """

    observations: Observations
    n_components: int
    family: CovarianceFamily
    background: Background | None = None

    def floor(self, reg_covar: float) -> np.ndarray:
        """Smallest variances allowed, (D,), in standard coordinates: `reg_covar` times the data's own."""
        observations = self.observations
        return reg_covar * self.family.floor_variances(observations.variances) / observations.scale**2


def check_task(observations: Observations, n_components: int, covariance_type: str, noise: Any = None) -> Task:
    """Check rows and a kind of mixture against each other.

    Parameters
    ----------
    observations : Observations
    n_components : int
    covariance_type : str
    noise : optional
        As in `GaussianMixture`.

    Raises
    ------
    DataError, ValueError
        When the rows are too few, a known component or the family does not fit, or `noise` is no background of them.
    """
    return check_grid(observations, [n_components], [covariance_type], noise)[0]


def check_grid(
    observations: Observations,
    n_components: int | Iterable[int],
    covariance_type: str | Iterable[str],
    noise: Any = None,
) -> list[Task]:
    """Check rows against every mixture of a grid; one family after the other, each with all numbers of components.

    Parameters
    ----------
    observations : Observations
    n_components : int or iterable of int
    covariance_type : str or iterable of str
        "all" are the families for as many features as the rows have.
    noise : optional
        As in `GaussianMixture`.

    Raises
    ------
    DataError, ValueError
        As in `check_task`; also when there is nothing to cross.
    """
    counts = list(n_components) if isinstance(n_components, Iterable) else [n_components]
    counts = [check_integer("n_components", k) for k in counts]
    if covariance_type == "all":
        families = list(families_for(observations.n_features))
    else:
        names = [covariance_type] if isinstance(covariance_type, str) else covariance_type
        families = [covariance_family(name) for name in names]
    if not families or not counts:
        raise ValueError("nothing to compare: `n_components` or `covariance_type` is empty.")
    check_components(observations, max(counts))
    for k in counts:
        check_known_labels(observations, k)
    for family in families:
        check_dimension(family, observations.n_features)
    background = background_of(noise, observations)
    return [Task(observations, k, family, background) for family in families for k in counts]


def check_components(observations: Observations, n_components: int) -> None:
    """Refuse more components than there are distinct rows.

    Raises
    ------
    DataError
        With the number of distinct rows.
    """
    present = None if observations.weights is None else observations.weights > 0
    n_rows = observations.n_rows if present is None else int(present.sum())
    if n_rows < n_components:
        raise DataError(
            f"n_components={n_components} needs at least {n_components} rows; "
            f"received n_samples = {n_rows}: lower `n_components` or add rows."
        )
    distinct: set[bytes] = set()
    for rows in row_slices(observations.n_rows, 256):
        # +0.0 makes -0.0 and 0.0 the same bytes
        block = observations.values[rows] if present is None else observations.values[rows][present[rows]]
        distinct.update(row.tobytes() for row in np.ascontiguousarray(block + 0.0))
        if len(distinct) >= n_components:
            return
    raise DataError(
        f"n_components={n_components}, but the data has only {len(distinct)} distinct rows: "
        f"use n_components <= {len(distinct)}."
    )


def check_known_labels(observations: Observations, n_components: int) -> None:
    """Refuse known components that a mixture of K does not have.

    Raises
    ------
    DataError
        Naming the row and its label, or when every row is known to be of one component and K is more.
    """
    labels = observations.known_labels
    if labels is None:
        return
    if labels.max() >= n_components:
        n = int(np.argmax(labels >= n_components))
        named = observations.label_names
        what = f"{named[labels[n]]!r}, one of {len(named)} labels" if named else f"{labels[n]}"
        raise DataError(
            f"row {observations.row_labels[n]} is known to be of component {what}, but n_components={n_components} "
            f"has components 0 to {n_components - 1}: raise `n_components`."
        )
    if (labels != UNKNOWN).all() and len(np.unique(labels)) < n_components:
        empty = sorted(set(range(n_components)) - set(labels.tolist()))
        raise DataError(
            f"every row has a known component and none is of component{'s' if len(empty) > 1 else ''} "
            f"{', '.join(map(str, empty))}: lower `n_components`, or leave some labels unknown."
        )
