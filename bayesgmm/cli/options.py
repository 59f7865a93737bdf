"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

COLUMNS_OF_ROWS = """\
A value may be missing (an empty field): it is integrated out, not filled in. Columns that say something of the rows are
named by options: --weights (how many rows each stands for), --errors (standard errors of measured columns), --label
(the component of rows for which it is known, empty for others). None of them is taken as data."""

Data = Annotated[Path, typer.Argument(metavar="DATA", help="CSV, Parquet or netCDF file.", show_default=False)]
Posterior = Annotated[Path, typer.Argument(metavar="POSTERIOR.nc", help="posterior.nc of a fit.", show_default=False)]
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
Weights = Annotated[
    str | None,
    typer.Option(help="Column of row weights; whole numbers are counts.", show_default="none", metavar="NAME"),
]
Errors = Annotated[
    str | None,
    typer.Option(
        help="Columns with standard errors, as a:a_err,b:b_err: column a was measured with errors of sd a_err.",
        show_default="none",
        metavar="PAIRS",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(help="Column with the component of rows where it is known.", show_default="none", metavar="NAME"),
]
Noise = Annotated[
    Literal["box", "hull"] | None,
    typer.Option(
        help="Let rows belong to no cluster: noise, uniform over the data's box or convex hull.", show_default="none"
    ),
]
Criterion = Literal["bic", "aic", "icl"]
Method = Annotated[
    Literal["nuts", "laplace"],
    typer.Option(help="nuts: sampling. laplace: a Gaussian at the mode, corrected; seconds, and says if not to trust."),
]
Draws = Annotated[int, typer.Option(min=1, metavar="N", help="Posterior draws kept from each chain.")]
Tune = Annotated[int, typer.Option(min=1, metavar="N", help="Warm-up draws of each chain.")]
Chains = Annotated[int, typer.Option(min=1, metavar="N", help="Independent chains; 2 or more tell whether they agree.")]
Cores = Annotated[int | None, typer.Option(min=1, metavar="N", help="Chains run at once.", show_default="all cores")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")]
