"""Columns of a table in a file become observations."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesgmm.data.formats import TableFile, listed, read_table_file
from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.data.tables import DataError

if TYPE_CHECKING:
    pass


def read_observations(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    row_label: str | None = None,
    weights: str | None = None,
    errors: Mapping[str, str] | None = None,
    label: str | None = None,
) -> tuple[Observations, dict[str, str]]:
    """Read the rows of a CSV, Parquet or netCDF file.

    Parameters
    ----------
    path : path
        The type is told by the ending: .csv, .tsv, .txt (perhaps compressed), .parquet, .nc.
    columns : sequence of str, optional
        Columns to use, in this order; by default every numeric one that does not merely count the rows.
    row_label : str, optional
        Column that names the rows; by default rows are numbered from 0.
    weights : str, optional
        Column of row weights.
    errors : mapping of str to str, optional
        Column -> column of the standard errors with which it was measured; the others were measured exactly.
    label : str, optional
        Column with the component of the rows for which it is known.

    Returns
    -------
    observations : Observations
    left_out : dict
        Why each column that is not used was left out, when `columns` did not choose.

    Raises
    ------
    FileError
        When there is no such file, or it cannot be read as what its name says.
    DataError
        When the table cannot be used; the column or the row is named.
    """
    path = Path(path)
    table = read_table_file(path)
    frame = table.frame
    present = [str(name) for name in frame.columns]
    errors = errors or {}
    roles = {
        name: role
        for name, role in (
            (row_label, "names the rows"),
            (weights, "row weights"),
            (label, "known components"),
            *((error, f"standard errors of {name}") for name, error in errors.items()),
        )
        if name is not None
    }
    _check_present([*roles, *errors], present, path)
    left_out: dict[str, str] = {}
    if columns is None:
        left_out = {name: why for name in present if (why := roles.get(name) or _why_left_out(table, name))}
        columns = [name for name in present if name not in left_out]
        if not columns:
            reasons = "; ".join(f"{name!r} ({why})" for name, why in left_out.items())
            raise DataError(f"{path} has no numeric column to use: {reasons}.")
    else:
        _check_present(columns, present, path)
        for name in columns:
            if name in roles and name != row_label:
                raise DataError(f"column {name!r} of {path} is said to hold {roles[name]}: it cannot be data too.")
            if text := _text_in(frame[name]):
                raise DataError(f"column {name!r} of {path} is {text}: leave it out, or encode it as numbers.")
    chosen = frame[list(columns)]
    if row_label is not None:
        chosen = chosen.set_axis(pd.Index(frame[row_label]), axis="index")
    known = None if label is None else _labels(frame[label])
    observations = as_observations(
        chosen,
        weights=None if weights is None else _numbers(frame[weights], "row weights", path),
        errors=_variances(chosen, frame, errors, path) if errors else None,
        known_labels=known,
    )
    return replace(observations, units=tuple(table.units.get(name, "") for name in columns)), left_out


def _labels(column: pd.Series) -> np.ndarray:
    """Known components: numbers with NaN, or names with None."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.astype(object).where(column.notna(), None).to_numpy()


def _numbers(column: pd.Series, what: str, path: Path, optional: np.ndarray | None = None) -> np.ndarray:
    """Non-negative numbers of a column, zero where they may be missing and are; the column and row are named."""
    if text := _text_in(column):
        raise DataError(f"column {column.name!r} of {path}, {what}, is {text}: it must hold numbers.")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if optional is not None:
        values = np.where(optional & np.isnan(values), 0.0, values)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        n = int(np.argmax(bad))
        received = "missing" if np.isnan(values[n]) else f"{values[n]:g}"
        raise DataError(
            f"column {column.name!r} of {path}, {what}, is {received} in row {n}: it must be finite and not negative."
        )
    return values


def _variances(chosen: pd.DataFrame, frame: pd.DataFrame, errors: Mapping[str, str], path: Path) -> np.ndarray:
    """Error variances (N, D) from columns of standard errors, zero where a column was measured exactly."""
    variances = np.zeros(chosen.shape)
    for name, error in errors.items():
        if name not in chosen.columns:
            raise DataError(f"--errors names {name!r}, which is not among the columns used: {listed(chosen.columns)}.")
        missing = chosen[name].isna().to_numpy()
        values = _numbers(frame[error], f"standard errors of {name!r}", path, optional=missing)
        variances[:, list(chosen.columns).index(name)] = values**2
    return variances


def _why_left_out(table: TableFile, name: str) -> str:
    """Why a column is not taken as data when nobody asks for it; empty when it is."""
    column = table.frame[name]
    if pd.api.types.is_bool_dtype(column):
        return "true or false"
    if text := _text_in(column):
        return text
    if name in table.coordinates:
        return "a coordinate of the rows"
    if column.isna().all():
        return "empty"
    if pd.api.types.is_integer_dtype(column) and len(column) > 1:
        steps = np.diff(column.to_numpy(dtype=np.float64, na_value=np.nan))
        return "counts the rows" if (steps == 1).all() else ""
    return ""


def _text_in(column: pd.Series) -> str:
    """Say what in a column is no number; empty when it is numeric."""
    if pd.api.types.is_numeric_dtype(column):
        return ""
    filled = column.dropna()
    if filled.empty:
        return "empty"
    words = filled[pd.to_numeric(filled, errors="coerce").isna()]
    culprit = words if len(words) else filled
    return f"not numeric: {str(culprit.iloc[0])!r} in row {culprit.index[0]}"


def _check_present(wanted: Sequence[str], present: Sequence[str], path: Path) -> None:
    for name in wanted:
        if name not in present:
            close = get_close_matches(name, present, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise DataError(f"{path} has no column {name!r}; it has {listed(present)}.{hint}")
