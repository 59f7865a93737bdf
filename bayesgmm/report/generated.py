"""Whether generated data looks like the real: means, standard deviations and correlations side by side."""

from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.datatree import view
from bayesgmm.generate import generate
from bayesgmm.intervals import interval
from bayesgmm.report.section import Section, interval_name, number

MOST_FIGURES = 20
MOST_GENERATED_NUMBERS = 20_000_000


def generated_section(dt: xr.DataTree, *, random_seed: int | None = None) -> Section:
    """How datasets generated from the posterior compare with the data: means, sds, correlations."""
    mixture = view(dt)
    observed = mixture.observe(None)
    N, D = observed.n_rows, observed.n_features
    n_datasets = int(np.clip(MOST_GENERATED_NUMBERS // (N * D), 20, 200))
    at_once = max(1, MOST_GENERATED_NUMBERS // 10 // (N * D))
    rng = np.random.default_rng(random_seed)
    drawn = []
    for start in range(0, n_datasets, at_once):
        sets = generate(dt, n_datasets=min(at_once, n_datasets - start), random_seed=rng)
        drawn.append(_figures(sets["posterior_predictive"].dataset["x"].values[0]))
    simulated = np.concatenate(drawn)
    real = _figures(np.asarray(observed.values, dtype=np.float64)[None])[0]
    lower, upper = interval(simulated)
    width = upper - lower
    names = [f"{kind} {name}" for kind in ("mean", "sd") for name in mixture.feature_names]
    names += [f"corr {a}, {b}" for a, b in combinations(mixture.feature_names, 2)]
    inside = (lower <= real) & (real <= upper)
    count = f"All {len(names)}" if inside.all() else f"{int(inside.sum())} of the {len(names)}"
    sentences = [
        f"{count} figures of the data lie inside the interval over {n_datasets} generated datasets of {N} rows."
    ]
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


def _figures(x: np.ndarray) -> np.ndarray:
    """Means, standard deviations and correlations of datasets x (S, N, D): (S, 2 D + D (D - 1) / 2)."""
    mean, sd = x.mean(axis=1), x.std(axis=1)
    z = (x - mean[:, None]) / sd[:, None]
    i, j = np.triu_indices(x.shape[2], 1)
    return np.concatenate([mean, sd, (np.swapaxes(z, 1, 2) @ z)[:, i, j] / x.shape[1]], axis=1)
