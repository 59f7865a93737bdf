import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from bayesgmm.cli import analysis
from bayesgmm.cli.__main__ import app
from bayesgmm.cli.running import parse_components
from bayesgmm.data.datasets import load_dataset
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.posterior import datatree
from bayesgmm.posterior.sampling import OtherModeWarning
from bayesgmm.questions.membership import membership
from tests.support.posteriors import fake_posterior

SMALL = ["--draws", "50", "--tune", "100", "--chains", "2"]
RESULTS = {
    *("posterior.nc", "comparison.csv", "membership.csv", "synthetic.csv"),
    *("density.png", "components.png", "membership.png"),
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="bayesgmm")


def refusal(*arguments: object) -> str:
    """What a run that must end with status 2 says on standard error, as one line."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def faithful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "faithful.csv"
    frame = load_dataset("faithful").to_pandas()
    frame["day"] = [f"day {n}" for n in range(len(frame))]
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(faithful: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """One real run from the file to the pictures."""
    out = tmp_path_factory.mktemp("results") / "new" / "folder"
    return run("fit", faithful, "-k", "1:2", *SMALL, "--row-label", "day", "-o", out), out


@pytest.fixture
def sampler_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in posterior in the place of sampling, and blank paper in the place of pictures."""

    def stand_in(observations, n_components, **settings):
        _, dt, _ = fake_posterior("faithful", n_components)
        dt = dt.copy(deep=True)
        facts = {"seconds": {"em": 0.0}, "interrupted": True, "draws": settings["draws"], "chains": 2}
        datatree.write_meta(dt, datatree.meta(dt) | facts)
        warnings.warn("a chain stayed elsewhere", OtherModeWarning, stacklevel=2)
        return dt

    monkeypatch.setattr("bayesgmm.posterior.sampling.sample_posterior", stand_in)
    monkeypatch.setattr(analysis, "_draw_pictures", lambda posterior, out, clock, screen: None)


def test_fit_writes_every_result_and_nothing_else(fitted: tuple[Result, Path]) -> None:
    result, out = fitted
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == RESULTS
    for name in ("density", "components", "membership"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_is_plain_text_in_a_pipe(fitted: tuple[Result, Path]) -> None:
    text = fitted[0].stdout
    assert "\x1b" not in text
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 110


def test_the_report_says_what_was_found(fitted: tuple[Result, Path]) -> None:
    text = words(fitted[0].stdout)
    for said in (
        "272 rows, columns eruptions, waiting.",
        "Columns left out: day (names the rows).",
        "smaller is better",
        "BIC, AIC and ICL all prefer K = 2.",
        "K = 2 is the largest number tried",
        "Posterior of K = 2, full covariance: 2 chains x 50 draws",
        "89% equal-tailed interval",
        "R-hat",
        "bulk ESS",
        "diverge",
        "Certain: ",
        "Could switch: ",
        "Generated data beside the real",
        "Where the time went",
        "sampling",
    ):
        assert said in text


def test_the_result_files_hold_what_the_functions_return(fitted: tuple[Result, Path], faithful: Path) -> None:
    _, out = fitted
    with xr.open_datatree(out / "posterior.nc") as lazy:
        dt = lazy.load()
    assert dt["posterior"].sizes["draw"] == 50
    found, table = membership(dt), pd.read_csv(out / "membership.csv")
    assert list(table["row"]) == [f"day {n}" for n in range(272)]
    np.testing.assert_allclose(table["probability_0"], found["probability"].sel(component=0))
    np.testing.assert_array_equal(table["label"], found["label"])
    compared = pd.read_csv(out / "comparison.csv")
    assert list(compared["n_components"]) == [1, 2]
    synthetic = pd.read_csv(out / "synthetic.csv")
    assert list(synthetic) == ["eruptions", "waiting", "component_label"]
    assert len(synthetic) == 272


def test_generate_writes_rows_from_a_saved_posterior(fitted: tuple[Result, Path], tmp_path: Path) -> None:
    _, out = fitted
    path = tmp_path / "new" / "rows.csv"
    result = run("generate", out / "posterior.nc", "-n", 7, "--datasets", 3, "-o", path)
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(path)["dataset"]) == [d for d in range(3) for _ in range(7)]
    again = tmp_path / "again.csv"
    assert run("generate", out / "posterior.nc", "-n", 7, "--datasets", 3, "-q", "-o", again).stdout == ""
    assert again.read_text() == path.read_text()


def test_compare_tells_families_and_numbers_apart(faithful: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    result = run("compare", faithful, "-k", "1,2", "--covariance", "tied,diag", "--columns", "waiting", "-o", path)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(path)
    assert list(zip(table["covariance_type"], table["n_components"], strict=True)) == [
        *(("tied", 1), ("tied", 2)),
        *(("diag", 1), ("diag", 2)),
    ]
    expected = GaussianMixture(2, covariance_type="tied", n_init=10, random_state=1)
    waiting = load_dataset("faithful").sel(feature=["waiting"])
    assert table["bic"][1] == pytest.approx(expected.fit(waiting).bic(waiting))
    assert "tied K = 2" in words(result.stdout)


def test_compare_lays_many_models_out_and_draws_them(tmp_path: Path) -> None:
    load_dataset("faithful").to_pandas().to_csv(tmp_path / "data.csv", index=False)
    picture = tmp_path / "new" / "bic.png"
    result = run("compare", tmp_path / "data.csv", "-k", 2, "--starts", 1, "--criterion", "icl", "--plot", picture)
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    assert "ICL of each family (smaller is better" in text
    assert "VVV (full)" in text
    assert "The 5 admissible models of smallest ICL" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert list(picture.parent.iterdir()) == [picture]
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_noise_is_compared_tested_and_its_share_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(80, 2)), rng.normal(size=(80, 2)) + 9, rng.uniform(-5, 14, size=(40, 2))])
    pd.DataFrame(X, columns=["a", "b"]).to_csv(tmp_path / "data.csv", index=False)
    path = tmp_path / "table.csv"
    result = run(
        *("compare", tmp_path / "data.csv", "-k", "2:3", "--covariance", "full", "--starts", 1),
        *("--noise", "box", "--bootstrap", 9, "-o", path),
    )
    assert result.exit_code == 0, result.output
    table, expected = pd.read_csv(path), GaussianMixture(2, noise="box", random_state=0).fit(X)
    assert table["noise_weight"][0] == pytest.approx(expected.noise_weight_, abs=1e-4)
    assert table["noise_rows"][0] == pytest.approx(200 * table["noise_weight"][0])
    assert f"{table['noise_rows'][0]:.1f} ({100 * table['noise_weight'][0]:.1f}%)" in result.stdout
    # a third component takes noise for itself, and 9 data sets with noise do so too
    assert pd.read_csv(tmp_path / "table_bootstrap.csv")["statistic"][0] < 50
    with open(tmp_path / "holes.csv", "w") as file:
        file.write("a,b\n1,2\n3,\n2,5\n7,1\n")
    assert 'use the "box" instead' in refusal("compare", tmp_path / "holes.csv", "-k", 1, "--noise", "hull")
    assert "--noise" in refusal("compare", tmp_path / "holes.csv", "-k", 1, "--noise", "cube")


def test_compare_of_one_column_has_two_families(faithful: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    result = run("compare", faithful, "-k", 2, "--columns", "waiting", "--starts", 2, "-q", "-o", path)
    assert (result.exit_code, result.stdout) == (0, "")
    table = pd.read_csv(path)
    assert list(table["covariance_type"]) == ["E", "V"]
    assert set(table["n_starts"]) == {2}


@pytest.mark.usefixtures("sampler_replaced")
def test_demo_fits_old_faithful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # one start instead of ten: what is tested here is the path, not the search
    monkeypatch.setattr(analysis, "compare", partial(analysis.compare, n_init=1))
    result = run("demo", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    text = words(result.stdout)
    assert "Old Faithful" in text
    assert "columns eruptions [min], waiting [min]" in text
    assert "BIC and ICL prefer K = 2 and AIC prefers K = " in text
    assert list(pd.read_csv(tmp_path / "out" / "comparison.csv")["n_components"]) == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("sampler_replaced")
def test_draws_kept_after_an_interruption_are_reported(faithful: Path, tmp_path: Path) -> None:
    result = run("fit", faithful, "-k", 2, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "Sampling was interrupted: 2 of 2 chains and 100 of 1000 draws" in words(result.stdout)
    assert words(result.stderr) == "Warning: a chain stayed elsewhere"


@pytest.mark.usefixtures("sampler_replaced")
def test_quiet_prints_nothing_but_warnings(faithful: Path, tmp_path: Path) -> None:
    result = run("fit", faithful, "-k", 2, "-o", tmp_path, "--quiet")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert words(result.stderr) == "Warning: a chain stayed elsewhere"
    assert (tmp_path / "posterior.nc").exists()


@pytest.mark.usefixtures("sampler_replaced")
def test_a_write_that_fails_leaves_no_broken_file(
    faithful: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "membership.csv").write_text("old")

    def half(frame: pd.DataFrame, path: Path, **settings: object) -> None:
        Path(path).write_text("half of i")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    assert isinstance(run("fit", faithful, "-k", 2, "-o", tmp_path).exception, OSError)
    assert [path.name for path in tmp_path.iterdir()] == ["membership.csv"]
    assert (tmp_path / "membership.csv").read_text() == "old"


def test_an_interruption_before_any_draw_ends_with_130(
    faithful: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesgmm.posterior.sampling.sample_posterior", interrupted)
    result = run("fit", faithful, "-k", 2, "-o", tmp_path)
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.csv"]


@pytest.mark.parametrize(
    ("text", "counts"),
    [("2", [2]), ("1:6", [1, 2, 3, 4, 5, 6]), ("1,3,5", [1, 3, 5]), ("4,1:2,2", [1, 2, 4]), ("3:3", [3])],
)
def test_numbers_of_components_are_read(text: str, counts: list[int]) -> None:
    assert parse_components(text) == counts


@pytest.mark.parametrize("text", ["", "x", "1:", ":3", "6:1", "1.5", "1,,2", "1:2:3", "0", "0:2", "-1"])
def test_other_numbers_of_components_are_refused(text: str, faithful: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="-k"):
        parse_components(text)
    assert f"received {text!r}" in refusal("fit", faithful, "-k", text, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


TABLES = {
    "text.csv": "a,b\nx,y\nz,w\n",
    "stray.csv": "a,b\n1,2\n3,oops\n5,6\n",
    "missing.csv": "a,b\n1,2\n,\n5,6\n3,\n7,9\n2,2\n8,1\n",
    "constant.csv": "a,b\n1,2\n3,2\n5,2\n",
    "repeated.csv": "a,b\n1,2\n1,2\n5,6\n",
    "empty.csv": "",
    "header.csv": "a,b\n",
    "table.xlsx": "a,b\n1,2\n",
}


@pytest.fixture
def no_em(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("work began before the input was checked")

    monkeypatch.setattr(GaussianMixture, "fit", refuse)


@pytest.mark.usefixtures("no_em")
@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("nope.csv", [], "no file"),
        ("empty.csv", [], "is empty"),
        ("header.csv", [], "has no rows"),
        ("table.xlsx", [], "'.xlsx'"),
        ("text.csv", [], "no numeric column"),
        ("stray.csv", ["--columns", "a,b"], "column 'b'"),
        ("stray.csv", ["--columns", "a,c"], "no column 'c'; it has a, b"),
        ("stray.csv", ["--columns", ","], "--columns must name columns"),
        ("stray.csv", ["--row-label", "who"], "no column 'who'; it has a, b"),
        ("missing.csv", [], "row 1 of X have no value at all"),
        ("constant.csv", [], "column 'b' is constant"),
        ("repeated.csv", ["-k", "3"], "-k=3, but the data has only 2 distinct rows"),
        ("repeated.csv", ["-k", "1:9"], "-k=9 needs at least 9 rows"),
        ("repeated.csv", ["-k", "2", "--covariance", "round"], "--covariance must be one of 'EII'"),
        ("repeated.csv", ["-k", "2", "--criterion", "dic"], "'dic' is not one of 'bic', 'aic', 'icl'"),
        ("repeated.csv", ["-k", "2", "--draws", "0"], "--draws"),
        ("repeated.csv", ["-k", "2", "--chains", "many"], "--chains"),
        ("repeated.csv", ["-k", "2", "-o", "{folder}/empty.csv"], "empty.csv: it is a file"),
        ("repeated.csv", ["-k", "2", "-o", "{folder}/empty.csv/below"], "empty.csv/below: Not a directory"),
    ],
)
def test_bad_input_is_refused_by_name_before_any_work(
    table: str, options: list[str], said: str, tmp_path: Path
) -> None:
    for name, content in TABLES.items():
        (tmp_path / name).write_text(content)
    before = sorted(tmp_path.iterdir())
    options = [option.format(folder=tmp_path) for option in options]
    assert said in refusal("fit", tmp_path / table, "-o", tmp_path / "out", *options)
    assert sorted(tmp_path.iterdir()) == before


def test_other_commands_refuse_bad_input_too(faithful: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Missing option" in refusal("demo")
    assert "it is a file" in refusal("demo", "-o", tmp_path / "file")
    assert "Missing option" in refusal("fit", faithful)
    assert "must be one of 'EII'" in refusal("compare", faithful, "--covariance", "full,round")
    assert "it is a folder" in refusal("compare", faithful, "-o", tmp_path)
    assert "'E' is for one feature; the data has 2" in refusal("compare", faithful, "--covariance", "VVV,E")
    assert "--plot must end in one of .png" in refusal("compare", faithful, "--plot", tmp_path / "bic")
    assert "--starts" in refusal("compare", faithful, "--starts", "0")
    assert "no file" in refusal("generate", tmp_path / "posterior.nc", "-o", tmp_path / "new.csv")
    assert "not a netCDF file" in refusal("generate", faithful, "-o", tmp_path / "new.csv")
    load_dataset("faithful").to_netcdf(tmp_path / "faithful.nc")
    assert "no group 'posterior'" in refusal("generate", tmp_path / "faithful.nc", "-o", tmp_path / "new.csv")


def test_data_that_no_mixture_describes_are_refused_with_the_comparison(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("a,b\n1,2\n1,2\n5,6\n5,6\n")
    result = run("fit", tmp_path / "few.csv", "-k", 2, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "no mixture of full covariance with 2 components" in words(result.stderr)
    assert (tmp_path / "out" / "comparison.csv").exists()


@pytest.mark.parametrize("command", [[], ["demo"], ["fit"], ["compare"], ["generate"], ["impute"]])
def test_help_has_an_example_of_each_command(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"bayesgmm {command[0] if command else 'demo'} " in result.stdout
    assert "\x1b" not in result.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = ("numpy", "pandas", "rich", "xarray", "pymc", "sklearn")
    script = f"import bayesgmm.cli.__main__, sys; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_process_ends_with_status_2_and_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bayesgmm.cli", "fit", tmp_path / "nope.csv", "-o", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: there is no file ")
    assert len(done.stderr.splitlines()) == 1
