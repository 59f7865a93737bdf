"""Numbers that no code of this package computed; where they come from is in `docs/data.md`."""

import csv
import json
from functools import cache
from pathlib import Path

TRUTH = Path(__file__).parent


@cache
def exact_evidence() -> dict[str, dict]:
    """Small data sets with their log evidence: name to rows `y`, components `K` and `log_evidence`."""
    return json.loads((TRUTH / "exact_evidence_small.json").read_text(encoding="utf-8"))


@cache
def mclust_fits(name: str) -> dict[str, dict]:
    """Converged fits of mclust to a data set: model and number of components, as in ``VVV_3``, to parameters."""
    return json.loads((TRUTH / "mclust" / f"{name}_tight_fits.json").read_text(encoding="utf-8"))


@cache
def mclust_failures(name: str) -> frozenset[tuple[str, int]]:
    """Model and number of components of the fits that mclust gave up, a covariance having become singular."""
    with open(TRUTH / "mclust" / f"{name}_tight.csv", encoding="utf-8", newline="") as file:
        return frozenset((row["model"], int(row["G"])) for row in csv.DictReader(file) if row["loglik"] == "NA")
