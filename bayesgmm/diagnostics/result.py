"""What an examination of a posterior found: a value with its text.

May import NumPy and pandas only.
"""

import textwrap
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Severity = Literal["error", "warning", "fine"]

WIDTH = 100
WORST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined.

    Attributes
    ----------
    name : str
        What was examined, for instance "divergences".
    severity : {"error", "warning", "fine"}
        "error": the draws do not describe the posterior, or there is none. "warning": some numbers are not what they
        seem.
    seen : str
        What was seen, with its numbers.
    meaning : str
        What it means; empty where there is nothing to say.
    advice : str
        What to do; empty where nothing need be done.
    """

    name: str
    severity: Severity
    seen: str
    meaning: str = ""
    advice: str = ""

    def __str__(self) -> str:
        """As one paragraph."""
        return " ".join(part for part in (self.seen, self.meaning, self.advice) if part)


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What `diagnose` found; printing it gives the text.

    Attributes
    ----------
    subject : str
        What was examined: K, family, chains and draws.
    findings : tuple of Finding
        Errors first, then warnings, then what is fine.
    table : DataFrame
        One row for each ``quantity``: ``component`` (empty for a quantity that needs no labels), ``label_free``,
        ``mean``, ``sd``, ``rhat``, ``ess_bulk``, ``ess_tail``; NaN where a number cannot be had.
    components : DataFrame
        One row for each component: ``identifiability`` of its label, in [0, 1]; ``rows``, the median of the rows it
        holds, sum_n r_nk; ``empty``, the share of draws in which it holds less than one row; ``nearest``, the
        component whose Bhattacharyya distance to it has the smallest median, with ``distance``, ``distance_lower`` and
        ``distance_upper``.
    density_rows : tuple of str
        Labels of the rows at which ``table`` follows the log density.
    """

    subject: str
    findings: tuple[Finding, ...]
    table: pd.DataFrame
    components: pd.DataFrame
    density_rows: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is an error or a warning."""
        return not self.problems

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Errors and warnings, errors first."""
        return tuple(finding for finding in self.findings if finding.severity != "fine")

    def __getitem__(self, name: str) -> Finding:
        """Return the finding of this name."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"no finding {name!r}; there are {[finding.name for finding in self.findings]}.")

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each finding as a paragraph; those that are fine share the last one."""
        fine = " ".join(str(finding) for finding in self.findings if finding.severity == "fine")
        marked = [f"{finding.severity.capitalize()}: {finding}" for finding in self.problems]
        return (*marked, fine) if fine else tuple(marked)

    def __str__(self) -> str:
        """Text for a terminal, 100 columns wide."""
        problems = self.problems
        if problems:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found"
            headline = f"{count}: {', '.join(problem.name for problem in problems)}."
        else:
            headline = "No problem found."
        paragraphs = [f"{self.subject}.", headline, *self.sentences]
        text = "\n\n".join("\n".join(textwrap.wrap(paragraph, WIDTH)) for paragraph in paragraphs)
        free = self.table[self.table["label_free"]].drop(columns=["component", "label_free"])
        own = self.table[~self.table["label_free"]].drop(columns="label_free")
        worst = own.sort_values("rhat", ascending=False, na_position="last", kind="stable").head(WORST_SHOWN)
        blocks = {
            "Needs no labels": free,
            f"Follows the labels (the {len(worst)} of {len(own)} with the largest R-hat)": worst,
            "Components": self.components,
        }
        return text + "".join(
            f"\n\n{title}\n{frame.to_string(index=False, float_format=_number, na_rep='-')}"
            for title, frame in blocks.items()
            if len(frame)
        )

    __repr__ = __str__


def _number(value: float) -> str:
    return f"{value:.4g}"
