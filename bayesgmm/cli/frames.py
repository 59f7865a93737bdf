"""Tables of results, as the commands write them."""

from typing import Any

import pandas as pd
import xarray as xr

from bayesgmm.posterior import datatree
from bayesgmm.questions.completed_table import completed_table
from bayesgmm.questions.generate import generate


def membership_frame(memberships: xr.Dataset) -> pd.DataFrame:
    """Row label, label, agreement; then probability, lower and upper end for each component, noise last."""
    columns: dict[str, Any] = {
        "row": memberships[datatree.OBS].values,
        "label": memberships["label"].values,
        "agreement": memberships["label_agreement"].values,
    }
    for k in memberships[datatree.COMPONENT].values:
        for column, name in (("probability", ""), ("lower", "_lower"), ("upper", "_upper")):
            columns[f"{column}_{k}"] = memberships[f"probability{name}"].sel({datatree.COMPONENT: k}).values
    if "noise_probability" in memberships:
        for column, name in (("probability", ""), ("lower", "_lower"), ("upper", "_upper")):
            columns[f"{column}_noise"] = memberships[f"noise_probability{name}"].values
    return pd.DataFrame(columns)


def generated_frame(
    posterior: xr.DataTree,
    n_rows: int | None = None,
    *,
    n_datasets: int = 1,
    random_seed: int | None = None,
    **how: Any,
) -> pd.DataFrame:
    """Generate rows in the columns of the data; ``component_label`` says where each comes from, if it is wanted.

    With several datasets the first column, ``dataset``, counts them from 0. Further arguments are those of `generate`.
    """
    drawn = generate(posterior, n_rows, n_datasets=n_datasets, random_seed=random_seed, **how)
    data = drawn["posterior_predictive"].dataset
    values = data["x"].values[0]
    frame = pd.DataFrame(values.reshape(-1, values.shape[-1]), columns=data[datatree.FEATURE].values.astype(str))
    if "component_label" in data:
        frame.insert(frame.shape[1], "component_label", data["component_label"].values.ravel(), allow_duplicates=True)
    if n_datasets > 1:
        which = [dataset for dataset in range(n_datasets) for _ in range(values.shape[1])]
        frame.insert(0, "dataset", which, allow_duplicates=True)
    return frame


def completed_frame(imputed: xr.DataTree, n_tables: int | None = None) -> pd.DataFrame:
    """Table without holes, after its row labels: of expectations, or several drawn, which column ``draw`` counts."""
    if n_tables is None:
        return _with_rows(completed_table(imputed))
    frames = [_with_rows(completed_table(imputed, draw)) for draw in range(n_tables)]
    return pd.concat(frames, keys=range(n_tables), names=["draw"]).reset_index(level="draw")


def _with_rows(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.index.to_numpy()
    table = table.reset_index(drop=True)
    table.insert(0, "row", rows, allow_duplicates=True)
    return table


def cells_frame(imputed: xr.DataTree) -> pd.DataFrame:
    """Each value that was filled in: row, column, expectation, interval, standard deviation."""
    cells, tables = imputed["posterior_predictive"].dataset, imputed["imputed"].dataset
    hidden = tables["hidden"].transpose(datatree.OBS, datatree.FEATURE).values.astype(bool)
    columns = {"value": "x", "lower": "x_lower", "upper": "x_upper", "sd": "x_sd"}
    return pd.DataFrame(
        {"row": cells["cell_obs_id"].values, "column": cells["cell_feature"].values}
        | {name: tables[of].transpose(datatree.OBS, datatree.FEATURE).values[hidden] for name, of in columns.items()}
    )
