"""A part of a report: a table of text with its sentences; and how numbers and lists become text.

May import NumPy, pandas, ``intervals`` and ``clock`` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesgmm.posterior.intervals import check_ci_prob
from bayesgmm.tools.clock import PARTS


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A part of a report.

    Attributes
    ----------
    title : str
    table : DataFrame of str, or None
    sentences : tuple of str
    text_columns : tuple of str
        Columns that are words: aligned left, and folded when the line is too narrow.
    strong : tuple of int
        Rows to emphasise.
    """

    title: str
    table: pd.DataFrame | None = None
    sentences: tuple[str, ...] = ()
    text_columns: tuple[str, ...] = ()
    strong: tuple[int, ...] = ()

    def emphasis(self) -> list[bool]:
        """Whether each row of the table is emphasised."""
        return [] if self.table is None else [row in self.strong for row in range(len(self.table))]


def time_section(seconds: Mapping[str, float]) -> Section:
    """Where the time went, by parts of a run."""
    spent = {PARTS[part]: seconds[part] for part in PARTS if part in seconds}
    spent["total"] = sum(seconds.values())
    table = pd.DataFrame({"part": list(spent), "seconds": [f"{s:.1f}" for s in spent.values()]})
    return Section("Where the time went", table, (), ("part",), (len(table) - 1,))


def interval_name() -> str:
    """Name of the intervals that ArviZ's settings ask for, for instance "89% equal-tailed interval"."""
    from arviz_base import rcParams

    kind = {"eti": "equal-tailed", "hdi": "highest-density"}[rcParams["stats.ci_kind"]]
    return f"{100 * check_ci_prob(None):.4g}% {kind} interval"


def number(value: float, spread: float) -> str:
    """Show as many decimals as leave two digits of a spread, such as the width of an interval."""
    if not np.isfinite(value):
        return "-"
    if not (np.isfinite(spread) and spread > 0):
        return f"{value:.4g}"
    decimals = 1 - int(np.floor(np.log10(spread)))
    if decimals > 8 or abs(value) >= 1e9:
        return f"{value:.4g}"
    return f"{value:.{max(decimals, 0)}f}"


def fixed(value: float, decimals: int) -> str:
    """Show so many decimals; a hyphen where there is no number."""
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"


def join(words: Sequence[str]) -> str:
    """Join words as in a sentence: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def listed(words: Sequence[str], most: int = 4) -> str:
    """Join a few words, and count the others."""
    return join(words) if len(words) <= most else f"{', '.join(words[:most])} and {len(words) - most} more"
