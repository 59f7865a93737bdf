"""diagnose: how far the draws of a posterior are to be trusted, what is amiss, and what to do about it."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import even_positions, some_rows
from bayesgmm.diagnostics import findings
from bayesgmm.diagnostics.result import Diagnosis
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.alignment import align, identifiability, separations
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import CHAIN, DRAW, fixed_labels, meta, posterior_parameters, view
from bayesgmm.posterior.intervals import interval
from bayesgmm.posterior.quantities import LabelFree, label_free, readable_parameters, without_repetition

MOST_ROWS = 10_000
"""Rows that the sums over rows look at; of more, this many are taken at even distances."""

NOISE_QUANTITY = "noise weight"
"""Name of the share of noise in the table of quantities."""

DENSITY_ROWS = 5
MOST_DRAWS_ELSEWHERE = 200


def diagnose(dt: xr.DataTree) -> Diagnosis:
    """Examine how far draws, labels and components of a posterior are to be trusted.

    Examined are: divergences, tree depth, E-BFMI, R-hat and effective sample size (of numbers that follow the labels,
    and of numbers that need none: log-likelihood, log posterior, entropy of the memberships, the weight of noise where
    there is any, log density at five rows), agreement of modes, identifiability of the labels
    (`bayesgmm.mixture.alignment.identifiability`), empty and duplicated components, repeated values under a
    half-normal prior, and k-hat for the Laplace method. No draw is dropped.

    Parameters
    ----------
    dt : DataTree
        A posterior, as from `sample_posterior`, or saved and loaded again.

    Returns
    -------
    Diagnosis
        ``print`` it for the text; ``ok``, ``findings``, ``table`` and ``components`` for a program.

    Raises
    ------
    TypeError
        When `dt` is not a DataTree: a maximum-likelihood fit has no draws.
    ValueError
        When it lacks a mixture posterior, the rows it was fitted to, or the root attribute that says how it was made.

    Notes
    -----
    With fewer than 4 draws a chain neither R-hat nor the effective sample size can be computed, with one chain no
    R-hat: a finding says so, and what can be said is said. Sums over rows look at up to 10 000 rows, at even
    distances where there are more. The five rows are those of the least, the largest and the quartiles of the EM
    fit's density.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16, 667-718. Betancourt (2016),
    arXiv:1604.00695. Rousseau & Mengersen (2011), Journal of the Royal Statistical Society B 73, 689-710 (what
    becomes of components that are not needed).
    """
    if not isinstance(dt, xr.DataTree):
        raise TypeError(
            f"`dt` must be a posterior (xarray.DataTree); received {type(dt)!r}: only draws can be diagnosed, "
            "`sample_posterior` makes them."
        )
    facts, mixture = meta(dt), view(dt)
    if mixture.observations is None:
        raise ValueError("the DataTree has no group 'observed_data': `diagnose` looks at the rows it was fitted to.")
    parameters = posterior_parameters(dt)
    C, S = parameters.batch_shape
    K = parameters.n_components
    is_chain = facts.get("method", "nuts") == "nuts"
    rows = some_rows(mixture.observations, MOST_ROWS)
    totals = label_free(rows, mixture.parameters)
    chosen = _density_rows(rows, posterior_parameters(dt, "em"))
    stats = _sampler_says(dt)
    table = _table(
        dt,
        mixture.feature_names,
        mixture.units,
        rows,
        chosen,
        totals,
        stats,
        is_chain=is_chain,
        n_rows=mixture.observations.n_rows,
    )
    held = totals.rows * (mixture.observations.total_weight / rows.total_weight)
    distances = separations(mixture.parameters)
    components = _components(dt, held, distances)
    if is_chain:
        said = [
            findings.enough_draws(C, S),
            findings.agreement(table, components, stats),
            findings.precision(table),
            findings.divergences(stats),
            findings.tree_depth(stats),
            findings.energy(stats),
        ]
    else:
        said = [findings.approximation(facts)]
    said.append(findings.interruption(facts, C, S))
    if "other_mode" in dt.children:
        said.append(findings.other_mode(totals.log_likelihood, _elsewhere(dt, rows)))
    if "modes" in dt.children and {"probability", "pareto_k"} <= set(dt["modes"].data_vars):
        shares, pareto_k = (dt["modes"].dataset[name].values for name in ("probability", "pareto_k"))
        sampled = facts.get("chain_modes") or [0]
        said.append(findings.optima(shares, pareto_k, max(sampled, key=sampled.count)))
    said += [
        findings.labels(components, facts),
        findings.empty_components(held, components),
        findings.duplicated_components(distances),
        findings.ties(mixture.observations, facts, K),
    ]
    if S < findings.LEAST_DRAWS:
        # so few draws clear nothing
        said = [finding for finding in said if finding is not None and finding.severity != "fine"]
    order = {"error": 0, "warning": 1, "fine": 2}
    return Diagnosis(
        f"Posterior of K = {K}, {facts.get('covariance_type', 'unknown')} covariance: "
        f"{C} chain{'s' if C > 1 else ''} x {S} draws",
        tuple(sorted((finding for finding in said if finding is not None), key=lambda one: order[one.severity])),
        table,
        components,
        tuple(str(label) for label in rows.row_labels[chosen]),
    )


def _sampler_says(dt: xr.DataTree) -> dict[str, np.ndarray]:
    """Variables over (chain, draw) of the group ``sample_stats``."""
    if "sample_stats" not in dt.children:
        return {}
    said = dt["sample_stats"].data_vars.items()
    return {
        str(name): variable.transpose(CHAIN, DRAW).values
        for name, variable in said
        if set(variable.dims) == {CHAIN, DRAW}
    }


def _elsewhere(dt: xr.DataTree, rows: Observations) -> np.ndarray:
    """Log-likelihood of some draws of the mode that was kept apart."""
    draws = posterior_parameters(dt, "other_mode").flat()
    step = -(-len(draws.weights) // MOST_DRAWS_ELSEWHERE)
    return label_free(rows, draws[::step]).log_likelihood


def _density_rows(rows: Observations, em: MixtureParameters) -> np.ndarray:
    """Positions of the rows at the least, the largest and the quartiles of the EM fit's density."""
    order = map_rows(normalise, rows, em).argsort(kind="stable")
    return np.unique(order[even_positions(len(order), DENSITY_ROWS)])


def _table(
    dt: xr.DataTree,
    names: tuple[str, ...],
    units: tuple[str, ...],
    rows: Observations,
    chosen: np.ndarray,
    totals: LabelFree,
    stats: dict[str, np.ndarray],
    *,
    is_chain: bool,
    n_rows: int,
) -> pd.DataFrame:
    from arviz_stats.base import array_stats

    parameters = posterior_parameters(dt)
    C, S = parameters.batch_shape
    titles, values = readable_parameters(parameters, names, units)
    titles, kept = without_repetition(titles, values.reshape(C * S, -1))
    of = "" if rows.n_rows == n_rows else f" of {rows.n_rows} rows"
    free = {f"log likelihood{of}": totals.log_likelihood, f"entropy of memberships{of}": totals.entropy}
    if "lp" in stats:
        free["log posterior"] = stats["lp"].ravel()
    if parameters.noise is not None:
        free[NOISE_QUANTITY] = parameters.noise.weight.ravel()
    flat = parameters.flat()
    density = map_rows(lambda log_joint: normalise(log_joint).T, rows.take(chosen), flat, trailing=(C * S,))
    for label, log_density in zip(rows.row_labels[chosen], density, strict=True):
        free[f"log density at row {label}"] = log_density
    free = {name: draws for name, draws in free.items() if draws.min() < draws.max()}
    every = np.column_stack([np.empty((C * S, 0)), *free.values(), values[..., kept].reshape(C * S, -1)])
    chains = every.reshape(C, S, -1)
    nothing = np.full(chains.shape[-1], np.nan)
    enough = is_chain and S >= findings.LEAST_DRAWS and chains.shape[-1] > 0
    axes: dict[str, int] = {"chain_axis": 0, "draw_axis": 1}
    return pd.DataFrame(
        {
            "quantity": [*free, *(kind for _, kind in titles)],
            "component": [*([""] * len(free)), *(component for component, _ in titles)],
            "label_free": [True] * len(free) + [False] * len(titles),
            "mean": every.mean(axis=0),
            "sd": every.std(axis=0),
            "rhat": array_stats.rhat(chains, **axes) if enough and C > 1 else nothing,
            "ess_bulk": array_stats.ess(chains, method="bulk", **axes) if enough else nothing,
            "ess_tail": array_stats.ess(chains, method="tail", prob=(0.05, 0.95), **axes) if enough else nothing,
        }
    )


def _components(dt: xr.DataTree, held: np.ndarray, distances: np.ndarray) -> pd.DataFrame:
    K = held.shape[1]
    if "alignment" in dt.children and "margin" in dt["alignment"]:
        margin = dt["alignment"].dataset["margin"].values
    else:
        margin = align(posterior_parameters(dt), posterior_parameters(dt, "em"), fixed=fixed_labels(dt)).margin
    frame = pd.DataFrame(
        {
            "component": np.arange(K),
            "identifiability": identifiability(margin),
            "rows": np.median(held, axis=0),
            "empty": (held < findings.EMPTY_ROWS).mean(axis=0),
        }
    )
    if K > 1:
        medians = np.median(distances, axis=0)
        np.fill_diagonal(medians, np.inf)
        nearest = medians.argmin(axis=1)
        lower, upper = interval(distances[:, np.arange(K), nearest])
        frame = frame.assign(nearest=nearest, distance=medians.min(axis=1), distance_lower=lower, distance_upper=upper)
    return frame
