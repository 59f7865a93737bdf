"""Draws of the posterior without a chain: from the Gaussian at the mode, weighed as far as the rows allow."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.posterior.posterior_modes import Mode, OtherModeWarning, probabilities
from bayesgmm.sampler.laplace import (
    GOOD_K,
    ImportanceDraws,
    LaplaceError,
    gaussian_log_density,
    importance_draws,
    resample,
)
from bayesgmm.sampler.log_density import Frame, LogDensity

MOST_ROW_EVALUATIONS = 400_000_000
"""Every draw is weighed where rows times draws are no more than this; the mode's own check has to do where they are."""

CONSIDERABLE = 0.01
"""Share of the probability from which on a mode that the draws do not show is told of."""


class LaplaceWarning(UserWarning):
    """The Gaussian at the mode is not near enough to the posterior."""


class Approximation(NamedTuple):
    """Draws around a mode, and how good they are.

    Attributes
    ----------
    values : (chains, draws, n) float64
        Unconstrained.
    sample_stats : dict
        ``log_g`` (chains, draws), the log density of what the draws come from; where they were weighed also ``log_p``
        and ``lp``, the posterior's.
    importance : ImportanceDraws
        What the draws were chosen from, or the mode's own check.
    facts : dict
        ``pareto_k``, ``effective_size``, ``importance_draws``, ``resampled``, ``log_evidence``, ``n_unconstrained``.
    """

    values: np.ndarray
    sample_stats: dict[str, np.ndarray]
    importance: ImportanceDraws
    facts: dict[str, Any]


def approximate(
    density: LogDensity, modes: Sequence[Mode], shape: tuple[int, int], n_rows: int, seed: int
) -> Approximation:
    """Draw around the first mode.

    Up to `MOST_ROW_EVALUATIONS`, as many draws as wanted are weighed and resampled in proportion to their smoothed
    weights. Above, the draws that checked the mode give k-hat and the posterior mean, and those returned are of the
    Gaussian moved to that mean: its error beyond is of order 1/N, less than what resampling few draws would add.

    Parameters
    ----------
    modes : sequence of Mode
    shape : (chains, draws)
    n_rows : int

    Raises
    ------
    LaplaceError
        When the first mode has no Gaussian.
    """
    main = modes[0]
    if main.gaussian is None or main.check is None:
        raise LaplaceError(
            "the posterior has no mode here that a Gaussian could stand for: use method='nuts', fewer components, or a "
            "more informative prior."
        )
    rng = np.random.default_rng(seed)
    wanted = shape[0] * shape[1]
    frame, n = main.gaussian.frame, len(main.gaussian.frame.centre)
    resampled = n_rows * wanted <= MOST_ROW_EVALUATIONS
    if resampled:
        importance = importance_draws(density, main.gaussian, max(wanted, len(main.check.log_p)), rng)
        chosen = resample(importance.log_weights, wanted, rng).reshape(shape)
        values, log_p = importance.values[chosen], importance.log_p[chosen]
        # draws in proportion to the smoothed weights come from the density log_g + log_weights, but for a constant
        log_g = (importance.log_g + importance.log_weights + np.log(len(importance.log_g)))[chosen]
        sample_stats = {"lp": log_p, "log_p": log_p, "log_g": log_g}
    else:
        importance = main.check
        moved = Frame(frame.centre + frame.factor @ importance.mean, frame.factor)
        values = moved.to_x(rng.normal(size=(*shape, n)))
        sample_stats = {"log_g": gaussian_log_density(moved, values)}
    _warn(importance, modes)
    facts = {
        "pareto_k": importance.pareto_k,
        "effective_size": importance.effective_size,
        "importance_draws": len(importance.log_p),
        "resampled": resampled,
        "log_evidence": importance.log_evidence,
        "n_unconstrained": n,
    }
    return Approximation(values, sample_stats, importance, facts)


def _warn(importance: ImportanceDraws, modes: Sequence[Mode]) -> None:
    """Say where these draws are not the posterior's."""
    if not importance.pareto_k <= GOOD_K:
        warnings.warn(
            f"k-hat of the importance weights is {importance.pareto_k:.2f}, above {GOOD_K}: the posterior is not near "
            "enough to the Gaussian at its mode, and these draws are not to be trusted. Use method='nuts', fewer "
            "components, or a more informative prior.",
            LaplaceWarning,
            stacklevel=4,
        )
    rest = 1.0 - probabilities(modes)[0]
    if rest > CONSIDERABLE:
        warnings.warn(
            f"{len(modes) - 1} other mode(s) of the posterior hold about {rest:.2g} of its probability: the draws are "
            "of one mode only. See group `modes`; use method='nuts' with a `start` there to look at another.",
            OtherModeWarning,
            stacklevel=4,
        )
