"""The data of a mixture: values, names, and the one shift and scale chosen once.

May import NumPy, pandas and the modules below it only.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.parameters import MixtureParameters
from bayesgmm.tables import DataError, default_names, read_table

BLOCK_ROWS = 8192

MOST_VARIANCE = 1e200
"""Columns with more variance than this, or less than its inverse, overflow when squared or inverted."""


MOST_ROWS_NAMED = 6

MOST_SPREADS = 1e75
"""Rows further from a mixture than this many of its spreads overflow when squared and divided by a small variance."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Observations:
    """Rows to be modelled, with everything that is known about them.

    Computations run in the *standard coordinates* y = (x - shift) / scale. One shift vector and one common scalar are
    chosen because every covariance family is equivariant under those, and under nothing more (``docs/design.md``).

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
    missing, errors, known_labels : None
        Places of what else can hide a part of the complete data: missing patterns, measurement-error covariances and
        known components. This version fits complete, exact, unlabelled rows; `as_observations` refuses anything else.
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
    missing: None = None
    errors: None = None
    known_labels: None = None

    @property
    def n_rows(self) -> int:
        """Number of rows N."""
        return self.values.shape[0]

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return self.values.shape[1]

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

    def block_weights(self, rows: slice) -> np.ndarray | None:
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
        labels = [str(label) for label in self.row_labels[chosen][:MOST_ROWS_NAMED]]
        more = int(chosen.sum()) - len(labels)
        return f"rows {', '.join(labels)}" + (f" and {more} more" if more > 0 else "")

    def take(self, index: np.ndarray) -> "Observations":
        """Return some of the rows, seen from the same shift and scale."""
        weights = None if self.weights is None else self.weights[index]
        return replace(self, values=self.values[index], row_labels=self.row_labels[index], weights=weights)

    def unweighted(self) -> "Observations":
        """Return the same rows, each counting once."""
        return replace(self, weights=None)

    def covariance(self) -> np.ndarray:
        """Weighted covariance of the rows (divisor N), (D, D), in squared units."""
        total = np.zeros((self.n_features, self.n_features))
        for rows in row_slices(self.n_rows):
            centred = self.values[rows] - self.shift
            weights = self.block_weights(rows)
            total += centred.T @ (centred if weights is None else centred * weights[:, None])
        return total / self.total_weight


def row_slices(n_rows: int, block_rows: int = BLOCK_ROWS) -> list[slice]:
    """Consecutive slices of at most `block_rows` that cover `n_rows` rows."""
    return [slice(start, min(start + block_rows, n_rows)) for start in range(0, n_rows, block_rows)]


def as_observations(
    X: Any,
    *,
    weights: Any = None,
    missing: None = None,
    errors: None = None,
    known_labels: None = None,
) -> Observations:
    """Read a table of any kind, check it, and choose its shift and scale.

    Parameters
    ----------
    X : array, DataFrame (pandas or polars), Series, DataArray or Observations
        (N, D) complete, finite, real numbers. A 1-D Series or DataArray is one feature.
    weights : (N,) array, optional
        Non-negative row weights; an integer weight counts as that many equal rows.
    missing, errors, known_labels : None
        Reserved: this version takes complete, exact and unlabelled rows only.

    Raises
    ------
    DataError
        Naming the column or the row that cannot be used.
    """
    for name, given in (("missing", missing), ("errors", errors), ("known_labels", known_labels)):
        if given is not None:
            raise DataError(f"`{name}` was given; mixtures here take complete, exact, unlabelled rows: leave it out.")
    if isinstance(X, Observations):
        if weights is not None:
            raise DataError("row weights were given with observations, which carry their own: give them once.")
        return X
    values, names, named, units, row_labels = read_table(X)
    _check_shape(values)
    _check_finite(values, names, row_labels)
    row_weights = None if weights is None else _check_weights(weights, len(values))
    _check_not_constant(values, names, row_weights)
    shift, variances = _moments(values, row_weights)
    for name, variance in zip(names, variances, strict=True):
        if not 1 / MOST_VARIANCE < variance < MOST_VARIANCE:
            raise DataError(
                f"column {name!r} has variance {variance:g}, which double precision cannot work with: "
                "rescale the column (change its unit)."
            )
    scale = float(np.sqrt(variances.mean()))
    return Observations(values, shift, scale, variances, names, units, named, row_labels, row_weights)


def as_new_observations(
    X: Any, parameters: MixtureParameters, feature_names: tuple[str, ...], *, weights: Any = None
) -> Observations:
    """Read rows to be seen by a mixture that exists: they may be few, or constant.

    Shift and scale are the mean and the root mean variance of the mixture itself (averaged over its batch), so that
    nothing of the fitted data need be kept.

    Parameters
    ----------
    X : table
        (N, D), with the features of the mixture in their order.
    parameters : MixtureParameters
        In the units of the data; leading batch dimensions are allowed.
    feature_names : tuple of D str
        Features the mixture was fitted to; checked where X has names.

    Raises
    ------
    DataError
        When the features differ, or a value is missing or infinite.
    """
    if isinstance(X, Observations):
        _check_features(X.feature_names, feature_names, named=X.named)
        return X
    values, names, named, units, row_labels = read_table(X)
    _check_features(names, feature_names, named=named)
    _check_shape(values)
    _check_finite(values, names, row_labels)
    row_weights = None if weights is None else _check_weights(weights, len(values))
    flat = parameters.flat()
    centre = np.einsum("sk,skd->sd", flat.weights, flat.means)
    variances = np.einsum("sk,skdd->sd", flat.weights, flat.covariances)
    variances = (variances + np.einsum("sk,skd->sd", flat.weights, (flat.means - centre[:, None]) ** 2)).mean(axis=0)
    scale = float(np.sqrt(variances.mean()))
    shift = centre.mean(axis=0)
    _check_within_reach(values, shift, scale, names, row_labels)
    return Observations(values, shift, scale, variances, feature_names, units, named, row_labels, row_weights)


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


def _check_shape(values: np.ndarray) -> None:
    N, D = values.shape
    if D == 0:
        raise DataError(f"0 feature(s) (shape={values.shape}) while a minimum of 1 is required: pass a numeric column.")
    if N == 0:
        raise DataError(f"0 sample(s) (shape={values.shape}) while a minimum of 1 is required: the table has no rows.")


def _check_finite(values: np.ndarray, names: tuple[str, ...], row_labels: pd.Index) -> None:
    if values.dtype.kind != "f":
        return
    for rows in row_slices(len(values)):
        bad = ~np.isfinite(values[rows])
        if bad.any():
            n, j = (int(i) for i in np.argwhere(bad)[0])
            found = "NaN" if np.isnan(values[rows][n, j]) else "infinity"
            total = sum(int((~np.isfinite(values[r, j])).sum()) for r in row_slices(len(values)))
            raise DataError(
                f"Input X contains {found}: column {names[j]!r}, row {row_labels[rows.start + n]} "
                f"({total} such value{'s' if total > 1 else ''} in this column). Mixtures need complete, finite rows: "
                "drop those rows or impute them first."
            )


def _check_within_reach(
    values: np.ndarray, shift: np.ndarray, scale: float, names: tuple[str, ...], row_labels: pd.Index
) -> None:
    """Refuse rows so far away that squared distances overflow."""
    with np.errstate(over="ignore"):
        furthest = np.maximum(values.max(axis=0) - shift, shift - values.min(axis=0)) / scale
    if (furthest > MOST_SPREADS).any():
        j = int(np.argmax(furthest))
        n = int(np.argmax(np.abs(values[:, j] - shift[j])))
        raise DataError(
            f"column {names[j]!r}, row {row_labels[n]}: {values[n, j]:g} is {furthest[j]:.0e} spreads away, "
            "and double precision has no density there: check the value."
        )


def _check_weights(weights: Any, n_rows: int) -> np.ndarray:
    try:
        weights = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"row weights (`sample_weight`) must be numbers ({error}).") from None
    if weights.ndim == 0:
        weights = np.full(n_rows, float(weights))
    if weights.shape != (n_rows,):
        raise DataError(f"sample_weight.shape == {weights.shape}, expected ({n_rows},): one weight for each row.")
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        n = int(np.argmax(bad))
        raise DataError(f"weights must be finite and not negative, received {weights[n]} in row {n}.")
    if not weights.any():
        raise DataError("every weight is zero: at least one row must count.")
    return weights


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


def _check_not_constant(values: np.ndarray, names: tuple[str, ...], weights: np.ndarray | None) -> None:
    n_rows = len(values) if weights is None else np.count_nonzero(weights)
    if n_rows < 2:
        raise DataError("n_samples = 1 (1 sample): a mixture needs at least 2 rows to have a spread.")
    lowest, highest = np.full(values.shape[1], np.inf), np.full(values.shape[1], -np.inf)
    for rows in row_slices(len(values)):
        block = values[rows] if weights is None else values[rows][weights[rows] > 0]
        if len(block):
            np.minimum(lowest, block.min(axis=0), out=lowest)
            np.maximum(highest, block.max(axis=0), out=highest)
    for j, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        if low == high:
            raise DataError(f"column {names[j]!r} is constant (every value is {low}): it has no density; leave it out.")


def _moments(values: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Weighted column means and variances in two passes, without a copy of the data."""
    total = float(len(values)) if weights is None else float(weights.sum())
    origin = values[0].astype(np.float64)

    def mean_about(center: np.ndarray, power: int) -> np.ndarray:
        sums = np.zeros(values.shape[1])
        with np.errstate(over="ignore"):
            for rows in row_slices(len(values)):
                block = (values[rows] - center) ** power
                sums += block.sum(axis=0) if weights is None else weights[rows] @ block
        return sums / total

    mean = origin + mean_about(origin, 1)
    return mean, mean_about(mean, 2)
