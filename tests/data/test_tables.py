"""Whatever a table is called, the same numbers, names, units and labels come out; what cannot be used is named."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import xarray as xr

from bayesgmm.data.tables import DataError, as_numbers, named_columns, read_table

VALUES = np.array([[1.0, 20.0], [2.0, 30.0], [4.0, 10.0]])
FRAME = pd.DataFrame(VALUES, columns=["a", "b"], index=["r", "s", "t"])
UNITS = xr.DataArray(
    VALUES,
    dims=("row", "what"),
    coords={"row": ["r", "s", "t"], "what": ["a", "b"], "unit": ("what", ["m", "s"])},
)

NAMED = {
    "pandas": FRAME,
    "pandas of integers": FRAME.astype(int),
    "pandas nullable": FRAME.astype("Int64"),
    "pandas float32": FRAME.astype(np.float32),
    "polars": pl.DataFrame({"a": VALUES[:, 0], "b": VALUES[:, 1]}),
    "polars mixed": pl.DataFrame({"a": [1, 2, 4], "b": VALUES[:, 1]}),
    "xarray": UNITS,
}
UNNAMED = {
    "array": VALUES,
    "float32": VALUES.astype(np.float32),
    "float16": VALUES.astype(np.float16),
    "long double": VALUES.astype(np.longdouble),
    "integers": VALUES.astype(np.int16),
    "Fortran order": np.asfortranarray(VALUES),
    "not contiguous": np.repeat(VALUES, 2, axis=1)[:, ::2],
    "objects": VALUES.astype(object),
    "lists": VALUES.tolist(),
    "tuples of integers": tuple((int(a), int(b)) for a, b in VALUES),
    "xarray without coordinates": xr.DataArray(VALUES),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_named_table_keeps_its_values_and_names(kind):
    table = read_table(NAMED[kind])
    np.testing.assert_array_equal(table.values, VALUES)
    assert (table.names, table.named) == (("a", "b"), True)


@pytest.mark.parametrize("kind", UNNAMED)
def test_a_plain_table_gets_numbered_names(kind):
    table = read_table(UNNAMED[kind])
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.names == ("x0", "x1")
    assert table.units == ("", "")
    np.testing.assert_array_equal(table.row_labels, np.arange(3))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_are_not_copied(dtype, order):
    values = VALUES.astype(dtype, order=order)
    assert np.shares_memory(read_table(values).values, values)


@pytest.mark.parametrize(
    ("series", "name"),
    [
        (FRAME["b"], "b"),
        (pd.Series(VALUES[:, 1]), "x0"),
        (pl.Series("b", VALUES[:, 1]), "b"),
        (UNITS.sel(what="b").rename("b"), "b"),
        (xr.DataArray(VALUES[:, 1], dims="row"), "x0"),
    ],
    ids=["pandas", "pandas without a name", "polars", "xarray", "xarray without a name"],
)
def test_a_series_is_one_column(series, name):
    table = read_table(series)
    np.testing.assert_array_equal(table.values, VALUES[:, 1:])
    assert table.names == (name,)


def test_units_come_from_the_coordinate_or_the_attribute():
    assert read_table(UNITS).units == ("m", "s")
    assert read_table(UNITS.drop_vars("unit").assign_attrs(units="km")).units == ("km", "km")
    assert read_table(UNITS.sel(what="a").assign_attrs(units="m")).units == ("m",)
    assert read_table(FRAME).units == ("", "")


def test_row_labels_are_kept():
    assert list(read_table(FRAME).row_labels) == ["r", "s", "t"]
    assert list(read_table(FRAME["a"]).row_labels) == ["r", "s", "t"]
    assert list(read_table(UNITS).row_labels) == ["r", "s", "t"]
    by_day = FRAME.set_index(pd.date_range("2020-01-01", periods=3))
    assert list(read_table(by_day).row_labels) == list(pd.date_range("2020-01-01", periods=3))
    nested = FRAME.set_index(pd.MultiIndex.from_tuples([("u", 1), ("u", 2), ("v", 1)]))
    assert list(read_table(nested).row_labels) == ["u/1", "u/2", "v/1"]
    stacked = (
        xr.DataArray(VALUES[:, 0], dims="row", coords={"row": [1, 2, 3]})
        .expand_dims(site=["u"])
        .stack(n=["site", "row"])
    )
    assert list(read_table(stacked).row_labels) == ["u/1", "u/2", "u/3"]


def test_numbered_rows_cost_no_memory():
    assert read_table(np.zeros((10**6, 1))).row_labels.memory_usage() < 1000


def test_nullable_columns_give_nan_where_a_value_is_missing():
    frame = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(read_table(frame).values, [[1, 1], [np.nan, 2], [3, 3]])


def test_masked_values_are_missing_not_what_the_mask_hides():
    masked = np.ma.masked_greater(VALUES, 25)
    np.testing.assert_array_equal(read_table(masked).values, np.where(VALUES > 25, np.nan, VALUES))


HOLES = np.array([[1.0, 20.0], [np.nan, 30.0], [4.0, np.nan]])
HOLED = pd.DataFrame(HOLES, columns=["a", "b"])
WITH_HOLES = {
    "float64": HOLED,
    "float32": HOLED.astype(np.float32),
    "nullable float": HOLED.astype("Float64"),
    "nullable integer": HOLED.astype("Int64"),
    "Arrow": HOLED.astype("float64[pyarrow]"),
    "objects with None": HOLED.astype(object).where(HOLED.notna(), None),
    "objects with NA": HOLED.astype(object).where(HOLED.notna(), pd.NA),
    "decimals": HOLED.map(lambda value: None if np.isnan(value) else Decimal(int(value))),
    "masked": np.ma.masked_invalid(HOLES),
    "masked integers": np.ma.masked_array(np.nan_to_num(HOLES, nan=-99).astype(int), np.isnan(HOLES)),
    "lists with None": [[1.0, 20.0], [None, 30.0], [4.0, None]],
    "polars": pl.DataFrame({"a": [1, None, 4], "b": [20, 30, None]}),
    "polars with NaN": pl.DataFrame({"a": HOLES[:, 0], "b": HOLES[:, 1]}),
    "DataArray": xr.DataArray(HOLES, dims=("row", "what"), coords={"what": ["a", "b"]}),
    "Dataset": xr.Dataset({"a": ("row", HOLES[:, 0]), "b": ("row", HOLES[:, 1])}),
}


@pytest.mark.parametrize("kind", WITH_HOLES)
def test_whatever_marks_a_missing_value_it_becomes_nan(kind):
    table = read_table(WITH_HOLES[kind])
    np.testing.assert_array_equal(table.values, HOLES)
    assert table.values.dtype.kind == "f"


def test_a_dataset_is_a_table_of_its_variables_with_their_units_and_rows():
    columns = {"a": ("row", VALUES[:, 0], {"units": "m"}), "b": ("row", VALUES[:, 1])}
    table = read_table(xr.Dataset(columns, coords={"row": ["r", "s", "t"]}))
    np.testing.assert_array_equal(table.values, VALUES)
    assert (table.names, table.units, list(table.row_labels)) == (("a", "b"), ("m", ""), ["r", "s", "t"])
    one = read_table(UNITS.to_dataset(name="x"))
    np.testing.assert_array_equal(one.values, VALUES)
    assert (one.names, one.units) == (("a", "b"), ("m", "s"))


def test_units_of_a_pandas_frame_are_its_attribute():
    frame, series = FRAME.copy(), FRAME["a"].copy()
    frame.attrs["units"] = {"b": "s"}
    series.attrs["units"] = "m"
    assert read_table(frame).units == ("", "s")
    assert read_table(series).units == ("m",)
    frame.attrs["units"] = "SI"
    assert read_table(frame).units == ("", "")
    assert read_table(UNITS.rename(unit="units")).units == ("m", "s")


@pytest.mark.parametrize(
    "values",
    [
        np.ma.masked_array([1.0, 5.0], mask=[False, True]),
        pd.Series([1, None], dtype="Int64"),
        pd.array([1.0, None], dtype="Float64"),
        pl.Series([1, None]),
        [1.0, None],
    ],
    ids=["masked", "nullable", "pandas array", "polars", "list"],
)
def test_numbers_alone_are_nan_where_missing(values):
    np.testing.assert_array_equal(as_numbers(values), [1.0, np.nan])


def test_the_names_along_the_last_dimension_are_known_where_there_are_any():
    for table in (FRAME, pl.DataFrame({"a": [1.0], "b": [2.0]}), UNITS, UNITS[0], FRAME.iloc[0]):
        assert named_columns(table) == ("a", "b")
    for table in (VALUES, xr.DataArray(VALUES), UNITS.expand_dims("more"), [1.0]):
        assert named_columns(table) is None


REFUSED = {
    "a lazy frame": (pl.DataFrame({"a": [1.0]}).lazy(), TypeError, r"lazy polars frame.*X\.collect\(\)"),
    "variables that are no columns": (
        xr.Dataset({"a": ("row", VALUES[:, 0]), "b": ("other", VALUES[:, 0])}),
        DataError,
        r"columns along one and the same dimension; found a \('row',\), b \('other',\)",
    ),
    "an empty Dataset": (xr.Dataset(), DataError, "found none"),
    "text among objects": (FRAME.astype(object).replace(30.0, "oops"), DataError, "column 'b' is not numeric.*'oops'"),
    "1-D": (VALUES[0], DataError, r"Expected 2D array, got 1D array.*reshape\(-1, 1\)"),
    "3-D": (VALUES[None], DataError, r"`X` must be 2-D.*3 dimensions, shape \(1, 3, 2\)"),
    "3-D xarray": (UNITS.expand_dims("more"), DataError, "`X` must be 2-D.*3 dimensions"),
    "a number": (3.0, DataError, "0 dimensions"),
    "nothing": (None, DataError, "0 dimensions"),
    "ragged": ([[1.0, 2.0], [3.0]], DataError, "rows of one length"),
    "complex": (VALUES + 1j, DataError, "Complex data not supported"),
    "sparse array": (scipy.sparse.csr_array(VALUES), TypeError, "Sparse data.*toarray"),
    "sparse matrix": (scipy.sparse.coo_matrix(VALUES), TypeError, "Sparse data"),
    "text in pandas": (FRAME.assign(c="u"), DataError, "column 'c' is not numeric.*for example 'u'"),
    "dates in pandas": (FRAME.assign(c=pd.Timestamp("2020-01-01")), DataError, "column 'c' is not numeric.*datetime64"),
    "categories": (FRAME.assign(c=pd.Categorical(["u", "v", "u"])), DataError, "column 'c' is not numeric"),
    "text in polars": (pl.DataFrame({"a": [1.0, 2.0], "c": ["u", "v"]}), DataError, "column 'c' is not numeric"),
    "text in an array": (np.array([["1", "u"], ["2", "v"]]), DataError, "column 'x1' is not numeric.*'u'"),
    "text in xarray": (UNITS.astype(str).where(UNITS < 15, "u"), DataError, "column 'b' is not numeric.*'u'"),
    "text alone": ("table.csv", DataError, "`X` must hold numbers"),
    "no numbers": (np.array([[1, {}], [2, 3]], dtype=object), TypeError, "column 'x1' is not numeric.*'dict'"),
    "names twice": (FRAME.set_axis(["a", "a"], axis=1), DataError, r"\['a'\] more than once"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_table_of_numbers_is_refused_by_name(kind):
    X, error, message = REFUSED[kind]
    with pytest.raises(error, match=message):
        read_table(X)
