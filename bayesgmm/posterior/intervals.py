"""Intervals over posterior draws, as ArviZ's settings say.

May import NumPy and ArviZ's statistics only.
"""

import numpy as np

COMPILED_FROM = 5e7
"""Numbers summarised by one call of a user, above which compiled forms save more time than their compilation takes."""


def interval(draws: np.ndarray, ci_prob: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends over the first axis.

    The kind ("eti" or "hdi") is ``az.rcParams["stats.ci_kind"]``, the probability `ci_prob` or
    ``az.rcParams["stats.ci_prob"]``. Equal-tailed ends are NumPy's quantiles; a highest-density interval is ArviZ's.

    Parameters
    ----------
    draws : (S, ...) array
    ci_prob : float, optional

    Returns
    -------
    lower, upper : (...) arrays
        NaN where a draw is.
    """
    ci_prob = check_ci_prob(ci_prob)
    if equal_tailed():
        tail = (1 - ci_prob) / 2
        lower, upper = np.quantile(draws, [tail, 1 - tail], axis=0)
        return lower, upper
    from arviz_stats.base import array_stats

    ends = array_stats.hdi(draws, prob=ci_prob, axis=0)
    return ends[..., 0], ends[..., 1]


def equal_tailed() -> bool:
    """Whether intervals are equal-tailed, as ``az.rcParams["stats.ci_kind"]`` says."""
    from arviz_base import rcParams

    return bool(rcParams["stats.ci_kind"] == "eti")


def check_ci_prob(ci_prob: float | None) -> float:
    """Return the probability asked for, or ArviZ's default.

    Raises
    ------
    ValueError
        When it is not strictly between 0 and 1.
    """
    from arviz_base import rcParams

    value = float(rcParams["stats.ci_prob"]) if ci_prob is None else float(ci_prob)
    if not 0 < value < 1:
        raise ValueError(f"`ci_prob` must be strictly between 0 and 1; received {value!r}.")
    return value
