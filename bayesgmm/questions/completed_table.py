"""A table without holes, made of what `impute` drew: of expectations, or one of the draws."""

import pandas as pd
import xarray as xr

from bayesgmm.posterior.datatree import CHAIN, DRAW, FEATURE, OBS
from bayesgmm.tools.integers import check_integer


def completed_table(imputed: xr.DataTree, draw: int | None = None) -> pd.DataFrame:
    """Give the table without holes: of expectations, or of one of the draws.

    Parameters
    ----------
    imputed : DataTree
        Of `impute`.
    draw : int, optional
        Which draw, from 0; by default the expectations. An analysis of the completed table should be repeated over
        several draws (multiple imputation): the table of expectations has less spread than the data.

    Returns
    -------
    DataFrame
        (N, D), rows and columns named as in the data; its `to_csv` writes it.

    Raises
    ------
    ValueError
        When `imputed` is not of `impute`, or has no such draw.
    """
    if not isinstance(imputed, xr.DataTree) or "imputed" not in imputed.children:
        raise ValueError("`imputed` must be what `impute` returns: a DataTree with a group 'imputed'.")
    table = imputed["imputed/x"].transpose(OBS, FEATURE)
    frame = pd.DataFrame(
        table.values.copy(), index=pd.Index(table[OBS].values, name=OBS), columns=table[FEATURE].values.tolist()
    )
    if draw is None:
        return frame
    cells = imputed["posterior_predictive"].to_dataset()
    draw = check_integer("draw", draw, 0, cells.sizes[DRAW] - 1)
    values = frame.to_numpy(copy=True)
    columns = {name: j for j, name in enumerate(table[FEATURE].values.tolist())}
    features = [columns[name] for name in cells["cell_feature"].values.tolist()]
    values[cells["row"].values, features] = cells["x_hidden"].isel({CHAIN: 0, DRAW: draw}).values
    return pd.DataFrame(values, index=frame.index, columns=frame.columns)
