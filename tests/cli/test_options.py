"""Columns that speak of the rows, what is generated under conditions, holes filled, posteriors compared."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.posterior import datatree
from bayesgmm.selection.bootstrap_test import bootstrap_test
from bayesgmm.selection.compare import compare as compare_fits
from tests.cli.test_application import SMALL, refusal, run, words
from tests.support.posteriors import as_datatree, fake_posterior, scattered_draws


@pytest.fixture(scope="module")
def with_roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with holes, counts, standard errors and a few known components."""
    path = tmp_path_factory.mktemp("roles") / "rows.csv"
    frame = load_dataset("faithful").to_pandas().iloc[:100]
    frame = frame.assign(err=0.1, count=np.arange(100) % 3 + 1, kind=None)
    frame.iloc[3, [0, 2]] = np.nan  # where a value is missing its error may be too
    frame.iloc[7, 1] = np.nan
    frame.loc[frame.index[:2], "kind"] = ["long", "short"]
    frame.to_csv(path, index=False)
    return path


ROLES = ["--weights", "count", "--errors", "eruptions:err", "--label", "kind"]


def test_columns_that_speak_of_the_rows_are_used_as_such(with_roles: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    result = run("compare", with_roles, "-k", 2, "--covariance", "full", "--starts", 1, *ROLES, "-o", path)
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    assert "columns eruptions, waiting; 2 values missing in 2 rows; the component of 2 rows known." in text
    assert "err (standard errors of eruptions); count (row weights); kind (known components)" in text
    frame = pd.read_csv(with_roles)
    errors = np.column_stack([np.full(100, 0.1**2), np.zeros(100)])
    labels = frame["kind"].astype(object).where(frame["kind"].notna(), None).to_numpy()
    expected = compare_fits(
        frame[["eruptions", "waiting"]],
        2,
        covariance_type="full",
        sample_weight=frame["count"].to_numpy(),
        errors=errors,
        known_labels=labels,
        n_init=1,
        random_state=1,
    )
    assert pd.read_csv(path)["bic"][0] == pytest.approx(expected.table["bic"][0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--weights", "cuont"], "no column 'cuont'"),
        (["--weights", "kind"], "column 'kind' of"),
        (["--weights", "eruptions"], "column 'eruptions' of"),
        (["--errors", "eruptions"], "--errors must be like a:b,c:d"),
        (["--errors", "eruptions:err,eruptions:count"], "names 'eruptions' twice"),
        (["--errors", "kind:err"], "'kind', which is not among the columns used"),
        (["--errors", "waiting:err"], "standard errors of 'waiting', is missing in row 3"),
        (["--columns", "waiting,count", "--weights", "count"], "said to hold row weights"),
        (["--label", "who"], "no column 'who'"),
        (["-k", "1", "--label", "kind", "--errors", "eruptions:err"], "one of 2 labels"),
    ],
)
def test_columns_that_cannot_play_their_part_are_named(
    options: list[str], said: str, with_roles: Path, tmp_path: Path
) -> None:
    assert said in refusal("fit", with_roles, "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_generate_takes_what_is_given_and_impute_needs_holes(tmp_path: Path) -> None:
    posterior = datatree.save(fake_posterior("faithful", 2)[1], tmp_path / "posterior.nc")
    path = tmp_path / "at70.csv"
    more = ["--given", "waiting=70", "--parameters", "mean", "--no-labels"]
    assert run("generate", posterior, "-n", 5, *more, "-o", path).exit_code == 0
    rows = pd.read_csv(path)
    assert list(rows) == ["eruptions", "waiting"] and set(rows["waiting"]) == {70}
    assert "'wait'" in refusal("generate", posterior, "--given", "wait=70", "-o", path)
    assert "a number; received 'x'" in refusal("generate", posterior, "--given", "waiting=x", "-o", path)
    assert "--given must be like a=b" in refusal("generate", posterior, "--given", "waiting", "-o", path)
    assert "nothing to impute" in refusal("impute", posterior, "-o", tmp_path / "filled.csv")


def test_impute_fills_the_holes_of_the_data_and_nothing_else(with_roles: Path, tmp_path: Path) -> None:
    """A stand-in posterior of rows with holes: what was seen stays, each table drawn has its own values."""
    X = pd.read_csv(with_roles)[["eruptions", "waiting"]]
    gm, _, _ = fake_posterior("faithful", 2)
    draws = scattered_draws(gm.parameters_, 100, np.random.default_rng(0), 1, 20)
    datatree.save(as_datatree(gm, X, draws), tmp_path / "posterior.nc")
    out, cells = tmp_path / "filled.csv", tmp_path / "cells.csv"
    assert run("impute", tmp_path / "posterior.nc", "-o", out, "--cells", cells).exit_code == 0
    filled, written = pd.read_csv(out), pd.read_csv(cells)
    seen = X.notna().to_numpy()
    np.testing.assert_allclose(filled[["eruptions", "waiting"]].to_numpy()[seen], X.to_numpy()[seen])
    assert list(zip(written["row"], written["column"], strict=True)) == [(3, "eruptions"), (7, "waiting")]
    assert ((written["lower"] < written["value"]) & (written["value"] < written["upper"])).all()
    assert filled.loc[3, "eruptions"] == pytest.approx(written["value"][0])
    assert run("impute", tmp_path / "posterior.nc", "-o", out, "--tables", 3).exit_code == 0
    several = pd.read_csv(out)
    assert list(several["draw"]) == [d for d in range(3) for _ in range(100)]
    assert several.loc[several["row"] == 3, "eruptions"].nunique() == 3


def test_compare_goes_on_to_the_posteriors_of_the_best(tmp_path: Path) -> None:
    """Few draws: what is tested is the path from the table of fits to that of posteriors."""
    data, table, picture = (tmp_path / name for name in ("data.csv", "table.csv", "criteria.png"))
    load_dataset("faithful").to_pandas().to_csv(data, index=False)
    some = ["--columns", "waiting", "-k", "1:3", "--covariance", "V", "--starts", 1, "--posterior", 2]
    result = run("compare", data, *some, *SMALL[:1], "150", *SMALL[2:], "-o", table, "--plot", picture)
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    assert "Posteriors compared" in text and "LOO asks which posterior predicts a new row best" in text
    written = pd.read_csv(tmp_path / "table_posterior.csv")
    assert len(written) == 2 and set(written["covariance_type"]) == {"V"}
    assert written["elpd_loo"].notna().all()
    best = pd.read_csv(table).nsmallest(2, "bic")["n_components"]
    assert set(written["n_components"]) == set(best)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_compare_tests_one_component_more(tmp_path: Path) -> None:
    """The tests are those of `bootstrap_test`, in the family of the best model; their table lies beside the other."""
    data, table = tmp_path / "data.csv", tmp_path / "table.csv"
    frame = load_dataset("faithful").to_pandas().iloc[:80]
    frame.to_csv(data, index=False)
    some = ["--columns", "waiting", "--covariance", "E", "--starts", 1, "--bootstrap", 19, "--seed", 3]
    result = run("compare", data, "-k", "1:3", *some, "-o", table)
    assert result.exit_code == 0, result.output
    written = pd.read_csv(tmp_path / "table_bootstrap.csv")
    expected = bootstrap_test(frame[["waiting"]], 1, covariance_type="E", n_bootstrap=19, n_init=1, random_seed=3)
    assert written["n_components"][0] == 1
    assert written["statistic"][0] == pytest.approx(expected.statistic)
    assert written["p_value"][0] == expected.p_value == 0.05
    text = words(result.stdout)
    assert "Bootstrap likelihood-ratio tests (E)" in text and "1 against 2" in text
    assert "give -k 2:N as well" in refusal("compare", data, "-k", 2, "--bootstrap", 19)
    frame.assign(half=0.5).to_csv(data, index=False)
    assert "whole numbers" in refusal("compare", data, "-k", "1:2", "--weights", "half", "--bootstrap", 19)
