"""What the posterior says of the parameters, and how far its draws are to be trusted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.cli.report.section import Section, fixed, interval_name, listed, number
from bayesgmm.diagnostics.diagnose import NOISE_QUANTITY, diagnose
from bayesgmm.posterior.datatree import meta, posterior_parameters, view
from bayesgmm.posterior.intervals import interval
from bayesgmm.posterior.quantities import readable_parameters, without_repetition

MOST_PARAMETERS = 60


def posterior_section(dt: xr.DataTree) -> Section:
    """Parameters with intervals, R-hat, effective sample size, and the EM value beside; what `diagnose` says."""
    facts, mixture, diagnosis = meta(dt), view(dt), diagnose(dt)
    parameters = posterior_parameters(dt)
    C, S = parameters.batch_shape
    names, values = readable_parameters(parameters, mixture.feature_names, mixture.units)
    em_parameters = posterior_parameters(dt, "em")
    _, em = readable_parameters(em_parameters, mixture.feature_names, mixture.units)
    flat = values.reshape(C * S, -1)
    names, kept = without_repetition(names, flat)
    flat, em = flat[:, kept], em[kept]
    examined = diagnosis.table[~diagnosis.table["label_free"]]
    noise, of_noise = parameters.noise, diagnosis.table[diagnosis.table["quantity"] == NOISE_QUANTITY]
    if noise is not None and em_parameters.noise is not None and len(of_noise):
        names = [*names, ("noise", "weight")]
        flat, em = np.column_stack([flat, noise.weight.ravel()]), np.append(em, em_parameters.noise.weight)
        examined = pd.concat([examined, of_noise])
    lower, upper = interval(flat)
    width = upper - lower
    table = pd.DataFrame(
        {
            "parameter": [f" {parameter}" for _, parameter in names],
            "mean": [number(v, w) for v, w in zip(flat.mean(axis=0), width, strict=True)],
            "from": [number(v, w) for v, w in zip(lower, width, strict=True)],
            "to": [number(v, w) for v, w in zip(upper, width, strict=True)],
            "EM": [number(v, w) for v, w in zip(em, width, strict=True)],
            "R-hat": [fixed(v, 3) for v in examined["rhat"]],
            "bulk ESS": [fixed(v, 0) for v in examined["ess_bulk"]],
        }
    )
    outside = [
        f"{parameter} of {component}"
        for (component, parameter), out in zip(names, (em < lower) | (em > upper), strict=True)
        if out
    ]
    sentences = list(diagnosis.sentences)
    if outside:
        sentences.append(f"The EM value lies outside the interval for {listed(outside)}.")
    else:
        sentences.append("Every EM value lies inside its interval.")
    if any(parameter.startswith("corr") for _, parameter in names):
        sentences.append("sd and corr are the covariance matrices made readable; posterior.nc has the matrices.")
    if len(table) > MOST_PARAMETERS:
        sentences.insert(0, f"... and {len(table) - MOST_PARAMETERS} more parameters, all of them in posterior.nc.")
    table, heads = _under_components(table.head(MOST_PARAMETERS), [component for component, _ in names])
    return Section(
        f"Posterior of K = {facts['n_components']}, {facts['covariance_type']} covariance: {C} chains x {S} draws "
        f"(from-to: {interval_name()})",
        table,
        tuple(sentences),
        ("parameter",),
        heads,
    )


def _under_components(table: pd.DataFrame, components: Sequence[str]) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """Put a line with the name of its component above each group of rows; return where these lines are."""
    rows: list[dict[str, str]] = []
    heads: list[int] = []
    for i, row in enumerate(table.to_dict("records")):
        if i == 0 or components[i] != components[i - 1]:
            heads.append(len(rows))
            rows.append(dict.fromkeys(table.columns, "") | {"parameter": components[i]})
        rows.append({str(name): text for name, text in row.items()})
    return pd.DataFrame(rows), tuple(heads)
