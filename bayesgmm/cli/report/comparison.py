"""Which K: the criteria of each model, which each prefers, and how firmly."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayesgmm.cli.report.section import Section, fixed, join, listed
from bayesgmm.em.families import covariance_family
from bayesgmm.selection.compare import CRITERIA, Comparison

FEW_ROWS = 5

LARGE, MOST_COLUMNS, LEADERS = 12, 9, 5
"""Models beyond which families and numbers are laid out as a matrix, its columns, and the models then told in full."""

STRONG_BIC, SLIGHT_BIC = 6, 2
"""Differences of BIC: Kass & Raftery (1995), J. Am. Stat. Assoc. 90, 773-795, section 3.2."""


def comparison_sections(comparison: Comparison, criterion: str = "bic") -> tuple[Section, ...]:
    """Tell a comparison from which nothing is chosen: of many models first the criterion, as a matrix of K and family.

    Parameters
    ----------
    criterion : {"bic", "aic", "icl"}
        What the matrix holds, and what orders the models told in full.
    """
    if not _is_large(comparison.table):
        return (comparison_section(comparison),)
    return *_matrix(comparison.table, criterion), comparison_section(comparison, leading=criterion)


def comparison_section(comparison: Comparison, criterion: str | None = None, *, leading: str = CRITERIA[0]) -> Section:
    """Criteria of each model, which each prefers, and which model the run goes on with.

    Of more than twelve models of several families, the best five admissible ones.

    Parameters
    ----------
    criterion : {"bic", "aic", "icl"} or None
        What chose the model; None when nothing is chosen.
    leading : {"bic", "aic", "icl"}
        What orders the best five, when nothing is chosen.
    """
    table = comparison.table
    leading = criterion or leading
    families, large = table["covariance_type"].nunique() > 1, _is_large(table)
    admissible = table[table["admissible"]]
    best = {name: admissible[name].idxmin() for name in CRITERIA} if len(admissible) else {}
    told = admissible.nsmallest(LEADERS, leading) if large else table
    sentences = []
    if best and len(table) > 1:
        preferred = {name: _model(table.loc[row], families) for name, row in best.items()}
        sentences.append(_preference(preferred))
        sentences += _doubts(table, admissible, best, leading, families)
        if criterion is not None:
            sentences.append(
                f"Going on with {_model(table.loc[best[criterion]], families)}, chosen by {criterion.upper()}."
            )
    if large:
        sentences += _set_aside(table)
        if len(told):
            sentences.append(
                '"starts" is the share of the starts run to their end that reached this optimum; where it is low, a '
                "better one may have been missed."
            )
    return Section(
        f"The {len(told)} admissible models of smallest {leading.upper()} (* marks the smallest of all)"
        if large
        else "Mixtures fitted by EM (BIC, AIC, ICL: smaller is better; * marks the smallest)",
        _in_full(told, best, families, starts=large) if len(told) else None,
        tuple(sentences),
        ("covariance", "note"),
        tuple(
            told.index.get_loc(row)
            for name, row in best.items()
            if row in told.index and name == (leading if large else criterion or name)
        ),
    )


def _in_full(table: pd.DataFrame, best: Mapping[str, int], families: bool, *, starts: bool) -> pd.DataFrame:
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
    if "noise_weight" in table:
        shares, rows = (table[name].astype(float) for name in ("noise_weight", "noise_rows"))
        shown["rows of noise"] = [
            "-" if np.isnan(share) else f"{fixed(row, 1)} ({100 * share:.1f}%)"
            for share, row in zip(shares, rows, strict=True)
        ]
    if starts:
        shown["starts"] = ["-" if np.isnan(v) else f"{100 * v:.0f}%" for v in table["starts_at_best"].astype(float)]
    notes = [_note(row) for _, row in table.iterrows()]
    if any(notes):
        shown["note"] = notes
    return shown


def _is_large(table: pd.DataFrame) -> bool:
    return len(table) > LARGE and table["covariance_type"].nunique() > 1


def _matrix(table: pd.DataFrame, criterion: str) -> list[Section]:
    """Lay a criterion out, as mclust prints it: a row for each family, a column for each K; parts where K are many."""
    values = table[criterion].astype(float)
    admissible = table["admissible"].astype(bool)
    decimals = 1 if not (values.abs() >= 1e5).any() else 0
    smallest = values[admissible].idxmin() if admissible.any() else None
    cells: dict[tuple[str, int], str] = {}
    for row, name, K, value, sound in zip(
        table.index, table["covariance_type"], table["n_components"], values, admissible, strict=True
    ):
        mark = "*" if row == smallest else " " if sound else "o"
        cells[name, K] = "x " if np.isnan(value) else fixed(value, decimals) + mark
    meanings = ["smaller is better"]
    for mark, meaning in (("*", "marks the smallest"), ("o", "a model set aside"), ("x", "one that failed")):
        if any(cell.strip().endswith(mark) for cell in cells.values()):
            meanings.append(f"{mark} {meaning}")
    families, counts = list(dict.fromkeys(table["covariance_type"])), sorted(set(table["n_components"]))
    strong = () if smallest is None else (families.index(table["covariance_type"][smallest]),)
    sections = []
    for first in range(0, len(counts), MOST_COLUMNS):
        part = counts[first : first + MOST_COLUMNS]
        columns = {"covariance": [_family(name) for name in families]} | {
            f"K = {K}": [cells.get((name, K), "") for name in families] for K in part
        }
        title = f"{criterion.upper()} of each family ({', '.join(meanings)})"
        sections.append(Section(title, pd.DataFrame(columns), (), ("covariance",), strong))
    return sections


def _family(name: str) -> str:
    code = covariance_family(name).code
    return code if code == name else f"{code} ({name})"


def _set_aside(table: pd.DataFrame) -> list[str]:
    """Count the models without an admissible fit by reason, and name a few."""
    reasons: dict[str, list[str]] = {}
    for _, row in table[~table["admissible"].astype(bool)].iterrows():
        reasons.setdefault(_note(row), []).append(_model(row, True))
    said = []
    for reason, models in reasons.items():
        fate, _, why = reason.partition(": ")
        said.append(f"{len(models)} model{'s' if len(models) > 1 else ''} {fate} ({why}): {listed(models)}.")
    return said


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
