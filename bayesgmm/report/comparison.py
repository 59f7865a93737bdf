"""Which K: the criteria of each model, which each prefers, and how firmly."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayesgmm.compare import CRITERIA, Comparison
from bayesgmm.report.section import Section, fixed, join

FEW_ROWS = 5

STRONG_BIC, SLIGHT_BIC = 6, 2
"""Differences of BIC: Kass & Raftery (1995), J. Am. Stat. Assoc. 90, 773-795, section 3.2."""


def comparison_section(comparison: Comparison, criterion: str | None = None) -> Section:
    """Criteria of each model, which each prefers, and which model the run goes on with.

    Parameters
    ----------
    criterion : {"bic", "aic", "icl"} or None
        What chose the model; None when nothing is chosen.
    """
    table = comparison.table
    families = table["covariance_type"].nunique() > 1
    admissible = table[table["admissible"]]
    best = {name: admissible[name].idxmin() for name in CRITERIA} if len(admissible) else {}
    shown = pd.DataFrame({"K": table["n_components"].astype(str)})
    if families:
        shown.insert(0, "covariance", table["covariance_type"])
    shown["log-lik"] = [fixed(v, 1) for v in table["loglik"]]
    shown["params"] = ["-" if np.isnan(v) else str(int(v)) for v in table["n_parameters"].astype(float)]
    for name in CRITERIA:
        marks = ["*" if row == best.get(name) else " " for row in table.index]
        shown[name.upper()] = [fixed(v, 1) + mark for v, mark in zip(table[name], marks, strict=True)]
    shown["entropy"] = [fixed(v, 1) for v in table["entropy"]]
    shown["fewest rows"] = [fixed(v, 1) for v in table["smallest_component"]]
    notes = [_note(row) for _, row in table.iterrows()]
    if any(notes):
        shown["note"] = notes
    sentences = []
    if best and len(table) > 1:
        preferred = {name: _model(table.loc[row], families) for name, row in best.items()}
        sentences.append(_preference(preferred))
        sentences += _doubts(table, admissible, best, criterion or CRITERIA[0], families)
        if criterion is not None:
            sentences.append(
                f"Going on with {_model(table.loc[best[criterion]], families)}, chosen by {criterion.upper()}."
            )
    return Section(
        "Mixtures fitted by EM (BIC, AIC, ICL: smaller is better; * marks the smallest)",
        shown,
        tuple(sentences),
        ("covariance", "note"),
        tuple(table.index.get_loc(row) for name, row in best.items() if name == (criterion or name)),
    )


def _note(row: pd.Series) -> str:
    if row["admissible"]:
        return ""
    if np.isnan(row["loglik"]):
        return "failed: every start collapsed"
    if not row["converged"]:
        return "set aside: not converged"
    return "set aside: a component collapsed or holds too few rows"


def _model(row: pd.Series, families: bool) -> str:
    return f"{row['covariance_type']} K = {row['n_components']}" if families else f"K = {row['n_components']}"


def _preference(preferred: Mapping[str, str]) -> str:
    voters: dict[str, list[str]] = {}
    for name, model in preferred.items():
        voters.setdefault(model, []).append(name.upper())
    if len(voters) == 1:
        return f"{join([name.upper() for name in preferred])} all prefer {next(iter(voters))}."
    said = [f"{join(names)} prefer{'s' if len(names) == 1 else ''} {model}" for model, names in voters.items()]
    return (
        f"{join(said)}: they disagree, because AIC rewards detail in the density, ICL groups that stand apart, and BIC "
        "lies between."
    )


def _doubts(
    table: pd.DataFrame, admissible: pd.DataFrame, best: Mapping[str, int], criterion: str, families: bool
) -> list[str]:
    chosen, counts = table.loc[best[criterion]], table["n_components"]
    said = []
    others = admissible.drop(best[criterion])
    if criterion == "bic" and len(others):
        second = others.loc[others["bic"].idxmin()]
        gap = second["bic"] - chosen["bic"]
        if gap < STRONG_BIC:
            said.append(
                f"{_model(second, families)} is close behind: its BIC is {gap:.1f} higher, and a difference below "
                f"{SLIGHT_BIC} is hardly worth a mention, one above {STRONG_BIC} strong."
            )
    if chosen["smallest_component"] < FEW_ROWS:
        said.append(
            f"The smallest component of {_model(chosen, families)} holds {chosen['smallest_component']:.1f} rows: "
            "look at them before you take it for a cluster."
        )
    if counts.nunique() > 1 and chosen["n_components"] == counts.max():
        said.append(f"K = {counts.max()} is the largest number tried: try more with -k.")
    return said
