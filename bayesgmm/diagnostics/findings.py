"""What may be amiss with draws of a mixture: one function for each finding, numbers in, a sentence out.

May import NumPy, pandas and the modules below it only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.data.observations import Observations
from bayesgmm.diagnostics.result import Finding
from bayesgmm.em.families import covariance_family
from bayesgmm.posterior.intervals import interval

LARGEST_RHAT, LEAST_ESS = 1.01, 400
"""Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16, 667-718, sections 4 and 7."""

DISAGREEMENT_RHAT = 1.1
"""Gelman & Rubin's older bound: above it, chains are in different places rather than too short."""

LEAST_BFMI = 0.3
"""Betancourt (2016), arXiv:1604.00695: below, momentum resampling explores the energies too slowly."""

LARGEST_PARETO_K = 0.7
"""Vehtari, Simpson, Gelman, Yao & Gabry (2024), Journal of Machine Learning Research 25 (72)."""

ELSEWHERE_SHARE = 0.05
TREE_DEPTH_SHARE = 0.01
LEAST_IDENTIFIABILITY = 0.9
"""A draw's label is right with probability 0.95, on average."""

EMPTY_ROWS, EMPTY_SHARE = 1.0, 0.05
DUPLICATE_DISTANCE, DUPLICATE_SHARE = 0.1, 0.05
"""Bhattacharyya: two equal normal distributions 0.9 standard deviations apart, whose sum has one bump."""

LEAST_DRAWS = 4

SHORTER = "sample longer (`draws`, `tune`), or use fewer components"


def enough_draws(C: int, S: int) -> Finding | None:
    """Whether R-hat and the effective sample size can be computed at all."""
    counted = f"{C} chain{'s' if C > 1 else ''} of {S} draw{'s' if S > 1 else ''}"
    if S < LEAST_DRAWS:
        return Finding(
            "number of draws",
            "error",
            f"{counted}: R-hat and the effective sample size need at least {LEAST_DRAWS} draws a chain.",
            "Nothing can be said of convergence, and intervals over so few draws mean little; what follows looks at "
            "the draws there are.",
            "Sample again with `draws=1000` and 4 chains.",
        )
    if C < 2:
        return Finding(
            "number of chains",
            "warning",
            f"{counted}: R-hat, which tells whether chains agree, needs at least 2 chains of 4 draws.",
            "The effective sample size can be computed, but nothing shows whether another start would have ended "
            "elsewhere.",
            "Sample with `chains=4`.",
        )
    return None


def agreement(table: pd.DataFrame, components: pd.DataFrame, stats: Mapping[str, np.ndarray]) -> Finding | None:
    """R-hat, of what needs no labels first: it tells whether labels are all that is amiss."""
    known = table[table["rhat"].notna()]
    if known.empty:
        return None
    free, own = known[known["label_free"]], known[~known["label_free"]]
    worst = known.loc[known["rhat"].idxmax()]
    bound = f"should be below {LARGEST_RHAT}"
    if worst["rhat"] < LARGEST_RHAT:
        return Finding("R-hat", "fine", f"The chains agree: the largest R-hat is {worst['rhat']:.3f} ({bound}).")
    if len(free) and (apart := free["rhat"].max()) >= LARGEST_RHAT:
        seen = f"R-hat is {apart:.3f} for the {free.loc[free['rhat'].idxmax(), 'quantity']}, which needs no labels"
        if len(own):
            seen += f", and {own['rhat'].max():.3f} for the {_named(own.loc[own['rhat'].idxmax()])} ({bound})"
        if apart < DISAGREEMENT_RHAT:
            meaning = "The chains have not run long enough to agree; the last digits of every number are doubtful."
            return Finding("R-hat", "warning", f"{seen}.", meaning, f"{SHORTER[0].upper()}{SHORTER[1:]}.")
        levels = ""
        if "lp" in stats:
            levels = f" Mean log posterior, chain by chain: {', '.join(f'{m:.1f}' for m in stats['lp'].mean(axis=1))}."
        return Finding(
            "R-hat",
            "error",
            f"{seen}.{levels}",
            "The chains stay in different regions of the posterior. Pooled numbers weight each region by the number of "
            "chains in it, which means nothing.",
            f"Do not use them: {SHORTER}; or look at each chain by itself.",
        )
    seen = f"R-hat is {worst['rhat']:.3f} for the {_named(worst)} ({bound})"
    seen += f", but {free['rhat'].max():.3f} at most for what needs no labels." if len(free) else "."
    if len(_doubtful(components)):
        return Finding(
            "R-hat",
            "warning",
            seen,
            "The chains agree on the density; they differ in which component bears which label.",
            "Use quantities that need no labels (density, new data), or fewer components.",
        )
    return Finding(
        "R-hat",
        "warning",
        seen,
        "The chains have not run long enough to agree on this component.",
        f"{SHORTER[0].upper()}{SHORTER[1:]}.",
    )


def precision(table: pd.DataFrame) -> Finding | None:
    """Effective sample size, bulk and tail."""
    known = table[table["ess_bulk"].notna()]
    if known.empty:
        return None
    least = {kind: known.loc[known[f"ess_{kind}"].idxmin()] for kind in ("bulk", "tail")}
    seen = "The smallest effective sample size is " + " and ".join(
        f"{row[f'ess_{kind}']:.0f} in the {kind} ({_named(row)})" for kind, row in least.items()
    )
    if min(row[f"ess_{kind}"] for kind, row in least.items()) >= LEAST_ESS:
        return Finding("effective sample size", "fine", f"{seen}.")
    fewest = max(min(row[f"ess_{kind}"] for kind, row in least.items()), 1.0)
    return Finding(
        "effective sample size",
        "warning",
        f"{seen}; it should be {LEAST_ESS} or more.",
        "Means and ends of intervals have a Monte Carlo error that shows; R-hat itself is not reliable.",
        f"About {np.ceil(LEAST_ESS / fewest):.0f} times the `draws` would do, unless labels or modes are amiss.",
    )


def divergences(stats: Mapping[str, np.ndarray]) -> Finding:
    """Draws at which the sampler lost the posterior's curvature."""
    if "diverging" not in stats:
        return Finding("divergences", "fine", "The sampler did not say whether it diverged.")
    diverging = np.asarray(stats["diverging"], dtype=bool)
    if not diverging.any():
        return Finding("divergences", "fine", "No divergences.")
    by_chain = ", ".join(str(n) for n in diverging.sum(axis=1))
    return Finding(
        "divergences",
        "warning",
        f"{diverging.sum()} of {diverging.size} draws diverged (by chain: {by_chain}).",
        "Some region of the posterior, often one where a component is nearly empty or nearly flat, may be missed.",
        "Use fewer components, a simpler covariance, a tighter prior, or a longer `tune`.",
    )


def tree_depth(stats: Mapping[str, np.ndarray]) -> Finding | None:
    """Trajectories that were cut short."""
    if "reached_max_treedepth" not in stats:
        return None
    reached = np.asarray(stats["reached_max_treedepth"], dtype=bool)
    if reached.mean() < TREE_DEPTH_SHARE:
        return None
    return Finding(
        "tree depth",
        "warning",
        f"{reached.sum()} of {reached.size} draws reached the largest tree depth.",
        "Trajectories were cut short: draws are valid but dear, and follow each other closely.",
        "Use a longer `tune`; where a component is almost flat, fewer components or a simpler covariance.",
    )


def energy(stats: Mapping[str, np.ndarray]) -> Finding | None:
    """E-BFMI of each chain."""
    from arviz_stats.base import array_stats

    if "energy" not in stats or stats["energy"].shape[1] < LEAST_DRAWS:
        return None
    bfmi = np.atleast_1d(array_stats.bfmi(stats["energy"], chain_axis=0, draw_axis=1))
    if not (bfmi < LEAST_BFMI).any():
        return Finding("E-BFMI", "fine", f"The smallest E-BFMI is {bfmi.min():.2f}.")
    low = [f"chain {chain} ({value:.2f})" for chain, value in enumerate(bfmi) if value < LEAST_BFMI]
    return Finding(
        "E-BFMI",
        "warning",
        f"E-BFMI is below {LEAST_BFMI} in {_listed(low)}.",
        "The sampler moves slowly between regions of high and low density, and may have missed the tails.",
        "Use a longer `tune`, or a tighter prior on what the data say little of, such as nearly empty components.",
    )


def approximation(facts: Mapping[str, Any]) -> Finding:
    """k-hat of the importance weights, where there was no chain."""
    name = str(facts.get("method"))
    recorded = facts.get(name)
    recorded = recorded if isinstance(recorded, Mapping) else {}
    k = recorded.get("pareto_k")
    if k is None:
        return Finding(
            "k-hat",
            "warning",
            f"These are draws of method '{name}', and the DataTree has no k-hat.",
            "Nothing shows how far the approximation is from the posterior.",
            "Compare with `method='nuts'`.",
        )
    seen = f"k-hat of the importance weights is {float(k):.2f}"
    if (size := recorded.get("effective_size")) is not None:
        seen += f", their effective sample size {float(size):.0f}"
    if float(k) < LARGEST_PARETO_K:
        return Finding("k-hat", "fine", f"{seen} (should be below {LARGEST_PARETO_K}).")
    return Finding(
        "k-hat",
        "error",
        f"{seen}; k-hat should be below {LARGEST_PARETO_K}.",
        "The posterior is not near enough to the Gaussian at its mode: means and intervals are wrong by an unknown "
        "amount.",
        "Use `method='nuts'`.",
    )


def interruption(facts: Mapping[str, Any], C: int, S: int) -> Finding | None:
    """Whether somebody stopped the sampler."""
    if not facts.get("interrupted"):
        return None
    return Finding(
        "interruption",
        "warning",
        f"Sampling was interrupted: {C} of {facts.get('chains', '?')} chains and {S} of {facts.get('draws', '?')} "
        "draws of each are kept.",
        "What is here is valid, as far as the other findings say.",
    )


def other_mode(here: np.ndarray, there: np.ndarray) -> Finding:
    """Compare with the chain that was kept apart, by log-likelihoods of draws here and there."""
    gap = there.mean() - here.mean()
    return Finding(
        "modes",
        "warning",
        f"A chain started elsewhere stayed in another mode (group `other_mode`), where the log-likelihood is "
        f"{abs(gap):.1f} {'higher' if gap > 0 else 'lower'} on average.",
        "The numbers here are those of one mode. "
        + (
            "The other fits the data better."
            if gap > 0
            else "A difference of log-likelihoods is not a weight: the other mode may be wider."
        ),
        "Start there (`start=` a fit of that mode) and compare, or use fewer components.",
    )


def optima(shares: np.ndarray, pareto_k: np.ndarray, here: int) -> Finding | None:
    """Compare the mode that was sampled with other optima of EM, by Gaussians at each.

    `shares` (M,) are probabilities among the modes found, NaN where unknown, `pareto_k` (M,) the k-hat of the Gaussian
    that each was computed from, and `here` is the mode sampled.
    """
    if len(shares) < 2 or not np.isfinite(shares[here]):
        return None
    weighty = shares > ELSEWHERE_SHARE
    weighty[here] = True
    counted = f"EM found {len(shares)} optima that lead to modes"
    if not (pareto_k[weighty] < LARGEST_PARETO_K).all():
        return Finding(
            "optima", "fine", f"{counted}; Gaussians there cannot weigh them (k-hat above {LARGEST_PARETO_K})."
        )
    seen = f"{counted}; the one sampled has probability {shares[here]:.2f} of these."
    if 1.0 - shares[here] < ELSEWHERE_SHARE:
        return Finding("optima", "fine", seen)
    return Finding(
        "optima",
        "warning",
        seen,
        "Unless the chains moved between them, what is here leaves out the others.",
        "Look at the group `modes`; sample the others from their fits (`start=`), or use fewer components.",
    )


def labels(components: pd.DataFrame, facts: Mapping[str, Any]) -> Finding | None:
    """Whether labels can be told from each other."""
    if len(components) < 2:
        return None
    doubtful = _doubtful(components)
    if doubtful.empty:
        least = components["identifiability"].min()
        return Finding("labels", "fine", f"The labels are identifiable (the smallest measure is {least:.2f} of 1).")
    which = [f"component {row.component} ({row.identifiability:.2f})" for row in doubtful.itertuples()]
    return Finding(
        "labels",
        "warning",
        f"Not identifiable, on a scale from 0 (a coin toss) to 1: the label of {_listed(which)}.",
        "In different draws this label means different components: means, intervals and membership probabilities of it "
        "mix them. The density, new data and who belongs together do not depend on labels. No draw was dropped.",
        "Use those, or fewer components"
        + (
            "."
            if facts.get("labels") == "kl"
            else "; `align_labels(dt, method='kl')` may tell them apart by their rows."
        ),
    )


def empty_components(held: np.ndarray, components: pd.DataFrame) -> Finding | None:
    """Draws in which a component holds no row, whichever it is."""
    if len(components) < 2:
        return None
    share = (held < EMPTY_ROWS).any(axis=1).mean()
    if share < EMPTY_SHARE:
        return Finding("empty components", "fine", "Every component holds rows.")
    emptiest = components.loc[components["empty"].idxmax()]
    K = len(components)
    used = (held >= EMPTY_ROWS).sum(axis=1)
    counts = [f"{n} in {np.mean(used == n):.0%}" for n in range(1, K + 1) if np.mean(used == n) >= 0.01]
    return Finding(
        "empty components",
        "warning",
        f"In {share:.0%} of the draws a component holds less than one row, most often component "
        f"{emptiest['component']:.0f} ({emptiest['empty']:.0%}). Components that hold rows: {', '.join(counts)}.",
        f"K = {K} may be more than these data support; an empty component follows its prior.",
        f"Try K = {K - 1} or fewer, and compare.",
    )


def duplicated_components(distances: np.ndarray) -> Finding | None:
    """Draws in which two components are all but the same, whichever they are."""
    K = distances.shape[1]
    if K < 2:
        return None
    pairs = np.triu_indices(K, 1)
    close = distances[:, *pairs] < DUPLICATE_DISTANCE
    share = close.any(axis=1).mean()
    if share < DUPLICATE_SHARE:
        return Finding("duplicated components", "fine", "No two components are the same.")
    most = int(close.mean(axis=0).argmax())
    j, k = pairs[0][most], pairs[1][most]
    lower, upper = interval(distances[:, j, k])
    return Finding(
        "duplicated components",
        "warning",
        f"In {share:.0%} of the draws two components are all but the same (Bhattacharyya distance below "
        f"{DUPLICATE_DISTANCE}), most often components {j} and {k} ({close[:, most].mean():.0%}; interval of "
        f"their distance: {lower:.2g} to {upper:.2g}).",
        f"K = {K} may be more than these data support: one cluster is described twice.",
        f"Try K = {K - 1} or fewer, and compare.",
    )


def ties(observations: Observations, facts: Mapping[str, Any], K: int) -> Finding | None:
    """Equal values under a half-normal prior of standard deviations.

    A component that shrinks onto m equal values contributes the integral of sd^(1 - m) p(sd), which diverges for
    m >= 2 when p(0) > 0. A covariance that every component shares cannot shrink so; one that is a sphere, or has
    a shape that all share, needs rows that are equal throughout.
    """
    family = covariance_family(facts.get("covariance_type", "full"))
    covariances = (facts.get("prior") or {}).get("covariances")
    if K < 2 or not family.shrinks_alone or not _holds_half_normal(covariances):
        return None
    values = observations.values
    if family.shrinks_in_one_direction:
        most_repeated = [_most_repeated(column) for column in values.T]
        column = max(range(len(most_repeated)), key=lambda j: most_repeated[j][1])
        value, count = most_repeated[column]
        where = f"in column '{observations.feature_names[column]}' the value {float(value):.6g} occurs {count} times"
    else:
        value, count = _most_repeated(values)
        where = f"the row ({', '.join(f'{v:.6g}' for v in np.atleast_1d(value))}) occurs {count} times"
    if count < 2:
        return None
    return Finding(
        "ties",
        "error",
        f"The prior of the standard deviations is half-normal, and {where}.",
        "The posterior is improper: a component that shrinks onto equal values has infinite mass. The draws look "
        "normal only because the sampler has not been there.",
        "Use `sd=LogNormal(...)` or `sd=InverseGamma(...)`, whose densities vanish at zero, or the default prior.",
    )


def _most_repeated(values: np.ndarray) -> tuple[np.ndarray, int]:
    complete = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    distinct, counts = np.unique(values[complete], axis=0, return_counts=True)
    return distinct[counts.argmax()], int(counts.max())


def _holds_half_normal(prior: Any) -> bool:
    if isinstance(prior, Mapping):
        return prior.get("kind") == "HalfNormal" or any(_holds_half_normal(part) for part in prior.values())
    return isinstance(prior, list | tuple) and any(_holds_half_normal(part) for part in prior)


def _doubtful(components: pd.DataFrame) -> pd.DataFrame:
    return components[components["identifiability"] < LEAST_IDENTIFIABILITY]


def _named(row: pd.Series) -> str:
    return f"{row['quantity']} of {row['component']}" if row["component"] else str(row["quantity"])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
