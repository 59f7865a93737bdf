"""Every kind of file, with holes and columns that speak of the rows: the same fits, and bad input named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesgmm.data.datasets import load_dataset
from bayesgmm.selection.compare import compare
from tests.cli.test_application import refusal, run, words

OPTIONS = ["--weights", "count", "--errors", "eruptions:err", "--label", "kind"]
COLUMNS = ["eruptions", "waiting"]


def rows() -> pd.DataFrame:
    """Old Faithful with holes, counts, standard errors and a few known components."""
    frame = load_dataset("faithful").to_pandas().iloc[:60].reset_index(drop=True).rename_axis(None, axis=1)
    frame = frame.assign(
        err=0.1, count=np.arange(60) % 3 + 1, kind=np.where(np.arange(60) < 2, ["long", "short"] * 30, "")
    )
    frame.loc[3, ["eruptions", "err"]] = np.nan
    frame.loc[7, "waiting"] = np.nan
    return frame


def write(frame: pd.DataFrame, kind: str, folder: Path) -> Path:
    """Write a table in a format, as its users write it."""
    path = folder / f"table{kind.removeprefix('wide').removeprefix('long')}"
    empty = frame.assign(kind=frame["kind"].replace("", None))
    if kind == ".parquet":
        empty.attrs["units"] = dict.fromkeys(COLUMNS, "min")
        empty.convert_dtypes().to_parquet(path)
    elif kind == "long.nc":
        data = {name: ("row", frame[name].to_numpy(dtype="U" if name == "kind" else None)) for name in frame}
        written = xr.Dataset(data)
        for name in COLUMNS:
            written[name].attrs["units"] = "min"
        written.to_netcdf(path)
    elif kind == "wide.nc":
        beside = {
            name: ("row", frame[name].to_numpy(dtype="U" if name == "kind" else None)) for name in list(frame)[2:]
        }
        axes = {"feature": COLUMNS, "unit": ("feature", ["min", "min"])}
        xr.Dataset({"x": (("row", "feature"), frame[COLUMNS].to_numpy()), **beside}, axes).to_netcdf(path)
    else:
        empty.to_csv(path, index=False, sep="\t" if ".tsv" in kind else ",")
    return path


KINDS = [".csv", ".tsv.gz", ".parquet", "long.nc", "wide.nc"]


@pytest.fixture(scope="module")
def expected() -> float:
    frame = rows()
    found = compare(
        frame[COLUMNS],
        2,
        covariance_type="full",
        sample_weight=frame["count"],
        errors=np.column_stack([frame["err"] ** 2, np.zeros(60)]),
        known_labels=frame["kind"],
        n_init=1,
        random_state=1,
    )
    return float(found.table["bic"][0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_holes_weights_errors_and_labels(kind: str, expected: float, tmp_path: Path) -> None:
    path = write(rows(), kind, tmp_path)
    out = tmp_path / "out.csv"
    result = run("compare", path, "-k", 2, "--covariance", "full", "--starts", 1, *OPTIONS, "-o", out)
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    unit = "" if kind in (".csv", ".tsv.gz") else " [min]"
    assert f"columns eruptions{unit}, waiting{unit}; 2 values missing in 2 rows; the component of 2 rows known." in text
    assert pd.read_csv(out)["bic"][0] == pytest.approx(expected)


BAD = {
    "weights": (lambda frame: frame["count"].where(frame.index != 5, -1), "count", "row weights, is -1 in row 5"),
    "no weight": (lambda frame: frame["count"].where(frame.index != 5), "count", "row weights, is missing in row 5"),
    "error": (lambda frame: frame["err"].where(frame.index != 5, -0.1), "err", "'eruptions', is -0.1 in row 5"),
    "no error": (lambda frame: frame["err"].where(frame.index != 5), "err", "'eruptions', is missing in row 5"),
    "infinite": (lambda frame: frame["waiting"].where(frame.index != 5, np.inf), "waiting", "column 'waiting', row 5"),
    "one class": (lambda frame: "long", "kind", "none is of component 1: lower -k"),
    "three classes": (lambda frame: np.array(["u", "v", "w"] * 20), "kind", "row 2 is known to be of component 'w'"),
}


@pytest.mark.parametrize("format_", [".csv", ".parquet", "long.nc"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_columns_of_every_format_are_named_before_any_work(kind: str, format_: str, tmp_path: Path) -> None:
    make, column, said = BAD[kind]
    frame = rows()
    path = write(frame.assign(**{column: make(frame)}), format_, tmp_path)
    assert said in refusal("fit", path, "-k", 2, *OPTIONS, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_that_are_wholly_missing_are_named(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[[4, 9], [*COLUMNS, "err"]] = np.nan
    for kind in KINDS:
        said = refusal("fit", write(frame, kind, tmp_path), "-k", 2, *OPTIONS, "-o", tmp_path / "out")
        assert "rows 4, 9 of X have no value at all" in said
