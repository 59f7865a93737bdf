import gzip
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from bayesgmm.cli.files import prepare_file, prepare_folder, read_posterior, write_csv
from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.files import read_observations
from bayesgmm.data.formats import FileError
from bayesgmm.data.tables import DataError
from bayesgmm.tools.atomic import replacing


@pytest.fixture
def frame() -> pd.DataFrame:
    iris = load_dataset("iris")
    return iris.to_pandas().assign(species=iris["species"].values).reset_index(drop=True).rename_axis(None, axis=1)


def test_every_kind_of_file_gives_the_same_rows(frame: pd.DataFrame, tmp_path: Path) -> None:
    iris = load_dataset("iris")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "semicolon.csv", index=False, sep=";")
    frame.to_parquet(tmp_path / "a.parquet")
    iris.to_netcdf(tmp_path / "wide.nc")
    iris.to_dataset("feature").to_netcdf(tmp_path / "long.nc")
    for path in sorted(tmp_path.iterdir()):
        observations, left_out = read_observations(path)
        assert observations.feature_names == tuple(iris["feature"].values), path.name
        np.testing.assert_array_equal(observations.values, iris.values, err_msg=path.name)
        assert "species" in left_out
        assert list(observations.row_labels) == list(range(150))
    assert gzip.open(tmp_path / "a.csv.gz").read(12) == b"sepal_length"


def test_netcdf_keeps_units(tmp_path: Path) -> None:
    load_dataset("penguins")[3:].dropna("obs_id").to_netcdf(tmp_path / "a.nc")
    observations, _ = read_observations(tmp_path / "a.nc", columns=["body_mass", "bill_depth"])
    assert (observations.feature_names, observations.units) == (("body_mass", "bill_depth"), ("g", "mm"))
    variables = {"height": ("row", [1.0, 2.0, 4.0], {"units": "m"}), "age": ("row", [7.0, 5.0, 9.0])}
    xr.Dataset(variables, coords={"t": ("row", [0.5, 1.5, 4.5])}).to_netcdf(tmp_path / "b.nc")
    observations, left_out = read_observations(tmp_path / "b.nc")
    assert (observations.feature_names, observations.units) == (("height", "age"), ("m", ""))
    assert left_out == {"t": "a coordinate of the rows"}


def test_parquet_keeps_units_of_its_fields_and_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"height": [1.0, None, 4.0], "age": [7, 5, 9]})
    frame.attrs["units"] = {"height": "m"}
    frame.to_parquet(tmp_path / "pandas.parquet")
    assert read_observations(tmp_path / "pandas.parquet")[0].units == ("m", "")
    fields = [
        pa.field("height", pa.float64(), metadata={"units": "m"}),
        pa.field("age", pa.int64(), metadata={"unit": "a"}),
        pa.field("price", pa.decimal128(5, 2)),
    ]
    columns = {"height": [1.0, None, 4.0], "age": [7, None, 9], "price": [Decimal("1.25"), None, Decimal("3.5")]}
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), tmp_path / "arrow.parquet")
    with pytest.raises(DataError, match="row 1 of X have no value at all"):
        read_observations(tmp_path / "arrow.parquet")
    columns["age"][1] = 5
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), tmp_path / "arrow.parquet")
    observations, _ = read_observations(tmp_path / "arrow.parquet")
    assert (observations.feature_names, observations.units) == (("height", "age", "price"), ("m", "a", ""))
    np.testing.assert_array_equal(observations.values, [[1.0, 7.0, 1.25], [np.nan, 5.0, np.nan], [4.0, 9.0, 3.5]])


def test_a_netcdf_duration_stays_a_number_with_its_unit(tmp_path: Path) -> None:
    xr.Dataset({"wait": ("row", [50.0, 70.0, 60.0], {"units": "seconds"})}).to_netcdf(tmp_path / "a.nc")
    observations, _ = read_observations(tmp_path / "a.nc")
    np.testing.assert_array_equal(observations.values.ravel(), [50.0, 70.0, 60.0])
    assert observations.units == ("seconds",)


def test_beside_a_netcdf_table_what_has_one_dimension_speaks_of_the_rows(tmp_path: Path) -> None:
    table = load_dataset("faithful")[:5].drop_vars("obs_id")
    data = table.to_dataset(name="x").assign(count=("obs_id", [1, 2, 3, 1, 2]), err=("obs_id", np.full(5, 0.1)))
    data.to_netcdf(tmp_path / "a.nc")
    observations, left_out = read_observations(tmp_path / "a.nc", weights="count", errors={"waiting": "err"})
    np.testing.assert_array_equal(observations.values, table.values)
    assert observations.units == ("min", "min")
    np.testing.assert_array_equal(observations.weights, [1, 2, 3, 1, 2])
    np.testing.assert_allclose(observations.errors, np.tile([0.0, 0.01], (5, 1)))
    assert left_out == {"count": "row weights", "err": "standard errors of waiting"}
    assert "a coordinate" in read_observations(tmp_path / "a.nc")[1]["count"]


def test_an_empty_column_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,c\n1,,4\n3,,\n5,,2\n")
    observations, left_out = read_observations(tmp_path / "a.csv")
    assert (observations.feature_names, left_out) == (("a", "c"), {"b": "empty"})
    np.testing.assert_array_equal(observations.missing, [[False, False], [False, True], [False, False]])
    with pytest.raises(DataError, match="column 'b' has no value at all"):
        read_observations(tmp_path / "a.csv", columns=["a", "b"])


def test_columns_are_taken_in_the_order_asked_for(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "a.csv", index=False)
    observations, left_out = read_observations(tmp_path / "a.csv", columns=["petal_width", "sepal_length"])
    assert observations.feature_names == ("petal_width", "sepal_length")
    assert left_out == {}


def test_a_column_that_counts_the_rows_is_no_data_unless_asked_for(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 2, 3, 4], "x": [1.5, 4, 2, 8], "flag": [True, False, True, True]}).to_csv(
        tmp_path / "a.csv", index=False
    )
    observations, left_out = read_observations(tmp_path / "a.csv")
    assert observations.feature_names == ("x",)
    assert left_out == {"id": "counts the rows", "flag": "true or false"}
    assert read_observations(tmp_path / "a.csv", columns=["id", "x"])[0].feature_names == ("id", "x")


def test_rows_are_named_by_the_column_asked_for(tmp_path: Path) -> None:
    pd.DataFrame({"who": ["ann", "bo", "cy"], "x": [1.0, 2.0, 4.0]}).to_csv(tmp_path / "a.csv", index=False)
    observations, left_out = read_observations(tmp_path / "a.csv", row_label="who")
    assert list(observations.row_labels) == ["ann", "bo", "cy"]
    assert left_out == {"who": "names the rows"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("head.csv", b"a,b\n", "head.csv names its columns (a, b) but has no rows"),
        ("numbers.csv", b"5.1,5.1\n4,5\n", "first line of"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "line 3"),
        ("wide.csv", b"a,b\n1,2,3\n4,5,6\n", "more fields than its first line has names (a, b)"),
        ("latin.csv", "größe\n1\n".encode("latin-1"), "UTF-8"),
        ("table.xlsx", b"PK", "'.xlsx'"),
        ("noending", b"a\n1\n", "''"),
        ("broken.parquet", b"not parquet", "broken.parquet could not be read"),
        ("broken.nc", b"not netcdf", "broken.nc is not a netCDF file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_observations(tmp_path / name)
    assert said in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no file .*nope\.csv"):
        read_observations(tmp_path / "nope.csv")
    with pytest.raises(FileError, match="is a folder"):
        read_observations(tmp_path)


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        ("a,b\nx,y\nz,w\n", None, "no numeric column"),
        ("a,b\n1,2\n3,oops\n", ["a", "b"], "'oops' in row 1"),
        ("a,b\n1,2\n3,4\n", ["a", "c"], "no column 'c'; it has a, b"),
        ("height,b\n1,2\n3,4\n", ["heigth"], "Did you mean 'height'?"),
        ("a,b\n1,2\n,\n5,6\n", None, "row 1 of X have no value at all"),
        ("a,b\n1,2\ninf,3\n5,6\n", None, "infinity: column 'a', row 1"),
        ("a,b\n1,2\n3,2\n5,2\n", None, "column 'b' is constant"),
    ],
)
def test_a_table_that_cannot_be_used_names_the_column(
    tmp_path: Path, content: str, columns: list[str] | None, said: str
) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        read_observations(tmp_path / "a.csv", columns=columns)
    assert said in str(caught.value)


def test_a_netcdf_file_without_a_table_says_what_it_holds(tmp_path: Path) -> None:
    xr.Dataset({"cube": (("a", "b", "c"), np.zeros((2, 2, 2)))}).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(FileError, match=r"cube \('a', 'b', 'c'\)"):
        read_observations(tmp_path / "a.nc")


def test_a_posterior_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no file"):
        read_posterior(tmp_path / "posterior.nc")
    (tmp_path / "posterior.nc").write_text("text")
    with pytest.raises(FileError, match="not a netCDF file"):
        read_posterior(tmp_path / "posterior.nc")


def test_a_failure_in_mid_write_leaves_the_old_file_or_none(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("whole")

    def fail(path: Path, error: type[BaseException]) -> None:
        with pytest.raises(error), replacing(path) as temporary:
            temporary.write_text("hal")
            raise error

    for error in (RuntimeError, KeyboardInterrupt):
        fail(old, error)
        fail(new, error)
    assert old.read_text() == "whole"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.csv"]


def test_a_written_file_replaces_the_old_one_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    (tmp_path / "other").touch()
    write_csv(pd.DataFrame({"x": [1.5]}), path)
    assert path.read_text().split() == ["x", "1.5"]
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert len(os.listdir(tmp_path)) == 2


def test_a_folder_is_made_and_tried_before_it_is_used(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match="cannot write results into"):
            prepare_folder(path)
    with pytest.raises(FileError, match="it is a folder"):
        prepare_file(tmp_path)
    assert prepare_file(tmp_path / "c" / "new.csv").parent.is_dir()
