"""Checks of a table's numbers and of what comes with it: row weights, error covariances, known components.

May import NumPy, pandas and the tables only. Each returns what it was given in one form, or says what is wrong where.
"""

from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.data.tables import DataError, as_numbers, named_columns

BLOCK_ROWS = 8192
MOST_ROWS_NAMED = 6
UNKNOWN = -1
"""Label of a row whose component is not known."""


def row_slices(n_rows: int, block_rows: int = BLOCK_ROWS) -> list[slice]:
    """Consecutive slices of at most `block_rows` that cover `n_rows` rows."""
    return [slice(start, min(start + block_rows, n_rows)) for start in range(0, n_rows, block_rows)]


def name_rows(row_labels: pd.Index, chosen: np.ndarray) -> str:
    """Name the rows of a mask (N,), the first few of them, for a message."""
    labels = [str(label) for label in row_labels[chosen][:MOST_ROWS_NAMED]]
    more = int(chosen.sum()) - len(labels)
    rows = "row" if len(labels) == 1 and not more else "rows"
    return f"{rows} {', '.join(labels)}" + (f" and {more} more" if more > 0 else "")


def check_shape(values: np.ndarray) -> None:
    """Refuse a table without rows or columns."""
    N, D = values.shape
    if D == 0:
        raise DataError(f"0 feature(s) (shape={values.shape}) while a minimum of 1 is required: pass a numeric column.")
    if N == 0:
        raise DataError(f"0 sample(s) (shape={values.shape}) while a minimum of 1 is required: the table has no rows.")


def find_missing(
    values: np.ndarray, names: tuple[str, ...], row_labels: pd.Index, *, whole_columns: bool = False
) -> np.ndarray | None:
    """Mask (N, D) of the missing values, or None where there are none; `whole_columns` may be missing or not.

    Raises
    ------
    DataError
        For an infinite value, a row that is wholly missing, or a column that is; named.
    """
    if values.dtype.kind != "f":
        return None
    missing: np.ndarray | None = None
    for rows in row_slices(len(values)):
        block = values[rows]
        bad = ~np.isfinite(block)
        if not bad.any():
            continue
        infinite = np.isinf(block)
        if infinite.any():
            n, j = (int(i) for i in np.argwhere(infinite)[0])
            raise DataError(
                f"Input X contains infinity: column {names[j]!r}, row {row_labels[rows.start + n]}. Correct the value, "
                "or make it NaN, which stands for a missing one."
            )
        if missing is None:
            missing = np.zeros(values.shape, dtype=bool)
        missing[rows] = bad
    if missing is None:
        return None
    if missing.all(axis=0).any() and not whole_columns:
        raise DataError(f"column {names[int(np.argmax(missing.all(axis=0)))]!r} has no value at all: leave it out.")
    empty = missing.all(axis=1)
    if empty.any():
        raise DataError(
            f"{name_rows(row_labels, empty)} of X have no value at all (every one is NaN): they say nothing about the "
            "mixture; drop them."
        )
    return missing


def check_weights(weights: Any, row_labels: pd.Index) -> np.ndarray:
    """Row weights (N,): finite, not negative, not all zero; the first that is not is named by its row."""
    n_rows = len(row_labels)
    try:
        weights = as_numbers(weights)
    except (TypeError, ValueError) as error:
        raise DataError(f"row weights (`sample_weight`) must be numbers ({error}).") from None
    if weights.ndim == 0:
        weights = np.full(n_rows, float(weights))
    if weights.shape != (n_rows,):
        raise DataError(f"sample_weight.shape == {weights.shape}, expected ({n_rows},): one weight for each row.")
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        n = int(np.argmax(bad))
        received = "none" if np.isnan(weights[n]) else str(weights[n])
        raise DataError(
            f"weights must be finite and not negative, received {received} in row {row_labels[n]}: "
            "give a row that is not to count the weight 0."
        )
    if not weights.any():
        raise DataError("every weight is zero: at least one row must count.")
    return weights


def check_errors(
    errors: Any, values: np.ndarray, missing: np.ndarray | None, names: tuple[str, ...], row_labels: pd.Index
) -> np.ndarray | None:
    """Error variances (N, D) or covariances (N, D, D), in squared units; None where every one is zero.

    Parameters
    ----------
    errors : (D,), (N, D) or (N, D, D)
        Variances of each feature, the same for all rows or for each; or a covariance for each row. What belongs to a
        missing value is not looked at. Columns that bear the features' names may come in another order.

    Raises
    ------
    DataError
        Naming the row that has no covariance, and the column.
    """
    own = named_columns(errors)
    try:
        errors = as_numbers(errors)
    except (TypeError, ValueError) as error:
        raise DataError(f"`errors` must be numbers, the variances of the measurement errors ({error}).") from None
    if own is not None and own != names and set(own) == set(names):
        errors = errors[..., [own.index(name) for name in names]]
    N, D = values.shape
    if errors.shape in ((), (D,)):
        errors = np.broadcast_to(errors, (N, D))
    elif D == 1 and errors.shape == (N,):
        errors = errors[:, None]
    if errors.shape not in ((N, D), (N, D, D)):
        raise DataError(
            f"`errors` must hold a variance for each feature, ({D},), for each value, ({N}, {D}), or a covariance for "
            f"each row, ({N}, {D}, {D}); received shape {errors.shape}."
        )
    errors = np.array(errors)
    if missing is not None:
        errors[missing] = 0.0
        if errors.ndim == 3:
            np.swapaxes(errors, 1, 2)[missing] = 0.0
    bad = ~np.isfinite(errors)
    if errors.ndim == 2:
        bad |= errors < 0
        if bad.any():
            n, j = (int(i) for i in np.argwhere(bad)[0])
            value = "missing" if np.isnan(errors[n, j]) else f"{errors[n, j]:g}"
            raise DataError(
                f"the error variance of column {names[j]!r}, row {row_labels[n]}, is {value}: it must be finite, not "
                "negative, and 0 where the value is exact. (Square standard errors first.)"
            )
    else:
        _check_covariances(errors, bad, row_labels)
    return errors if errors.any() else None


def _check_covariances(errors: np.ndarray, bad: np.ndarray, row_labels: pd.Index) -> None:
    rows = bad.any(axis=(1, 2))
    if rows.any():
        raise DataError(f"the error covariance of {name_rows(row_labels, rows)} is not finite.")
    size = np.sqrt(np.abs(np.diagonal(errors, axis1=1, axis2=2)))
    allowed = 1e-8 * size[:, :, None] * size[:, None, :]
    rows = (np.abs(errors - np.swapaxes(errors, 1, 2)) > allowed).any(axis=(1, 2))
    if rows.any():
        raise DataError(f"the error covariance of {name_rows(row_labels, rows)} is not symmetric.")
    rows = np.linalg.eigvalsh(errors)[:, 0] < -1e-8 * (size**2).max(axis=1)
    if rows.any():
        raise DataError(
            f"the error covariance of {name_rows(row_labels, rows)} is not positive semidefinite: an eigenvalue is "
            "negative."
        )


def check_labels(labels: Any, n_rows: int, row_labels: pd.Index) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Known components (N,), `UNKNOWN` where unknown, and the names of the labels where they are names.

    Parameters
    ----------
    labels : (N,) array
        Whole numbers from 0, with -1, NaN or a missing value where unknown; or names, with "", None, NaN or a missing
        value where unknown ("" is what files make of None). Names are components in their alphabetical order.

    Raises
    ------
    DataError
        Naming the row whose label is none.
    """
    if isinstance(labels, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(labels)
        labels = labels.data.astype(object)
        labels[hidden] = None
    if np.shape(labels) != (n_rows,):
        raise DataError(f"`known_labels` has shape {np.shape(labels)}, expected ({n_rows},): one label for each row.")
    series = pd.Series(labels)
    unknown = (series.isna() | (series.astype(object) == "")).to_numpy()
    if unknown.all():
        return None, None
    known = series[~unknown]
    if pd.api.types.is_bool_dtype(known.infer_objects()):
        known = known.astype(str)
    numbers = pd.to_numeric(known, errors="coerce") if not known.map(lambda v: isinstance(v, str)).all() else None
    components = np.full(n_rows, UNKNOWN)
    if numbers is None:
        names = tuple(sorted(set(known)))
        components[~unknown] = known.map({name: k for k, name in enumerate(names)}).to_numpy()
        return components, names
    values = numbers.to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(values) & (values == np.round(values)) & (values >= UNKNOWN))
    if bad.any():
        n = int(np.flatnonzero(~unknown)[int(np.argmax(bad))])
        raise DataError(
            f"the known label of row {row_labels[n]} is {series.iloc[n]}: give whole numbers from 0, -1 where the "
            "component is not known; or names for all."
        )
    components[~unknown] = values.astype(np.int64)
    return (components, None) if (components != UNKNOWN).any() else (None, None)


def check_not_constant(values: np.ndarray, names: tuple[str, ...], weights: np.ndarray | None) -> None:
    """Refuse fewer than two rows that count, and a column that does not vary."""
    n_rows = len(values) if weights is None else np.count_nonzero(weights)
    if n_rows < 2:
        raise DataError("n_samples = 1 (1 sample): a mixture needs at least 2 rows to have a spread.")
    lowest, highest = np.full(values.shape[1], np.inf), np.full(values.shape[1], -np.inf)
    for rows in row_slices(len(values)):
        block = values[rows] if weights is None else values[rows][weights[rows] > 0]
        if len(block):
            # fmin and fmax pass over NaN, the missing values
            np.fmin(lowest, np.fmin.reduce(block, axis=0), out=lowest)
            np.fmax(highest, np.fmax.reduce(block, axis=0), out=highest)
    for j, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        if low > high:
            raise DataError(f"column {names[j]!r} has no value in the rows that count: leave it out.")
        if low == high:
            raise DataError(f"column {names[j]!r} is constant (every value is {low}): it has no density; leave it out.")


def column_moments(
    values: np.ndarray, weights: np.ndarray | None, missing: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted column means and variances of the values there are, in two passes, without a copy of the data."""
    if missing is None:
        total = np.asarray(float(len(values)) if weights is None else float(weights.sum()))
        origin = values[0].astype(np.float64)
    else:
        seen = ~missing
        total = seen.sum(axis=0).astype(np.float64) if weights is None else weights @ seen
        origin = values[np.argmax(seen, axis=0), np.arange(values.shape[1])].astype(np.float64)

    def mean_about(center: np.ndarray, power: int) -> np.ndarray:
        sums = np.zeros(values.shape[1])
        with np.errstate(over="ignore"):
            for rows in row_slices(len(values)):
                block = (values[rows] - center) ** power
                if missing is not None:
                    block = np.where(missing[rows], 0.0, block)
                sums += block.sum(axis=0) if weights is None else weights[rows] @ block
        return sums / total

    mean = origin + mean_about(origin, 1)
    return mean, mean_about(mean, 2)
