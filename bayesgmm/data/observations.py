"""The data of a mixture: values, names, and the one shift and scale chosen once.

May import NumPy, pandas and the modules below it only.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.data.checks import (
    check_errors,
    check_labels,
    check_not_constant,
    check_shape,
    check_weights,
    column_moments,
    find_missing,
    name_rows,
    row_slices,
)
from bayesgmm.data.tables import DataError, default_names, read_table
from bayesgmm.mixture.parameters import MixtureParameters

MOST_BLOCK_ROWS = 8192
"""Fewer rows make NumPy calls so short that threads wait for each other; more leave the cache (4096 to 32768 tried)."""

MOST_VARIANCE = 1e200
"""Columns with more variance than this, or less than its inverse, overflow when squared or inverted."""

LEAST_SHARE_OF_VARIANCE = 0.1
"""Smallest eigenvalue of a correlation matrix that missing values or errors have spoilt, after its repair."""

MOST_SPREADS = 1e75
"""Rows further from a mixture than this many of its spreads overflow when squared and divided by a small variance."""


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Rows to be modelled, with everything that is known about them.

    Computations run in the *standard coordinates* y = (x - shift) / scale. One shift vector and one common scalar are
    chosen because every covariance family is equivariant under those, and under nothing more (``docs/design/em.md``).

    Attributes
    ----------
    values : (N, D) real array
        Rows in the units of the data, as given: no copy is made, and rows are converted to float64 block by block.
    shift : (D,) float64
        Column means, in the units of the data.
    scale : float
        Root of the mean column variance, in the units of the data.
    variances : (D,) float64
        Column variances (maximum likelihood, divisor N), in squared units.
    feature_names, units : tuple of D str
        Names of the columns; ``""`` for an unknown unit.
    named : bool
        Whether the names are the table's own; otherwise they are x0, x1, ...
    row_labels : pandas.Index, (N,)
        Label of each row; an index, because a range of a million numbers takes no memory as one.
    weights : (N,) float64, non-negative, or None
        Row weights; None is one for each row.
    missing : (N, D) bool or None
        Which values are missing; they are NaN in `values`. No row is wholly missing.
    errors : (N, D) or (N, D, D) float64, or None
        Variances or covariances of the measurement errors, in squared units; zero where a value is exact.
    known_labels : (N,) int64 or None
        Component of each row whose component is known, -1 for the others.
    label_names : tuple of str or None
        Names of the known components 0, 1, ..., where they have names.
    """

    values: np.ndarray
    shift: np.ndarray
    scale: float
    variances: np.ndarray
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    named: bool
    row_labels: pd.Index
    weights: np.ndarray | None = None
    missing: np.ndarray | None = None
    errors: np.ndarray | None = None
    known_labels: np.ndarray | None = None
    label_names: tuple[str, ...] | None = None
    _remembered: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def remember[Made](self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what is known of these rows under a key: made once, and kept as long as they are."""
        if key not in self._remembered:
            self._remembered[key] = make()
        made: Made = self._remembered[key]
        return made

    @property
    def incomplete(self) -> bool:
        """Whether some rows hide more of the complete data than their component, or less."""
        return not (self.missing is None and self.errors is None and self.known_labels is None)

    @property
    def n_rows(self) -> int:
        """Number of rows N."""
        return self.values.shape[0]

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return self.values.shape[1]

    @property
    def counts(self) -> np.ndarray:
        """How many rows each row stands for, (N,) float64: its weight, or one."""
        return np.ones(self.n_rows) if self.weights is None else self.weights

    @property
    def has_whole_weights(self) -> bool:
        """Whether each row stands for a whole number of rows: weights are counts, or there are none."""
        return self.weights is None or bool((self.weights == np.round(self.weights)).all())

    @property
    def total_weight(self) -> float:
        """Sum of the row weights; N when there are none."""
        return float(self.n_rows) if self.weights is None else float(self.weights.sum())

    @property
    def log_jacobian(self) -> float:
        """D log(scale): what a log density loses per row on the way from standard to data coordinates."""
        return self.n_features * float(np.log(self.scale))

    def standard_block(self, rows: slice, out: np.ndarray) -> np.ndarray:
        """Write y = (x - shift) / scale of some rows into `out`, transposed.

        Parameters
        ----------
        rows : slice
            Which rows; B of them.
        out : (D, B) float64
            Written to; each feature is one contiguous row.
        """
        np.subtract(self.values[rows].T, self.shift[:, None], out=out)
        out *= 1.0 / self.scale
        return out

    def block_weights(self, rows: slice | np.ndarray) -> np.ndarray | None:
        """Weights of some rows, (B,), or None where every row counts once."""
        return None if self.weights is None else self.weights[rows]

    def to_standard(self, parameters: MixtureParameters) -> MixtureParameters:
        """Parameters of y = (x - shift) / scale, from those of x."""
        return parameters.affine(self.shift, self.scale)

    def from_standard(self, parameters: MixtureParameters) -> MixtureParameters:
        """Parameters of x, from those of y = (x - shift) / scale."""
        return parameters.affine(-self.shift / self.scale, 1.0 / self.scale)

    def name_rows(self, chosen: np.ndarray) -> str:
        """Name the rows of a mask (N,), the first few of them, for a message."""
        return name_rows(self.row_labels, chosen)

    def take(self, index: np.ndarray) -> "Observations":
        """Return some of the rows, seen from the same shift and scale."""

        def some(part: np.ndarray | None) -> np.ndarray | None:
            return None if part is None else part[index]

        return replace(
            self,
            values=self.values[index],
            row_labels=self.row_labels[index],
            weights=some(self.weights),
            missing=some(self.missing),
            errors=some(self.errors),
            known_labels=some(self.known_labels),
        )

    def unweighted(self) -> "Observations":
        """Return the same rows, each counting once."""
        return replace(self, weights=None)

    def covariance(self) -> np.ndarray:
        """Weighted covariance of the rows (divisor N), (D, D), in squared units.

        Where values are missing: of the pairs there are, about the column means. Measurement errors are taken off. What
        that leaves is made positive definite, no correlation matrix of it with an eigenvalue below a tenth.
        """
        D = self.n_features
        total, pairs = np.zeros((D, D)), np.zeros((D, D))
        for rows in row_slices(self.n_rows):
            centred = self.values[rows] - self.shift
            weights = self.block_weights(rows)
            if self.missing is not None:
                seen = (~self.missing[rows]).astype(np.float64)
                centred = np.where(self.missing[rows], 0.0, centred)
                pairs += seen.T @ (seen if weights is None else seen * weights[:, None])
            total += centred.T @ (centred if weights is None else centred * weights[:, None])
        if self.missing is None and self.errors is None:
            return total / self.total_weight
        sd = np.sqrt(self.variances)
        covariance = total / (self.total_weight if self.missing is None else np.maximum(pairs, 1.0))
        if self.errors is not None:
            mean_error = np.average(self.errors, axis=0, weights=self.weights)
            covariance = covariance - (np.diag(mean_error) if mean_error.ndim == 1 else mean_error)
        values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
        repaired = (vectors * np.maximum(values, LEAST_SHARE_OF_VARIANCE)) @ vectors.T
        return 0.5 * (repaired + repaired.T) * np.outer(sd, sd)


def as_observations(X: Any, *, weights: Any = None, errors: Any = None, known_labels: Any = None) -> Observations:
    """Read a table of any kind, check it, and choose its shift and scale.

    Parameters
    ----------
    X : array, DataFrame (pandas or polars), Series, DataArray, Dataset or Observations
        (N, D) real numbers; NaN, None, a missing value of pandas or polars or a masked one stands for a value that is
        not known. A 1-D Series or DataArray is one feature.
    weights : (N,) array, optional
        Non-negative row weights; an integer weight counts as that many equal rows.
    errors : (D,), (N, D) or (N, D, D) array, optional
        Variances of the measurement errors, in squared units: of each feature, or of each value; or a covariance for
        each row. The mixture is then that of the underlying, exact values.
    known_labels : (N,) array, optional
        Component of the rows whose component is known: whole numbers from 0, with -1 or NaN for the others; or names,
        with "", None or NaN for the others. Components follow the names' alphabetical order.

    Raises
    ------
    DataError
        Naming the column or the row that cannot be used.
    """
    if isinstance(X, Observations):
        for name, part in (("row weights", weights), ("errors", errors), ("known labels", known_labels)):
            if part is not None:
                raise DataError(f"{name} were given with observations, which carry their own: give them once.")
        return X
    values, names, named, units, row_labels = read_table(X)
    check_shape(values)
    missing = find_missing(values, names, row_labels)
    row_weights = None if weights is None else check_weights(weights, row_labels)
    check_not_constant(values, names, row_weights)
    shift, variances = column_moments(values, row_weights, missing)
    for name, variance in zip(names, variances, strict=True):
        if not 1 / MOST_VARIANCE < variance < MOST_VARIANCE:
            raise DataError(
                f"column {name!r} has variance {variance:g}, which double precision cannot work with: "
                "rescale the column (change its unit)."
            )
    scale = float(np.sqrt(variances.mean()))
    row_errors = None if errors is None else check_errors(errors, values, missing, names, row_labels)
    known, label_names = (None, None) if known_labels is None else check_labels(known_labels, len(values), row_labels)
    return Observations(
        values,
        shift,
        scale,
        variances,
        names,
        units,
        named,
        row_labels,
        row_weights,
        missing,
        row_errors,
        known,
        label_names,
    )


def as_new_observations(
    X: Any, parameters: MixtureParameters, feature_names: tuple[str, ...], *, weights: Any = None, errors: Any = None
) -> Observations:
    """Read rows to be seen by a mixture that exists: they may be few, or constant.

    Shift and scale are the mean and the root mean variance of the mixture itself (averaged over its batch), so that
    nothing of the fitted data need be kept.

    Parameters
    ----------
    X : table
        (N, D), with the features of the mixture in their order; NaN where a value is missing.
    parameters : MixtureParameters
        In the units of the data; leading batch dimensions are allowed.
    feature_names : tuple of D str
        Features the mixture was fitted to; checked where X has names.
    weights, errors : optional
        As for `as_observations`.

    Raises
    ------
    DataError
        When the features differ, a value is infinite, or a row has no value at all.
    """
    if isinstance(X, Observations):
        _check_features(X.feature_names, feature_names, named=X.named)
        return X
    values, names, named, units, row_labels = read_table(X)
    _check_features(names, feature_names, named=named)
    check_shape(values)
    missing = find_missing(values, names, row_labels, whole_columns=True)
    row_weights = None if weights is None else check_weights(weights, row_labels)
    row_errors = None if errors is None else check_errors(errors, values, missing, names, row_labels)
    flat = parameters.flat()
    centre = np.einsum("sk,skd->sd", flat.weights, flat.means)
    variances = np.einsum("sk,skdd->sd", flat.weights, flat.covariances)
    variances = (variances + np.einsum("sk,skd->sd", flat.weights, (flat.means - centre[:, None]) ** 2)).mean(axis=0)
    scale = float(np.sqrt(variances.mean()))
    shift = centre.mean(axis=0)
    _check_within_reach(values, shift, scale, names, row_labels)
    return Observations(
        values, shift, scale, variances, feature_names, units, named, row_labels, row_weights, missing, row_errors
    )


def _check_within_reach(
    values: np.ndarray, shift: np.ndarray, scale: float, names: tuple[str, ...], row_labels: pd.Index
) -> None:
    """Refuse rows so far away that squared distances overflow."""
    with np.errstate(over="ignore"):
        furthest = np.fmax(np.fmax.reduce(values) - shift, shift - np.fmin.reduce(values)) / scale
    if (furthest > MOST_SPREADS).any():
        j = int(np.nanargmax(furthest))
        n = int(np.nanargmax(np.abs(values[:, j] - shift[j])))
        raise DataError(
            f"column {names[j]!r}, row {row_labels[n]}: {values[n, j]:g} is {furthest[j]:.0e} spreads away, "
            "and double precision has no density there: check the value."
        )


def _check_features(names: tuple[str, ...], expected: tuple[str, ...], *, named: bool) -> None:
    if len(names) != len(expected):
        raise DataError(
            f"X has {len(names)} features, but GaussianMixture is expecting {len(expected)} features as input "
            f"({', '.join(expected)})."
        )
    unnamed = expected == default_names(len(expected))
    if named and names != expected and (not unnamed or set(names) == set(expected)):
        raise DataError(
            f"the columns are {list(names)}, but the mixture was fitted to {list(expected)}: "
            "pass the same columns in the same order."
        )


def known_components(observations: Observations) -> tuple[int, ...]:
    """Components that some row which counts is known to be of: they cannot exchange their labels."""
    labels = observations.known_labels
    if labels is None:
        return ()
    counted = labels if observations.weights is None else labels[observations.weights > 0]
    return tuple(int(k) for k in np.unique(counted) if k >= 0)
