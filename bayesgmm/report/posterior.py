"""What the posterior says of the parameters, and how far its draws are to be trusted."""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.datatree import meta, posterior_parameters, view
from bayesgmm.intervals import interval
from bayesgmm.parameters import MixtureParameters
from bayesgmm.report.section import Section, fixed, interval_name, listed, number

GOOD_RHAT, GOOD_ESS = 1.01, 400
"""Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16, 667-718, sections 4 and 7."""

MOST_PARAMETERS, MOST_CORRELATIONS = 60, 500
EVERY = "every component"


def posterior_section(dt: xr.DataTree) -> Section:
    """Parameters with intervals, R-hat, effective sample size, and the EM value beside; how far to trust them."""
    from arviz_stats.base import array_stats

    facts, mixture = meta(dt), view(dt)
    parameters = posterior_parameters(dt)
    C, S = parameters.batch_shape
    names, values = readable_parameters(parameters, mixture.feature_names, mixture.units)
    _, em = readable_parameters(posterior_parameters(dt, "em"), mixture.feature_names, mixture.units)
    names, kept = _without_repetition(names, values.reshape(C * S, -1))
    values, em = values[..., kept], em[kept]
    enough = S >= 4
    rhat = array_stats.rhat(values, chain_axis=0, draw_axis=1) if enough and C > 1 else np.full(len(kept), np.nan)
    ess = array_stats.ess(values, chain_axis=0, draw_axis=1) if enough else np.full(len(kept), np.nan)
    flat = values.reshape(C * S, -1)
    lower, upper = interval(flat)
    width = upper - lower
    table = pd.DataFrame(
        {
            "parameter": [f" {parameter}" for _, parameter in names],
            "mean": [number(v, w) for v, w in zip(flat.mean(axis=0), width, strict=True)],
            "from": [number(v, w) for v, w in zip(lower, width, strict=True)],
            "to": [number(v, w) for v, w in zip(upper, width, strict=True)],
            "EM": [number(v, w) for v, w in zip(em, width, strict=True)],
            "R-hat": [fixed(v, 3) for v in rhat],
            "bulk ESS": [fixed(v, 0) for v in ess],
        }
    )
    outside = [
        f"{parameter} of {component}"
        for (component, parameter), out in zip(names, (em < lower) | (em > upper), strict=True)
        if out
    ]
    sentences = [_trust(names, rhat, ess), _divergences(dt)]
    if facts.get("interrupted"):
        sentences.insert(
            0,
            f"Sampling was interrupted: {C} of {facts['chains']} chains and {S} of {facts['draws']} draws of each are "
            "kept.",
        )
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


def readable_parameters(
    parameters: MixtureParameters, feature_names: Sequence[str], units: Sequence[str]
) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Numbers a reader knows: weights, means, standard deviations and correlations.

    Correlations are left out where there are more than 500 of them.

    Returns
    -------
    names : list of P (component, parameter)
    values : (..., P) float64
        In the units of the data, component by component.
    """
    K, D = parameters.n_components, parameters.n_features
    titled = [f"{name} [{unit}]" if unit else name for name, unit in zip(feature_names, units, strict=True)]
    pairs = list(combinations(range(D), 2))
    pairs = pairs if K * len(pairs) <= MOST_CORRELATIONS else []
    sd = np.sqrt(np.diagonal(parameters.covariances, axis1=-2, axis2=-1))
    names: list[tuple[str, str]] = []
    values: list[np.ndarray] = []
    for k in range(K):
        kinds = ["weight", *(f"mean {t}" for t in titled), *(f"sd {t}" for t in titled)]
        kinds += [f"corr {feature_names[i]}, {feature_names[j]}" for i, j in pairs]
        names += [(f"component {k}", kind) for kind in kinds]
        values += [parameters.weights[..., k]]
        values += [part[..., k, j] for part in (parameters.means, sd) for j in range(D)]
        values += [parameters.covariances[..., k, i, j] / (sd[..., k, i] * sd[..., k, j]) for i, j in pairs]
    return names, np.stack(values, axis=-1)


def _without_repetition(names: Sequence[tuple[str, str]], flat: np.ndarray) -> tuple[list[tuple[str, str]], list[int]]:
    """Drop what does not vary (the weight of K = 1, correlations held at zero); say once what a family shares.

    Looking at the draws rather than at the name of the family serves families that do not exist yet.
    """
    same: dict[bytes, list[int]] = {}
    for j, draws in enumerate(flat.T):
        if draws.min() < draws.max():
            same.setdefault(blake2b(np.ascontiguousarray(draws)).digest(), []).append(j)
    said = []
    for group in same.values():
        components, kinds = ({names[j][side]: None for j in group} for side in (0, 1))
        component = next(iter(components)) if len(components) == 1 else EVERY
        kind = next(iter(kinds)) if len(kinds) == 1 else f"{next(iter(kinds)).partition(' ')[0]} of every feature"
        said.append(((component, kind), group[0]))
    said.sort(key=lambda entry: entry[0][0] == EVERY)
    return [name for name, _ in said], [j for _, j in said]


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


def _trust(names: Sequence[tuple[str, str]], rhat: np.ndarray, ess: np.ndarray) -> str:
    if np.isnan(rhat).all():
        return "R-hat, which tells whether chains agree, needs at least 2 chains of 4 draws."
    worst, least = int(np.nanargmax(rhat)), int(np.nanargmin(ess))
    said = f"the largest R-hat is {rhat[worst]:.3f}, the smallest bulk ESS {ess[least]:.0f}"
    if rhat[worst] < GOOD_RHAT and ess[least] > GOOD_ESS:
        return f"The chains agree: {said}."
    component, parameter = names[worst if rhat[worst] >= GOOD_RHAT else least]
    return (
        f"Do not trust these numbers to the last digit: {said} (should be below {GOOD_RHAT} and above {GOOD_ESS}; "
        f"worst: {parameter} of {component}). Sample longer (--draws, --tune), or use fewer components."
    )


def _divergences(dt: xr.DataTree) -> str:
    if "sample_stats" not in dt.children or "diverging" not in dt["sample_stats"]:
        return "The sampler did not say whether it diverged."
    diverging = dt["sample_stats"].dataset["diverging"].values
    if not diverging.any():
        return "No divergences."
    return (
        f"{int(diverging.sum())} of {diverging.size} draws diverged: some region of the posterior may be missed; "
        "use fewer components, a simpler covariance, or a longer --tune."
    )
