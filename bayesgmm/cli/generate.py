"""`bayesgmm generate`: new data like the old."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bayesgmm.cli.application import app
from bayesgmm.cli.options import Posterior, Quiet, Seed
from bayesgmm.cli.running import bad_input, new_screen, parse_numbers

GENERATE = """Generate new data like the old, from a posterior that `bayesgmm fit` wrote.

Each dataset is drawn with its own draw of the parameters, so the spread between datasets carries what is unknown.

\b
Examples
  bayesgmm generate results/posterior.nc -n 1000 -o new.csv
  bayesgmm generate results/posterior.nc --datasets 50 --seed 7 -o many.csv
  bayesgmm generate results/posterior.nc --given waiting=70 --parameters mean --no-labels -o at70.csv
"""


@app.command(help=GENERATE, short_help="New data like the old, from a posterior.")
def generate(
    posterior: Posterior,
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
    given: Annotated[
        str | None,
        typer.Option(metavar="VALUES", help="Columns that are known, as a=1,b=2.5: the others follow from them."),
    ] = None,
    parameters: Annotated[
        Literal["draws", "mean", "em"],
        typer.Option(help="draws: for each dataset its own; mean or em: one mixture for all, uncertainty left out."),
    ] = "draws",
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Column `component_label`: where each row comes from.")
    ] = True,
    measurement_errors: Annotated[
        bool, typer.Option("--measurement-errors", help="Add errors like those of the data.")
    ] = False,
    seed: Seed = 1,
    quiet: Quiet = False,
) -> None:
    """Generate data from a posterior."""
    screen = new_screen(quiet)
    with bad_input():
        from bayesgmm.cli.files import prepare_file, read_posterior, write_csv

        known = parse_numbers(given, "--given")
        source = read_posterior(posterior)
        from bayesgmm.cli.frames import generated_frame
        from bayesgmm.posterior.datatree import view

        view(source)
        prepare_file(out)
        frame = generated_frame(
            source,
            rows,
            n_datasets=datasets,
            random_seed=seed,
            given=known or None,
            parameters=parameters,
            labels=labels,
            measurement_errors=measurement_errors,
        )
    write_csv(frame, out)
    screen.say(f"{datasets} dataset{'s' if datasets > 1 else ''} of {len(frame) // datasets} rows written to {out}")
