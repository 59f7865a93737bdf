"""`bayesgmm compare`: which number of components, which covariance family."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.application import app
from bayesgmm.cli.options import (
    COLUMNS_OF_ROWS,
    Chains,
    Columns,
    Components,
    Cores,
    Criterion,
    Data,
    Draws,
    Errors,
    Label,
    Noise,
    Quiet,
    Seed,
    Tune,
    Weights,
)
from bayesgmm.cli.running import INTERRUPTED, bad_input, new_screen, parse_components, read_rows

if TYPE_CHECKING:
    from bayesgmm.cli.console import Screen
    from bayesgmm.data.observations import Observations
    from bayesgmm.selection.compare import Comparison
    from bayesgmm.selection.compare_posteriors import PosteriorComparison
    from bayesgmm.selection.sequential import SequentialTest

PICTURES = (".png", ".pdf", ".svg")

COMPARE = f"""Compare numbers of components and covariance families by BIC, AIC and ICL. Takes seconds: EM only.

With --posterior N it goes on: the N best numbers of components, in the family of the best model, are sampled, and
compared by leave-one-out prediction (LOO) and by evidence, each with its error.

With --bootstrap N, K components are tested against K + 1 in the family of the best model, from the smallest K on until
a test does not reject at 5 %: N data sets are simulated from the fit with K, and both mixtures are fitted to each.

{COLUMNS_OF_ROWS}

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
  bayesgmm compare table.csv -k 1:6 --posterior 3 -o table.csv --plot criteria.png
  bayesgmm compare table.csv -k 1:6 --covariance full --bootstrap 99 -o table.csv
"""


@app.command(help=COMPARE, short_help="Which number of components, which covariance family.")
def compare(
    data: Data,
    components: Components = "1:9",
    columns: Columns = None,
    weights: Weights = None,
    errors: Errors = None,
    label: Label = None,
    noise: Noise = None,
    covariance: Annotated[str, typer.Option(help="Families: all, or some, as VVV,EEE or full,tied.")] = "all",
    criterion: Annotated[Criterion, typer.Option(help="What orders the models.")] = "bic",
    starts: Annotated[int, typer.Option(min=1, metavar="N", help="Starts of EM for each model.")] = 5,
    posterior: Annotated[
        int, typer.Option(min=0, metavar="N", help="Sample so many of the best, and compare their posteriors.")
    ] = 0,
    bootstrap: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Test K against K + 1 on so many simulated data sets: 19 or more."),
    ] = 0,
    draws: Draws = 1000,
    tune: Tune = 1000,
    chains: Chains = 4,
    cores: Cores = None,
    seed: Seed = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE.csv",
            help="Write the table there; beside it FILE_posterior.csv and FILE_bootstrap.csv, where there are such.",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the criteria against K there.")] = None,
    quiet: Quiet = False,
) -> None:
    """Compare models by EM."""
    screen = new_screen(quiet)
    with bad_input():
        from bayesgmm.cli.files import prepare_file, write_csv
        from bayesgmm.em.families import covariance_family
        from bayesgmm.em.task import check_grid

        counts = parse_components(components)
        named = [] if covariance == "all" else [covariance_family(name.strip()) for name in covariance.split(",")]
        observations = read_rows(screen, data, counts, columns=columns, weights=weights, errors=errors, label=label)
        check_grid(observations, counts, [family.name for family in named] or "all", noise)
        if bootstrap:
            _check_testable(observations, counts)
        if plot is not None and plot.suffix.lower() not in PICTURES:
            raise ValueError(f"--plot must end in one of {', '.join(PICTURES)}; received {str(plot)!r}.")
        for path in (out, plot):
            if path is not None:
                prepare_file(path)
    from bayesgmm.cli.report.comparison import comparison_sections
    from bayesgmm.selection.compare import compare as compare_fits

    families = list(dict.fromkeys(family.name for family in named)) or "all"
    found = compare_fits(
        observations,
        counts,
        covariance_type=families,
        n_init=starts,
        noise=noise,
        random_state=seed,
        progressbar=screen.live,
    )
    for section in comparison_sections(found, criterion):
        screen.show(section)
    if out is not None:
        write_csv(found.table, out)
        screen.say(f"Written: {out}")
    if bootstrap:
        tested = _tests(screen, observations, found, criterion, counts, (bootstrap, starts, seed))
        if tested is not None and out is not None:
            beside = out.with_name(f"{out.stem}_bootstrap{out.suffix}")
            write_csv(tested.table, beside)
            screen.say(f"Written: {beside}")
    compared = None
    if posterior:
        compared = _posteriors(screen, observations, found, criterion, posterior, (draws, tune, chains, cores, seed))
        if compared is not None and out is not None:
            beside = out.with_name(f"{out.stem}_posterior{out.suffix}")
            write_csv(compared.table.rename_axis("model").reset_index(), beside)
            screen.say(f"Written: {beside}")
    if plot is not None:
        _draw(screen, found, criterion, compared, plot)


def _check_testable(observations: "Observations", counts: list[int]) -> None:
    """Refuse before any work what the tests would refuse after the fits."""
    if len(counts) < 2:
        raise ValueError(f"--bootstrap tests one number of components against the next: give -k {counts[0]}:N as well.")
    weights = observations.weights
    if weights is not None and (weights != weights.round()).any():
        raise ValueError(
            "--bootstrap needs --weights that are whole numbers: it simulates as many rows as they sum to."
        )


def _tests(
    screen: "Screen",
    observations: "Observations",
    found: "Comparison",
    criterion: str,
    counts: list[int],
    settings: tuple[int, int, int],
) -> "SequentialTest | None":
    """Test K against K + 1 in the best family, and show what came of it."""
    if not found.table["admissible"].any():
        screen.warn("no model is admissible, so none is tested.")
        return None
    from bayesgmm.cli.report.sequential import sequential_test_section
    from bayesgmm.selection.sequential import sequential_test

    n_bootstrap, starts, seed = settings
    family = found.best(criterion).covariance_type
    try:
        tested = sequential_test(
            observations,
            min(counts),
            max(counts),
            covariance_type=family,
            n_bootstrap=n_bootstrap,
            n_init=starts,
            noise=found.best(criterion).noise,
            random_seed=seed,
            progressbar=screen.live,
        )
    except ValueError as error:
        screen.warn(f"no bootstrap test: {error}")
        return None
    except KeyboardInterrupt:
        screen.warn("interrupted before the bootstrap tests were done.")
        raise typer.Exit(INTERRUPTED) from None
    screen.show(sequential_test_section(tested, family))
    return tested


def _posteriors(
    screen: "Screen",
    observations: "Observations",
    found: "Comparison",
    criterion: str,
    most: int,
    settings: tuple[int, int, int, int | None, int],
) -> "PosteriorComparison | None":
    """Sample the best models of the best family, and show how they compare."""
    if not found.table["admissible"].any():
        screen.warn("no model is admissible, so no posterior is sampled.")
        return None
    from bayesgmm.cli.analysis import compare_best

    try:
        return compare_best(observations, found, criterion, most, screen, *settings)
    except KeyboardInterrupt:
        screen.warn("interrupted before the posteriors could be compared.")
        raise typer.Exit(INTERRUPTED) from None


def _draw(
    screen: "Screen", found: "Comparison", criterion: str, compared: "PosteriorComparison | None", plot: Path
) -> None:
    if not found.fits:
        screen.warn(f"no model could be fitted, so {plot} is not drawn.")
        return
    # no window is opened, so no toolkit need be found; before anything imports matplotlib
    os.environ.setdefault("MPLBACKEND", "agg")
    from bayesgmm.plots.compare import plot_compare
    from bayesgmm.tools.atomic import replacing

    with replacing(plot) as temporary:
        which = criterion if compared is None else "all"
        plot_compare(found, criterion=which, posteriors=compared, backend="matplotlib").savefig(temporary)
    screen.say(f"Written: {plot}")
