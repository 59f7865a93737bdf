"""Which posterior: leave-one-out prediction and evidence of each, with their errors, beside the EM criteria."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesgmm.cli.report.section import Section, fixed, number

if TYPE_CHECKING:
    # it loads PyMC, which who reads a report of EM fits must not wait for
    from bayesgmm.selection.compare_posteriors import PosteriorComparison

SMALLER, GREATER = ("bic", "aic", "icl"), ("elpd_loo", "log_evidence")


def posterior_comparison_section(comparison: "PosteriorComparison") -> Section:
    """Criteria of each posterior with their errors, in rising order of K; what each asks, and where they disagree."""
    table = comparison.table.sort_values(["covariance_type", "n_components"], kind="stable")
    best = {name: table[name].idxmin() for name in SMALLER}
    best |= {name: table[name].idxmax() for name in GREATER if table[name].notna().any()}
    shown = pd.DataFrame({"model": table.index.astype(str)})
    for column, name, error in (
        ("LOO", "elpd_loo", "elpd_loo_error"),
        ("log evidence", "log_evidence", "log_evidence_error"),
    ):
        cells = zip(table.index, table[name], table[error], strict=True)
        shown[column] = [number(v, 10 * e) + ("*" if row == best.get(name) else " ") for row, v, e in cells]
        shown["+-" if column == "LOO" else "error"] = [number(v, 10 * v) for v in table[error]]
    shown.insert(3, "behind", [fixed(abs(v), 1) for v in table["elpd_difference"]])
    shown.insert(4, "+- ", [fixed(v, 1) for v in table["difference_error"]])
    shown["P(model)"] = [fixed(v, 3) for v in table["probability"]]
    shown["stacking"] = [fixed(v, 2) for v in table["weight_stacking"]]
    for name in SMALLER:
        marks = ["*" if row == best[name] else " " for row in table.index]
        shown[name.upper()] = [fixed(v, 1) + mark for v, mark in zip(table[name], marks, strict=True)]
    sentences = list(comparison.sentences())
    if (bad := int(table["n_bad_k"].sum())) > 0:
        sentences.append(f"{bad} rows have a Pareto k above 0.7: LOO is not to be trusted there.")
    strong = tuple(np.flatnonzero(table.index == best["elpd_loo"]).tolist())
    return Section(
        "Posteriors compared (LOO, log evidence: greater is better; BIC, AIC, ICL: smaller; * marks the best)",
        shown,
        tuple(sentences),
        ("model",),
        strong,
    )
