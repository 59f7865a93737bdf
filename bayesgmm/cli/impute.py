"""`bayesgmm impute`: the values that are missing, from a posterior."""

from pathlib import Path
from typing import Annotated

import typer

from bayesgmm.cli.application import app
from bayesgmm.cli.options import Posterior, Quiet, Seed
from bayesgmm.cli.running import bad_input, new_screen

IMPUTE = """Fill in the values that are missing, from a posterior that `bayesgmm fit` wrote.

Values measured with errors are replaced too, by what they say of the underlying ones. One table has less spread than
the data: repeat a later analysis over several (--tables), and combine what it finds.

\b
Examples
  bayesgmm impute results/posterior.nc -o filled.csv --cells cells.csv
  bayesgmm impute results/posterior.nc --tables 20 -o many.csv
"""


@app.command(help=IMPUTE, short_help="Fill in missing values, from a posterior.")
def impute(
    posterior: Posterior,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.csv", help="Write the table there.", show_default=False)
    ],
    tables: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Tables drawn; a column `draw` tells them apart.",
            show_default="one, of expectations",
        ),
    ] = None,
    cells: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write each value filled in there, with its interval and sd."),
    ] = None,
    seed: Seed = 1,
    quiet: Quiet = False,
) -> None:
    """Fill in missing values."""
    screen = new_screen(quiet)
    with bad_input():
        from bayesgmm.cli.files import prepare_file, read_posterior, write_csv

        source = read_posterior(posterior)
        for path in (out, cells):
            if path is not None:
                prepare_file(path)
        from bayesgmm.cli.frames import cells_frame, completed_frame
        from bayesgmm.questions.impute import impute as draw_values

        imputed = draw_values(source, n_draws=max(1000, tables or 0), random_seed=seed)
    write_csv(completed_frame(imputed, tables), out)
    filled = cells_frame(imputed)
    screen.say(f"{len(filled)} values filled in, written to {out}")
    if cells is not None:
        write_csv(filled, cells)
        screen.say(f"Written: {cells}")
