"""The command line: a file in, a report and result files out. Composition only.

What a command needs is imported when it runs: ``bayesgmm --help`` loads neither NumPy nor PyMC.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from bayesgmm.analysis import Plan
    from bayesgmm.console import Screen
    from bayesgmm.observations import Observations

_STARTED = time.perf_counter() - time.process_time()
"""When this process began, but for the time in which it waited for the disk."""

BAD_INPUT = 2
INTERRUPTED = 130
PICTURES = (".png", ".pdf", ".svg")

FILES = """\
\b
OUT receives
  posterior.nc      the posterior; xarray.load_datatree reads it, bayesgmm and ArviZ understand it
  comparison.csv    BIC, AIC and ICL of each number of components
  membership.csv    for each row its component, and the probability of each with its interval
  synthetic.csv     a generated dataset that matches the data
  density.png, components.png, membership.png"""

ABOUT = """Gaussian mixtures whose answers carry their uncertainty.

\b
Start with    bayesgmm demo -o demo-output
Your data     bayesgmm fit table.csv -k 1:6 -o results
Any command   bayesgmm fit --help
"""

DEMO = f"""Fit the eruptions of Old Faithful, as a tour of what `bayesgmm fit` does.

EM fits mixtures of 1 to 6 components, BIC chooses one, its posterior is sampled, and a report says what is certain
and what is not: parameters, memberships and generated data, each with intervals.

{FILES}

\b
Example
  bayesgmm demo -o demo-output
"""

FIT = f"""Fit mixtures to a table, choose one, and sample its posterior.

DATA is a CSV (.csv, .tsv), Parquet (.parquet) or netCDF (.nc) file: a row for each observation, a named column for each
measurement, no missing values.

{FILES}

\b
Examples
  bayesgmm fit table.csv -k 1:6 -o results
  bayesgmm fit table.csv -k 3 --columns height,weight --row-label name -o results
  bayesgmm fit table.parquet -k 2,3,4 --covariance tied --criterion icl -o results
"""

COMPARE = """Compare numbers of components and covariance families by BIC, AIC and ICL. Takes seconds: EM only.

\b
Covariance families: volume (size), shape and orientation of the components, each
  E  equal for all components     V  variable, each its own     I  identity:
     shape I is round, orientation I has its axes along the columns
\b
  EII  VII (spherical)            round
  EEI  VEI  EVI  VVI (diag)       axes along the columns
  EEE (tied)  VEE  EVE  VVE       axes the same for all components
  EEV  VEV  EVV  VVV (full)       axes of each component its own
  E  V                            with one column only, where `all` is these two
\b
Examples
  bayesgmm compare table.csv -k 1:9
  bayesgmm compare table.csv -k 1:9 --criterion icl --plot criteria.png
  bayesgmm compare table.csv -k 1:5 --covariance VVV,VEV,EEE --starts 20 -o table.csv
"""

GENERATE = """Generate new data like the old, from a posterior that `bayesgmm fit` wrote.

Each dataset is drawn with its own draw of the parameters, so the spread between datasets carries what is unknown.

\b
Examples
  bayesgmm generate results/posterior.nc -n 1000 -o new.csv
  bayesgmm generate results/posterior.nc --datasets 50 --seed 7 -o many.csv
"""

app = typer.Typer(
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    # plain help: the same in a pipe as on a terminal
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Data = Annotated[Path, typer.Argument(metavar="DATA", help="CSV, Parquet or netCDF file.", show_default=False)]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="Folder for the results.", show_default=False)]
Components = Annotated[
    str, typer.Option("-k", "--components", metavar="K", help="How many components: 2, or 1:6, or 1,3,5.")
]
Columns = Annotated[
    str | None, typer.Option(help="Columns to use, as a,b,c.", show_default="every numeric column", metavar="NAMES")
]
RowLabel = Annotated[
    str | None, typer.Option(help="Column that names the rows.", show_default="row number, from 0", metavar="NAME")
]
Draws = Annotated[int, typer.Option(min=1, metavar="N", help="Posterior draws kept from each chain.")]
Tune = Annotated[int, typer.Option(min=1, metavar="N", help="Warm-up draws of each chain.")]
Chains = Annotated[int, typer.Option(min=1, metavar="N", help="Independent chains; 2 or more tell whether they agree.")]
Cores = Annotated[int | None, typer.Option(min=1, metavar="N", help="Chains run at once.", show_default="all cores")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")]


@app.command(help=DEMO, short_help="Tour on the Old Faithful data.")
def demo(
    out: Out, draws: Draws = 1000, tune: Tune = 1000, chains: Chains = 4, seed: Seed = 1, quiet: Quiet = False
) -> None:
    """Fit the embedded Old Faithful data."""
    screen = _screen(quiet)
    with _bad_input():
        from bayesgmm.datasets import load_dataset
        from bayesgmm.files import prepare_folder
        from bayesgmm.observations import as_observations

        data = load_dataset("faithful")
        observations = as_observations(data)
        prepare_folder(out)
    screen.say(f"{data.attrs['title']}: {_size(observations)}.")
    from bayesgmm.analysis import Plan

    plan = Plan(range(1, 7), "full", "bic", seed, draws, tune, chains, None)
    _analyse(observations, plan, out, screen)


@app.command(help=FIT, short_help="Fit a table: EM, choice of K, posterior, report.")
def fit(
    data: Data,
    out: Out,
    components: Components = "1:6",
    columns: Columns = None,
    row_label: RowLabel = None,
    covariance: Annotated[
        str, typer.Option(help="Covariance family: full (VVV), tied (EEE), diag (VVI) or spherical (VII).")
    ] = "full",
    criterion: Annotated[Literal["bic", "aic", "icl"], typer.Option(help="What chooses among -k.")] = "bic",
    draws: Draws = 1000,
    tune: Tune = 1000,
    chains: Chains = 4,
    seed: Seed = 1,
    cores: Cores = None,
    quiet: Quiet = False,
) -> None:
    """Fit a table from a file."""
    screen = _screen(quiet)
    with _bad_input():
        from bayesgmm.covariance import covariance_family
        from bayesgmm.files import prepare_folder

        counts = parse_components(components)
        family = covariance_family(covariance)
        observations = _read(screen, data, columns, row_label, max(counts))
        prepare_folder(out)
    from bayesgmm.analysis import Plan

    plan = Plan(counts, family.name, criterion, seed, draws, tune, chains, cores)
    _analyse(observations, plan, out, screen)


@app.command(help=COMPARE, short_help="Which number of components, which covariance family.")
def compare(
    data: Data,
    components: Components = "1:9",
    columns: Columns = None,
    covariance: Annotated[str, typer.Option(help="Families: all, or some, as VVV,EEE or full,tied.")] = "all",
    criterion: Annotated[Literal["bic", "aic", "icl"], typer.Option(help="What orders the models.")] = "bic",
    starts: Annotated[int, typer.Option(min=1, metavar="N", help="Starts of EM for each model.")] = 5,
    seed: Seed = 1,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE.csv", help="Write the table there.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the criterion against K there.")] = None,
    quiet: Quiet = False,
) -> None:
    """Compare models by EM."""
    screen = _screen(quiet)
    with _bad_input():
        from bayesgmm.atomic import replacing
        from bayesgmm.covariance import check_dimension, covariance_family
        from bayesgmm.files import prepare_file, write_csv

        counts = parse_components(components)
        named = [] if covariance == "all" else [covariance_family(name.strip()) for name in covariance.split(",")]
        observations = _read(screen, data, columns, None, max(counts))
        for family in named:
            check_dimension(family, observations.n_features)
        if plot is not None and plot.suffix.lower() not in PICTURES:
            raise ValueError(f"--plot must end in one of {', '.join(PICTURES)}; received {str(plot)!r}.")
        for path in (out, plot):
            if path is not None:
                prepare_file(path)
    from bayesgmm.compare import compare as compare_fits
    from bayesgmm.report.comparison import comparison_sections

    families = list(dict.fromkeys(family.name for family in named)) or "all"
    with screen.progress("EM") as told:
        found = compare_fits(
            observations, counts, covariance_type=families, n_init=starts, random_state=seed, on_fit=told
        )
    for section in comparison_sections(found, criterion):
        screen.show(section)
    if out is not None:
        write_csv(found.table, out)
        screen.say(f"Written: {out}")
    if plot is not None:
        if not found.fits:
            screen.warn(f"no model could be fitted, so {plot} is not drawn.")
            return
        # no window is opened, so no toolkit need be found; before anything imports matplotlib
        os.environ.setdefault("MPLBACKEND", "agg")
        from bayesgmm.plots import plot_compare

        with replacing(plot) as temporary:
            plot_compare(found, criterion=criterion, backend="matplotlib").savefig(temporary)
        screen.say(f"Written: {plot}")


@app.command(help=GENERATE, short_help="New data like the old, from a posterior.")
def generate(
    posterior: Annotated[
        Path, typer.Argument(metavar="POSTERIOR.nc", help="posterior.nc of a fit.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.csv", help="Write the rows there.", show_default=False)
    ],
    rows: Annotated[
        int | None,
        typer.Option(
            "-n", "--rows", min=1, metavar="N", help="Rows of each dataset.", show_default="as many as the data"
        ),
    ] = None,
    datasets: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of datasets; a column `dataset` tells them apart.")
    ] = 1,
    seed: Seed = 1,
    quiet: Quiet = False,
) -> None:
    """Generate data from a posterior."""
    screen = _screen(quiet)
    with _bad_input():
        from bayesgmm.files import prepare_file, read_posterior, write_csv

        source = read_posterior(posterior)
        from bayesgmm.analysis import generated_frame
        from bayesgmm.datatree import view

        view(source)
        prepare_file(out)
    frame = generated_frame(source, rows, n_datasets=datasets, random_seed=seed)
    write_csv(frame, out)
    screen.say(f"{datasets} dataset{'s' if datasets > 1 else ''} of {len(frame) // datasets} rows written to {out}")


def parse_components(text: str) -> list[int]:
    """Numbers of components from "2", "1:6" (both ends count) or "1,3,5", in rising order.

    Raises
    ------
    ValueError
        When the text says something else, or a number below 1.
    """
    counts: set[int] = set()
    try:
        for part in text.split(","):
            first, colon, last = part.partition(":")
            low = int(first)
            high = int(last) if colon else low
            if high < low:
                raise ValueError
            counts |= set(range(low, high + 1))
    except ValueError:
        raise ValueError(f"-k must be like 2, 1:6 or 1,3,5; received {text!r}.") from None
    if min(counts) < 1:
        raise ValueError(f"-k must be at least 1 (a mixture has one component or more); received {text!r}.")
    return sorted(counts)


def _analyse(observations: "Observations", plan: "Plan", out: Path, screen: "Screen") -> None:
    from bayesgmm.analysis import NoModelError, analyse

    try:
        analyse(observations, plan, out, screen, started=_STARTED)
    except NoModelError as error:
        with _bad_input():
            raise error
    except KeyboardInterrupt:
        screen.warn(f"interrupted before the end; what this run has written to {out} so far is whole.")
        raise typer.Exit(INTERRUPTED) from None


def _read(
    screen: "Screen", path: Path, columns: str | None, row_label: str | None, most_components: int
) -> "Observations":
    from bayesgmm.files import read_observations
    from bayesgmm.observations import check_components

    names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    if names == []:
        raise ValueError(f"--columns must name columns, as a,b,c; received {columns!r}.")
    observations, left_out = read_observations(path, columns=names, row_label=row_label)
    check_components(observations, most_components)
    screen.say(f"{path}: {_size(observations)}.")
    if left_out:
        reasons = "; ".join(f"{name} ({why})" for name, why in left_out.items())
        screen.say(f"Columns left out: {reasons}. Choose others with --columns.")
    return observations


def _size(observations: "Observations") -> str:
    titled = [f"{n} [{u}]" if u else n for n, u in zip(observations.feature_names, observations.units, strict=True)]
    return f"{observations.n_rows} rows, columns {', '.join(titled)}"


def _in_options(message: str) -> str:
    """Name options of the command line where a message names arguments of a function."""
    for argument, option in (
        ("`covariance_type`", "--covariance"),
        ("`n_components`", "-k"),
        ("n_components", "-k"),
        ("leave it out", "leave it out (--columns)"),
    ):
        message = message.replace(argument, option)
    return message


def _screen(quiet: bool) -> "Screen":
    from bayesgmm.console import Screen

    return Screen(quiet=quiet)


@contextmanager
def _bad_input() -> Iterator[None]:
    """End with a message and status 2, not with a traceback, when what was given cannot be used."""
    try:
        yield
    except (ValueError, TypeError) as error:
        typer.secho(f"Error: {_in_options(str(error))}", fg="red", err=True)
        raise typer.Exit(BAD_INPUT) from None


if __name__ == "__main__":
    app()
