"""`bayesgmm fit`, and `bayesgmm demo`: EM, a choice of K, its posterior, a report and files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.application import STARTED, app
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
    Method,
    Noise,
    Out,
    Quiet,
    RowLabel,
    Seed,
    Tune,
    Weights,
)
from bayesgmm.cli.running import INTERRUPTED, bad_input, new_screen, parse_components, read_rows, size

if TYPE_CHECKING:
    from bayesgmm.cli.analysis import Plan
    from bayesgmm.cli.console import Screen
    from bayesgmm.data.observations import Observations

FILES = """\
\b
OUT receives
  posterior.nc      the posterior; xarray.load_datatree reads it, bayesgmm and ArviZ understand it
  comparison.csv    BIC, AIC and ICL of each number of components
  membership.csv    for each row its component, and the probability of each with its interval
  synthetic.csv     a generated dataset that matches the data
  density.png, components.png, membership.png"""

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
measurement.

{COLUMNS_OF_ROWS}

{FILES}

\b
Examples
  bayesgmm fit table.csv -k 1:6 -o results
  bayesgmm fit table.csv -k 3 --columns height,weight --row-label name -o results
  bayesgmm fit table.parquet -k 2,3,4 --covariance tied --criterion icl -o results
  bayesgmm fit stars.csv -k 1:6 --noise box -o results
  bayesgmm fit survey.csv -k 1:4 --weights count --errors flux:flux_err --label class -o results
"""


@app.command(help=DEMO, short_help="Tour on the Old Faithful data.")
def demo(
    out: Out, draws: Draws = 1000, tune: Tune = 1000, chains: Chains = 4, seed: Seed = 1, quiet: Quiet = False
) -> None:
    """Fit the embedded Old Faithful data."""
    screen = new_screen(quiet)
    with bad_input():
        from bayesgmm.cli.files import prepare_folder
        from bayesgmm.data.datasets import load_dataset
        from bayesgmm.data.observations import as_observations

        data = load_dataset("faithful")
        observations = as_observations(data)
        prepare_folder(out)
    screen.say(f"{data.attrs['title']}: {size(observations)}.")
    from bayesgmm.cli.analysis import Plan

    plan = Plan(range(1, 7), "full", "bic", seed, draws, tune, chains, None)
    _analyse(observations, plan, out, screen)


@app.command(help=FIT, short_help="Fit a table: EM, choice of K, posterior, report.")
def fit(
    data: Data,
    out: Out,
    components: Components = "1:6",
    columns: Columns = None,
    row_label: RowLabel = None,
    weights: Weights = None,
    errors: Errors = None,
    label: Label = None,
    noise: Noise = None,
    covariance: Annotated[
        str, typer.Option(help="Covariance family: full (VVV), tied (EEE), diag (VVI) or spherical (VII).")
    ] = "full",
    criterion: Annotated[Criterion, typer.Option(help="What chooses among -k.")] = "bic",
    method: Method = "nuts",
    draws: Draws = 1000,
    tune: Tune = 1000,
    chains: Chains = 4,
    seed: Seed = 1,
    cores: Cores = None,
    quiet: Quiet = False,
) -> None:
    """Fit a table from a file."""
    screen = new_screen(quiet)
    with bad_input():
        from bayesgmm.cli.files import prepare_folder
        from bayesgmm.em.families import covariance_family
        from bayesgmm.em.task import check_grid

        counts = parse_components(components)
        family = covariance_family(covariance)
        observations = read_rows(
            screen, data, counts, columns=columns, row_label=row_label, weights=weights, errors=errors, label=label
        )
        check_grid(observations, counts, [covariance], noise)
        prepare_folder(out)
    from bayesgmm.cli.analysis import Plan

    plan = Plan(counts, family.name, criterion, seed, draws, tune, chains, cores, method, noise)
    _analyse(observations, plan, out, screen)


def _analyse(observations: "Observations", plan: "Plan", out: Path, screen: "Screen") -> None:
    from bayesgmm.cli.analysis import NoModelError, analyse

    try:
        analyse(observations, plan, out, screen, started=STARTED)
    except NoModelError as error:
        with bad_input():
            raise error
    except KeyboardInterrupt:
        screen.warn(f"interrupted before the end; what this run has written to {out} so far is whole.")
        raise typer.Exit(INTERRUPTED) from None
