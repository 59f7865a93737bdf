"""Chains among the modes of the posterior: where each starts, and in which it stays."""

import warnings
from collections.abc import Sequence

import numpy as np

from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.posterior_modes import Mode, OtherModeWarning
from bayesgmm.sampler.log_density import Frame, LogDensity

START_TRIES = 10
"""How often a start outside of the support is brought nearer to the middle."""

SPREAD = 1.5
"""Standard deviation of the starts of chains, in the posterior's own, where a Gaussian describes it."""

AGREEMENT_RHAT = 1.1
"""Chains that differ by more than this are not in one mode."""

FEWEST_CHAINS, FEWEST_DRAWS = 3, 8
"""With less than this there is no telling whether chains agree."""

MOST_COMPARED = 200
"""Draws of each chain that are compared with each mode."""


def chain_starts(
    density: LogDensity, modes: Sequence[Mode], chains: int, total_weight: float, seed: int
) -> tuple[np.ndarray, list[Frame | None]]:
    """Choose where each chain starts (chains, n), the last in the second mode if there is one, and its coordinates.

    Around the mode with `SPREAD` posterior standard deviations where a Gaussian describes it; otherwise around it
    with about twice the spread of a posterior of N/K rows.
    """
    rng = np.random.default_rng(seed)
    K = modes[0].parameters.n_components
    jitter = min(0.5, 2.0 / np.sqrt(total_weight / K))
    homes = [modes[0]] * chains
    if chains > 1 and len(modes) > 1:
        homes[-1] = modes[1]
    points = np.empty((chains, density.space.size))
    for point, home in zip(points, homes, strict=True):
        z, shrink = rng.normal(size=density.space.size), 1.0
        for _ in range(START_TRIES):
            point[:] = home.point + shrink * jitter * z if home.frame is None else home.frame.to_x(shrink * SPREAD * z)
            value, gradient = density(point)
            if np.isfinite(value) and np.isfinite(gradient).all():
                break
            shrink *= 0.5
    return points, [home.frame for home in homes]


def split_chains(
    lp: np.ndarray, costs: np.ndarray, shares: np.ndarray | None = None
) -> tuple[list[int], list[int], np.ndarray]:
    """Tell chains to pool from chains to keep apart because they stay in modes of their own.

    Chains are kept together unless R-hat of the log posterior, or of the distance from some mode, says that they
    differ. Then each belongs to the mode it is nearest to, and those in the mode that holds most are pooled.

    Parameters
    ----------
    lp : (chain, draw) float64
        Log posterior density.
    costs : (M, chain, draw') float64
        Distance of draws from each mode.
    shares : (M,) float64, optional
        Probability of each mode; where not known, the mode with most chains is taken to hold most.

    Returns
    -------
    kept, apart : list of int
    mode : (chain,) int
        Nearest mode of each chain.
    """
    from arviz_stats import rhat

    nearest = costs.mean(axis=-1).argmin(axis=0)
    chains, draws = lp.shape
    everyone = list(range(chains))

    def differ(chosen: list[int]) -> bool:
        traces = [lp, *(costs if costs.shape[-1] >= FEWEST_DRAWS else ())]
        return any(float(rhat(trace[chosen], chain_axis=0, draw_axis=1)) > AGREEMENT_RHAT for trace in traces)

    if chains < FEWEST_CHAINS or draws < FEWEST_DRAWS or not differ(everyone):
        return everyone, [], nearest
    counts = np.bincount(nearest, minlength=len(costs))
    weights = np.where(counts > 0, counts if shares is None or np.isnan(shares).any() else shares, -1.0)
    main = int(weights.argmax())
    kept = [chain for chain in everyone if nearest[chain] == main]
    apart = [chain for chain in everyone if nearest[chain] != main]
    if not apart or (len(kept) > 1 and differ(kept)):
        message = "the chains do not agree: do not trust pooled numbers. Sample longer, or use fewer components."
        warnings.warn(message, OtherModeWarning, stacklevel=4)
        return everyone, [], nearest
    gap = lp[kept].mean() - lp[apart].mean()
    held = ""
    if shares is not None and np.isfinite(shares).all():
        rest = shares[np.unique(nearest[apart])].sum()
        held = f" By Laplace's approximation it holds {rest / (rest + shares[main]):.2g} of the probability of both."
    warnings.warn(
        f"{len(apart)} of {chains} chains stayed in another mode, where the log posterior is {abs(gap):.1f} "
        f"{'lower' if gap > 0 else 'higher'} on average.{held} Pooling would weigh modes by their number of chains: "
        "it is kept apart in group `other_mode`.",
        OtherModeWarning,
        stacklevel=4,
    )
    return kept, apart, nearest


def distances(draws: MixtureParameters, modes: Sequence[Mode]) -> np.ndarray:
    """Bhattacharyya distance of some draws of each chain from each mode, (M, chain, draw')."""
    S = draws.batch_shape[1]
    chosen = np.arange(0, S, -(-S // MOST_COMPARED))
    some = draws[:, chosen]
    return np.stack([align(some, mode.parameters).cost for mode in modes])
