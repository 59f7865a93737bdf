"""What the comparison of real and generated data found, and how it says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

ROUNDING = "rounding"

MOST_NAMED = 6
"""A verdict names this many mismatches, the clearest first, and counts the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One figure: what it is, and how to say that it does not match.

    Attributes
    ----------
    kind : str
        "marginal", "pair", "component", "tails", "modes", "neighbours", "classifier" or "rounding".
    of : str
        Features or component.
    two_sided : bool
        Whether a figure that is too small is a mismatch too.
    low, high : str
        The sentence where the figure of the data is below, or above, those of generated data.
    skew : bool
        Whether the figure is positive and skew: its logarithm is standardised, so that tails are alike.
    """

    kind: str
    of: str
    two_sided: bool
    low: str
    high: str
    skew: bool


@dataclass(frozen=True, slots=True, eq=False)
class GoodnessOfFit:
    """Real data against generated: figures, p-values, a verdict.

    Attributes
    ----------
    table : DataFrame
        A row for each check: ``check``, ``of``, ``data`` (the figure of the data), ``generated_low`` and
        ``generated_high`` (95 % of the generated datasets), ``p_value`` (of this check alone), ``p_adjusted`` (that
        holds for all of them together), ``matches``.
    verdict : str
        In words: whether generated data matches, and what does not.
    level : float
        The chance, where the model is right, that any check is called a mismatch.
    n_datasets, n_rows : int
        Datasets generated, and rows of each.
    refitted : bool
        Whether the mixture was fitted anew to each dataset, as it had been to the data.
    distances : Dataset
        For a Q-Q plot, over (component, probability): ``observed``, quantiles of the squared Mahalanobis distances of
        the data; ``lower`` and ``upper``, 95 % of the generated datasets; ``chi_squared`` (probability).
    loo_pit : Dataset or None
        Leave-one-out probability integral transforms of the rows, ``loo_pit`` (obs_id, feature), through ArviZ, and
        ``p_value`` (feature) that they are uniform: beside the verdict, not part of it. None for a fit or new rows.
    """

    table: pd.DataFrame
    verdict: str
    level: float
    n_datasets: int
    n_rows: int
    refitted: bool
    distances: xr.Dataset
    loo_pit: xr.Dataset | None

    @property
    def matches(self) -> bool:
        """Whether no check is a mismatch."""
        return bool(self.table["matches"].all())

    def __str__(self) -> str:
        """Give the verdict, then the table."""
        return f"{self.verdict}\n\n{self.table.to_string(index=False, float_format=lambda value: f'{value:.3g}')}"


def tabulate(
    checks: Sequence[Check], figures: np.ndarray, p_value: np.ndarray, p_adjusted: np.ndarray, level: float
) -> pd.DataFrame:
    """Table of the checks; `figures` (B + 1, M) has the data first."""
    low, high = np.quantile(figures[1:], [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {
            "check": [check.kind for check in checks],
            "of": [check.of for check in checks],
            "data": figures[0],
            "generated_low": low,
            "generated_high": high,
            "p_value": p_value,
            "p_adjusted": p_adjusted,
            "matches": p_adjusted > level,
        }
    )


def say(checks: Sequence[Check], table: pd.DataFrame, figures: np.ndarray) -> str:
    """Put a table into words."""
    failed = np.flatnonzero(~table["matches"].to_numpy()).tolist()
    if not failed:
        return (
            f"Generated data matches the real in all {len(checks)} checks "
            f"(smallest adjusted p-value {table['p_adjusted'].min():.2g})."
        )
    if all(checks[j].kind == ROUNDING for j in failed):
        steps = "; ".join(checks[j].high for j in failed)
        others = f"in the other {len(checks) - len(failed)} checks, and where it is rounded alike"
        return f"Generated data matches the real {others}, but it is not rounded: {steps}."
    # the clearest first; rounding, which is no matter of shape, last
    rounding = np.array([checks[j].kind == ROUNDING for j in failed])
    order = [failed[n] for n in np.lexsort([table["p_adjusted"].to_numpy()[failed], rounding]).tolist()]
    middle = np.median(figures[1:], axis=0)
    said = []
    for j in order[:MOST_NAMED]:
        text = checks[j].low if figures[0, j] < middle[j] else checks[j].high
        said.append(f"{text} (adjusted p-value {table['p_adjusted'][j]:.2g})")
    more = f"; and {len(order) - MOST_NAMED} more" if len(order) > MOST_NAMED else ""
    return f"Generated data does not match the real in {len(failed)} of {len(checks)} checks: {'; '.join(said)}{more}."
