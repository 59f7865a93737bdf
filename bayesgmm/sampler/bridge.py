"""Bridge sampling: the ratio of a normalising constant to a known one, with an error that knows of autocorrelation.

May import NumPy and ArviZ's statistics only.
"""

from typing import NamedTuple

import numpy as np

MOST_ITERATIONS = 1000
TOLERANCE = 1e-10
LARGEST_EXPONENT = 700.0
"""A draw as far from the proposal as this has no weight, and its exponential must not overflow."""


class BridgeError(ValueError):
    """The draws cannot support an estimate; the message says why."""


class BridgeEstimate(NamedTuple):
    """What `bridge` found.

    Attributes
    ----------
    log_constant : float
        Log of the normalising constant of the target.
    relative_variance : float
        Variance of the estimated constant over its square: the variance of `log_constant`, to first order.
    effective_draws : float
        How many independent draws of the target its own draws are worth, for this estimate.
    """

    log_constant: float
    relative_variance: float
    effective_draws: float


def bridge(at_draws: np.ndarray, at_proposals: np.ndarray) -> BridgeEstimate:
    """Estimate the constant of an unnormalised density f from draws of f and draws of a normalised density q.

    With the bridge function that is optimal for independent draws (Meng & Wong 1996), solved by iteration,

        c = E_q[f / (s_1 f + s_2 c q)] / E_f[q / (s_1 f + s_2 c q)],   s_i = n_i / (n_1 + n_2),

    n_1 the *effective* number of draws of f. The support of q may be larger than that of f: there f / q is zero. Its
    variance is that of Frühwirth-Schnatter (2004, section 3.3), with the effective size of the chains in place of a
    spectral density.

    Parameters
    ----------
    at_draws : (chain, draw) array
        log f - log q at draws of f; finite.
    at_proposals : (M,) or (chain, draw) array
        log f - log q at draws of q, independent or of chains; minus infinity outside the support of f.

    Raises
    ------
    BridgeError
        When a value cannot be used, or no draw of q lies in the support of f.

    References
    ----------
    Meng & Wong (1996), Statistica Sinica 6, 831-860.
    Frühwirth-Schnatter (2004), The Econometrics Journal 7, 143-167.
    """
    at_draws, at_proposals = np.asarray(at_draws, dtype=np.float64), np.asarray(at_proposals, dtype=np.float64)
    if not np.isfinite(at_draws).all():
        raise BridgeError(f"{(~np.isfinite(at_draws)).sum()} draws have a density that is not finite.")
    if np.isnan(at_proposals).any() or (at_proposals == np.inf).any():
        raise BridgeError("a proposal has a density that is not a number.")
    if not np.isfinite(at_proposals).any():
        raise BridgeError("no proposal lies where the target has density: the draws describe another distribution.")
    centre = float(np.median(at_draws))
    target, proposed = (np.exp(np.minimum(at - centre, LARGEST_EXPONENT)) for at in (at_draws, at_proposals))
    n_draws, ratio = effective_size(at_draws), 1.0
    # the second time with the size that counts: that of the integrand
    for _ in range(2):
        weight = n_draws / (n_draws + proposed.size)
        ratio = _solve(target, proposed, weight, ratio)
        over_target = 1.0 / (weight * target + (1.0 - weight) * ratio)
        n_draws = effective_size(over_target)
    weight = n_draws / (n_draws + proposed.size)
    ratio = _solve(target, proposed, weight, ratio)
    over_target = 1.0 / (weight * target + (1.0 - weight) * ratio)
    over_proposals = proposed / (weight * proposed + (1.0 - weight) * ratio)
    n_proposals = proposed.size if proposed.ndim == 1 else effective_size(over_proposals)
    variance = _relative_variance(over_target) / n_draws + _relative_variance(over_proposals) / n_proposals
    return BridgeEstimate(float(np.log(ratio)) + centre, variance, n_draws)


def effective_size(values: np.ndarray) -> float:
    """Effective number of draws for the mean of values (chain, draw): ArviZ's, never above the number there is."""
    from arviz_stats.base import array_stats

    if np.ptp(values) == 0:
        return float(values.size)
    return min(float(array_stats.ess(values, method="mean", chain_axis=0, draw_axis=1)), float(values.size))


def _solve(target: np.ndarray, proposed: np.ndarray, weight: float, ratio: float) -> float:
    for _ in range(MOST_ITERATIONS):
        before = ratio
        above = (proposed / (weight * proposed + (1.0 - weight) * ratio)).mean()
        below = (1.0 / (weight * target + (1.0 - weight) * ratio)).mean()
        ratio = float(above / below)
        if abs(np.log(ratio / before)) < TOLERANCE:
            return ratio
    raise BridgeError(
        f"the iteration did not settle in {MOST_ITERATIONS} steps: draws and proposals hardly overlap. Sample longer."
    )


def _relative_variance(values: np.ndarray) -> float:
    return float(values.var() / values.mean() ** 2)
