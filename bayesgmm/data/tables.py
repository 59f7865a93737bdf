"""Tables of any kind, read as values, column names, units and row labels.

May import NumPy and pandas only; objects of xarray, polars and SciPy are recognised without importing those.
"""

import sys
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class DataError(ValueError):
    """The data cannot be used; the message names the column or the row and what to do."""


class Table(NamedTuple):
    """What a table says.

    Attributes
    ----------
    values : (N, D) real array, as given: no copy is made of a float or integer array
    names : tuple of D str
    named : bool
        Whether the names are the table's own; otherwise they are x0, x1, ...
    units : tuple of D str
        ``""`` where unknown.
    row_labels : pandas.Index, (N,)
    """

    values: np.ndarray
    names: tuple[str, ...]
    named: bool
    units: tuple[str, ...]
    row_labels: pd.Index


def _is(X: Any, module: str, *classes: str) -> bool:
    """Whether X is of a class of a library that need not be installed: if it is, that library is loaded already."""
    loaded = sys.modules.get(module)
    return loaded is not None and any(isinstance(X, getattr(loaded, name)) for name in classes)


def read_table(X: Any) -> Table:
    """Read an array, a DataFrame (pandas or polars), a Series, a DataArray or a Dataset of columns.

    Missing is NaN, None, pandas' NA, null in polars, or masked in NumPy. Units are looked for where xarray keeps them
    (a coordinate ``unit`` or ``units`` along the features, the attribute ``units`` of what has one unit), and in the
    ``attrs["units"]`` of a pandas DataFrame, a mapping from column to unit.

    Raises
    ------
    DataError
        When it is not 2-D, or a column is not numeric; the column is named.
    TypeError
        When it is sparse, or holds objects that are no numbers.
    """
    if _is(X, "scipy.sparse", "sparray", "spmatrix"):
        raise TypeError("Sparse data was passed, but mixtures need dense rows: use X.toarray() to convert it.")
    if _is(X, "polars", "LazyFrame"):
        raise TypeError("a lazy polars frame was passed, which holds no rows yet: use X.collect() to read them.")
    if _is(X, "xarray", "Dataset"):
        X = _frame_of_dataset(X)
    units: tuple[str, ...] | None = None
    row_labels: pd.Index | None = None
    names: tuple[str, ...] | None = None
    if _is(X, "xarray", "DataArray"):
        values, names, units, row_labels = _read_dataarray(X)
    elif isinstance(X, pd.Series):
        names, row_labels = (str(X.name) if X.name is not None else "x0",), _index_labels(X.index)
        values, units = _frame_values(X.to_frame(names[0])), (str(X.attrs.get("units", "")),)
    elif isinstance(X, pd.DataFrame):
        names, row_labels = tuple(str(c) for c in X.columns), _index_labels(X.index)
        values, units = _frame_values(X), _frame_units(X)
    elif _is(X, "polars", "DataFrame"):
        names = tuple(str(c) for c in X.columns)
        values = _frame_values(pd.DataFrame({name: X[name].to_numpy() for name in X.columns}))
    elif _is(X, "polars", "Series"):
        return read_table(X.to_frame())
    else:
        values = _array_values(X)
        if values.ndim == 1:
            raise DataError(
                f"Expected 2D array, got 1D array instead (shape {values.shape}). Reshape your data either using "
                "X.reshape(-1, 1) if it has a single feature or X.reshape(1, -1) if it is a single row."
            )
    if np.iscomplexobj(values):
        raise DataError("Complex data not supported: mixtures need real numbers; pass real and imaginary parts apart.")
    if values.dtype.kind not in "fiu":
        values = _to_numbers(values, names)
    if values.dtype == np.float16 or values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    if values.ndim != 2:
        raise DataError(f"`X` must be 2-D (rows by features), received {values.ndim} dimensions, shape {values.shape}.")
    D = values.shape[1]
    named = names is not None
    names = names if names is not None else default_names(D)
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise DataError(f"column names must be distinct, received {twice} more than once: rename them.")
    return Table(
        values,
        names,
        named,
        units if units is not None else ("",) * D,
        row_labels if row_labels is not None else pd.RangeIndex(len(values)),
    )


def _read_dataarray(X: Any) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...], pd.Index]:
    values = np.asarray(X.values)
    if values.ndim == 1:
        names: tuple[str, ...] = (str(X.name) if X.name is not None else "x0",)
        units: tuple[str, ...] = (str(X.attrs.get("units", "")),)
        values = values[:, None]
    elif values.ndim == 2:
        feature = X.dims[1]
        D = values.shape[1]
        names = tuple(str(v) for v in X.coords[feature].values) if feature in X.coords else default_names(D)
        units = (str(X.attrs.get("units", "")),) * D
        for name in ("units", "unit"):
            if name in X.coords and X.coords[name].dims == (feature,):
                units = tuple(str(u) for u in X.coords[name].values)
    else:
        raise DataError(f"`X` must be 2-D (rows by features), received {values.ndim} dimensions, shape {values.shape}.")
    rows = X.dims[0]
    labels = _index_labels(X.indexes[rows]) if rows in X.indexes else pd.RangeIndex(len(values))
    return values, names, units, labels


def _frame_of_dataset(X: Any) -> Any:
    """Turn the variables of a Dataset into columns, or take the one variable that is a table by itself."""
    variables = list(X.data_vars.values())
    if len(variables) == 1:
        return variables[0]
    if not variables or any(variable.dims != variables[0].dims or variable.ndim != 1 for variable in variables):
        named = ", ".join(f"{name} {variable.dims}" for name, variable in X.data_vars.items()) or "none"
        raise DataError(
            "a Dataset must hold one table of two dimensions, or columns along one and the same dimension; "
            f"found {named}: select what is to be used."
        )
    (rows,) = variables[0].dims
    frame = pd.DataFrame({name: variable.values for name, variable in X.data_vars.items()})
    frame.attrs["units"] = {name: variable.attrs.get("units", "") for name, variable in X.data_vars.items()}
    return frame.set_axis(X.indexes[rows]) if rows in X.indexes else frame


def _frame_units(frame: pd.DataFrame) -> tuple[str, ...]:
    units = frame.attrs.get("units", {})
    return tuple(str(units.get(name, "")) if isinstance(units, Mapping) else "" for name in frame.columns)


def as_numbers(values: Any) -> np.ndarray:
    """Float64 of numbers of any kind and shape, NaN where one is masked or missing.

    Raises
    ------
    TypeError, ValueError
        For what is no number.
    """
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    if isinstance(values, pd.DataFrame):
        return np.column_stack([as_numbers(values.iloc[:, position]) for position in range(values.shape[1])])
    if isinstance(values, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(values, dtype=np.float64)


def named_columns(table: Any) -> tuple[str, ...] | None:
    """Names along the last dimension of what has names there; None for what has not."""
    if isinstance(table, pd.DataFrame) or _is(table, "polars", "DataFrame"):
        return tuple(str(name) for name in table.columns)
    if isinstance(table, pd.Series):
        return tuple(str(name) for name in table.index)
    if _is(table, "xarray", "DataArray") and table.ndim in (1, 2) and table.dims[-1] in table.coords:
        return tuple(str(name) for name in table.coords[table.dims[-1]].values)
    return None


def _array_values(X: Any) -> np.ndarray:
    if isinstance(X, np.ma.MaskedArray):
        # np.asarray would drop the mask, and what it hides would be fitted
        return np.ma.filled(X.astype(np.float64), np.nan)
    try:
        return np.asarray(X)
    except ValueError as error:
        raise DataError(f"`X` must be a table, with rows of one length ({error}).") from None


def _to_numbers(values: np.ndarray, names: tuple[str, ...] | None) -> np.ndarray:
    """Float64 of objects or text; what is not a number is refused, and its column named."""
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        column = ""
        if values.ndim == 2:
            name = (names or default_names(values.shape[1]))[_first_text_column(values)]
            column = f"column {name!r} is not numeric: "
        message = f"{column}`X` must hold numbers, received dtype {values.dtype} ({error})."
        raise TypeError(message) if isinstance(error, TypeError) else DataError(message) from None


def _first_text_column(values: np.ndarray) -> int:
    for j, column in enumerate(values.T):
        try:
            column.astype(np.float64)
        except (TypeError, ValueError):
            return j
    raise AssertionError("every column alone is numeric, but the table is not.")


def default_names(D: int) -> tuple[str, ...]:
    """Names of columns that have none: x0, x1, ..."""
    return tuple(f"x{j}" for j in range(D))


def _index_labels(index: pd.Index) -> pd.Index:
    if isinstance(index, pd.MultiIndex):
        return pd.Index(["/".join(str(part) for part in key) for key in index], dtype=object)
    return index


def _frame_values(frame: pd.DataFrame) -> np.ndarray:
    """Numbers of a frame; a column that is not numeric is refused by name."""
    plain = True
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
        plain &= numeric and not pd.api.types.is_extension_array_dtype(column.dtype) and column.dtype.kind != "b"
        if not numeric and not is_numbers_as_objects(column):
            raise DataError(
                f"column {str(name)!r} is not numeric (dtype {column.dtype}, for example {_first_text(column)}): "
                "leave it out, or encode it as numbers."
            )
    if plain or not frame.shape[1]:
        return frame.to_numpy()
    return np.column_stack([as_numbers(frame.iloc[:, position]) for position in range(frame.shape[1])])


def is_numbers_as_objects(column: pd.Series) -> bool:
    """Whether a column holds nothing but numbers and missing values, kept as Python objects."""
    return pd.api.types.is_object_dtype(column) and _first_text(column) is None


def _first_text(column: pd.Series) -> str | None:
    """First value of a column that is no number, as text; None where each is a number or missing."""
    filled = column.dropna()
    if pd.api.types.is_object_dtype(column):
        filled = filled[~filled.map(lambda value: isinstance(value, Real | Decimal))]
        return repr(filled.iloc[0]) if len(filled) else None
    return repr(filled.iloc[0]) if len(filled) else "nothing"
