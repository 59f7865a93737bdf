"""Whether generated data looks like the real: means, standard deviations and correlations side by side."""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.cli.report.section import Section, interval_name, number
from bayesgmm.data.observations import Observations
from bayesgmm.posterior.datatree import view
from bayesgmm.posterior.intervals import interval
from bayesgmm.questions.generate import generate

MOST_FIGURES = 20
MOST_GENERATED_NUMBERS = 20_000_000


def generated_section(dt: xr.DataTree, *, random_seed: int | None = None) -> Section:
    """How datasets generated from the posterior compare with the data: means, sds, correlations."""
    mixture = view(dt)
    observed = mixture.observe(None)
    N, D = _rows_like(observed), observed.n_features
    seen = None if observed.missing is None or not observed.missing.any() else ~observed.missing
    n_datasets = int(np.clip(MOST_GENERATED_NUMBERS // (N * D), 20, 200))
    at_once = max(1, MOST_GENERATED_NUMBERS // 10 // (N * D))
    rng = np.random.default_rng(random_seed)
    drawn = []
    for start in range(0, n_datasets, at_once):
        sets = generate(
            dt,
            N,
            n_datasets=min(at_once, n_datasets - start),
            random_seed=rng,
            labels=False,
            measurement_errors=observed.errors is not None,
        )
        drawn.append(_figures(sets["posterior_predictive"].dataset["x"].values[0], _holes(seen, N, rng)))
    simulated = np.concatenate(drawn)
    real = _figures(np.asarray(observed.values, dtype=np.float64)[None], seen, observed.weights)[0]
    lower, upper = interval(simulated)
    width = upper - lower
    names = [f"{kind} {name}" for kind in ("mean", "sd") for name in mixture.feature_names]
    names += [f"corr {a}, {b}" for a, b in combinations(mixture.feature_names, 2)]
    inside = (lower <= real) & (real <= upper)
    count = f"All {len(names)}" if inside.all() else f"{int(inside.sum())} of the {len(names)}"
    sentences = [
        f"{count} figures of the data lie inside the interval over {n_datasets} generated datasets of {N} rows."
    ]
    if seen is not None:
        sentences.append("Values are missing in the generated datasets as they are in the data.")
    if observed.errors is not None:
        sentences.append("The generated datasets have measurement errors as the data have.")
    # of many, those that fit worst
    centre = simulated.mean(axis=0)
    shown = np.sort(np.argsort(-np.abs(real - centre) / width, kind="stable")[:MOST_FIGURES])
    table = pd.DataFrame(
        {
            "figure": [names[j] for j in shown],
            "data": [number(real[j], width[j]) for j in shown],
            "generated": [number(centre[j], width[j]) for j in shown],
            "from": [number(lower[j], width[j]) for j in shown],
            "to": [number(upper[j], width[j]) for j in shown],
            "": ["" if inside[j] else "outside" for j in shown],
        }
    )
    if inside[shown].all():
        table = table.drop(columns="")
    if len(names) > len(shown):
        sentences.insert(0, f"Shown are the {len(shown)} that fit worst.")
    return Section(
        f"Generated data beside the real (from-to: {interval_name()})", table, tuple(sentences), ("figure", "")
    )


def _rows_like(observed: Observations) -> int:
    """How many rows, each counting once, say as much of the mixture as the data do."""
    if observed.has_whole_weights:
        return round(observed.total_weight)
    return max(2, round(observed.counts.sum() ** 2 / (observed.counts**2).sum()))


def _holes(seen: np.ndarray | None, n_rows: int, rng: np.random.Generator) -> np.ndarray | None:
    """Which values (N, D) of generated rows are there: those of the data, or of as many rows of it at random."""
    return seen if seen is None or len(seen) == n_rows else seen[rng.integers(len(seen), size=n_rows)]


def _figures(x: np.ndarray, seen: np.ndarray | None = None, weights: np.ndarray | None = None) -> np.ndarray:
    """Means, standard deviations and correlations of datasets x (S, N, D): (S, 2 D + D (D - 1) / 2).

    Of the values that are seen (N, D), rows weighted (N,); a correlation is that of the rows which have both.
    """
    w = np.ones(x.shape[1:]) if seen is None else seen.astype(np.float64)
    if weights is not None:
        w = w * weights[:, None]
    x = np.where(w > 0, x, 0.0)
    mean = (w * x).sum(axis=1) / w.sum(axis=0)
    centred = x - mean[:, None]
    sd = np.sqrt((w * centred**2).sum(axis=1) / w.sum(axis=0))
    z = np.where(w > 0, centred / sd[:, None], 0.0)
    i, j = np.triu_indices(x.shape[2], 1)
    both = w if weights is None else np.where(w > 0, np.sqrt(weights)[:, None], 0.0)
    pairs = np.swapaxes(both * z, 1, 2) @ (both * z)
    return np.concatenate([mean, sd, pairs[:, i, j] / (both.T @ both)[i, j]], axis=1)
