"""Who belongs where: how many rows are certain, which are not, and which are unlike the others."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.cli.report.section import Section, fixed, interval_name
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.posterior.datatree import OBS

CERTAIN = 0.95
"""A membership is called certain when its probability exceeds this at the lower end of its interval."""

SWITCH = 0.05
"""A row could switch when more than this share of the draws puts it in another component."""

STRANGE = 1e-3
"""A row is unlike any other when the mixture makes rows of no more density less often than this."""

MOST_ROWS = 5


def membership_section(membership: xr.Dataset) -> Section:
    """How many rows are certain, how many could switch, and the most uncertain ones.

    Parameters
    ----------
    membership : Dataset
        What `membership` returns for a posterior.
    """
    N, K = membership["probability"].shape
    names = [str(k) for k in range(K)]
    places = ("probability", "probability_lower", "probability_upper")
    values = [membership[name].values for name in places]
    with_noise = f"noise_{places[0]}" in membership
    if with_noise:
        # noise after the components
        names.append("noise")
        values = [np.column_stack([v, membership[f"noise_{name}"]]) for v, name in zip(values, places, strict=True)]
    probability, label = values[0], membership["label"].values
    label = np.where(label == NOISE_LABEL, K, label)
    agreement = membership["label_agreement"].values
    rows = np.arange(N)
    own, lower, upper = (v[rows, label] for v in values)
    title = "Memberships: which component each row belongs to"
    if len(names) == 1:
        return Section(title, None, ("One component: every row belongs to it.",))
    certain, switching = int((lower > CERTAIN).sum()), int((agreement < 1 - SWITCH).sum())
    strange = int((membership["tail_probability"].values < STRANGE).sum())
    sizes = np.bincount(label, minlength=len(names))
    counted = ", ".join(f"{size} in {name}" for name, size in zip(names, sizes, strict=True))
    sentences = (
        f"Rows by their most probable component: {counted}.",
        f"Certain: {certain} of {N} rows (probability above {CERTAIN:g} also at the lower end of its interval).",
        f"Could switch: {switching} of {N} rows (more than {SWITCH:.0%} of the draws put them in another component); "
        f"a draw puts {float(membership['n_switched']):.1f} rows in another component, on average (from "
        f"{float(membership['n_switched_lower']):.0f} to {float(membership['n_switched_upper']):.0f}).",
        f"Unlike any other: {strange} of {N} rows lie where the mixture makes less than 1 row in {1 / STRANGE:.0f} "
        f"({STRANGE * N:.1f} such rows are expected).",
    )
    order = np.argsort(own, kind="stable")[:MOST_ROWS]
    ranked = np.argsort(-probability[order], axis=1, kind="stable")
    table = pd.DataFrame(
        {
            "row": [str(v) for v in membership[OBS].values[order]],
            "component": [names[k] for k in label[order]],
            "probability": [fixed(v, 3) for v in own[order]],
            "from": [fixed(v, 3) for v in lower[order]],
            "to": [fixed(v, 3) for v in upper[order]],
            "draws that agree": [f"{v:.0%}" for v in agreement[order]],
            "otherwise": [names[k] for k in ranked[:, 1]],
        }
    )
    return Section(
        f"Memberships: the {len(table)} most uncertain rows (from-to: {interval_name()})", table, sentences, ("row",)
    )
