"""Optima of the likelihood and modes of the posterior near them: which there are, and which chain is in which.

Relabellings of one mixture are one mode here.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
from scipy.optimize import minimize

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import CollapseWarning, ConvergenceWarning, GaussianMixture
from bayesgmm.em.solver import CollapseError
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.mixture_model import specification, starting_point
from bayesgmm.sampler.laplace import GOOD_K, ImportanceDraws, Laplace, LaplaceError, importance_draws, laplace
from bayesgmm.sampler.log_density import Frame, LogDensity
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_point

ELSEWHERE_STARTS = 5
"""Random starts of EM, beside those of the fit itself, that look for other optima."""

EXPLORED_ROWS = 10_000
"""With more rows than this other optima are looked for among so many of them, and followed up on all."""

MOST_OTHERS = 3
"""Most optima followed up beside the fit itself, the most likely first."""

SAME_MIXTURE = 0.01
"""Sum of Bhattacharyya distances below which two mixtures are one optimum."""

IMPORTANCE_DRAWS = 200
"""Importance draws that check each mode."""

AGREEMENT_RHAT = 1.1
"""Chains that differ by more than this are not in one mode."""

CLIMB_STEPS = 100
"""Steps towards a mode that has no Gaussian: flat directions have no end to come to."""

FEWEST_CHAINS, FEWEST_DRAWS = 3, 8
"""With less than this there is no telling whether chains agree."""

MOST_COMPARED = 200
"""Draws of each chain that are compared with each mode."""


class OtherModeWarning(UserWarning):
    """A chain found another mode of the posterior, or the chains do not agree."""


class Mode(NamedTuple):
    """A mode of the posterior.

    Attributes
    ----------
    optimum : MixtureParameters
        Where EM ended.
    em_log_likelihood : float
        The log-likelihood there.
    point : (n,) float64
        The posterior's mode, unconstrained; or how far a climb from the optimum led.
    gaussian : Laplace or None
        The Gaussian at the posterior's mode; None where there is none.
    check : ImportanceDraws or None
        What tells how good it is.
    parameters : MixtureParameters
        At the posterior's mode.
    """

    optimum: MixtureParameters
    em_log_likelihood: float
    point: np.ndarray
    gaussian: Laplace | None
    check: ImportanceDraws | None
    parameters: MixtureParameters

    @property
    def frame(self) -> Frame | None:
        """Coordinates in which the posterior is about standard normal; None where no Gaussian describes it."""
        if self.gaussian is None or self.check is None or not self.check.pareto_k <= GOOD_K:
            return None
        return self.gaussian.frame

    @property
    def log_evidence(self) -> float:
        """Log of the integral of the posterior's density around the mode, not normalised; NaN where not known."""
        if self.gaussian is None or self.check is None:
            return np.nan
        return self.check.log_evidence if self.check.pareto_k <= GOOD_K else self.gaussian.log_evidence


def fit_em(observations: Observations, K: int, kind: str, seed: int, **settings: Any) -> GaussianMixture:
    """Fit by EM without a word: the sampler needs a place to begin, and the prior mends what collapsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(K, covariance_type=kind, random_state=seed % 2**31, **settings).fit(observations)


def other_optima(
    observations: Observations, start: GaussianMixture, kind: str, seed: int, **settings: Any
) -> list[GaussianMixture]:
    """Where EM ends from random starts, where that is admissible and not `start`; the most likely first.

    `settings` are those of `GaussianMixture`.
    """
    K = start.parameters_.n_components
    if K == 1:
        return []
    seeds = np.random.SeedSequence(seed).generate_state(ELSEWHERE_STARTS + 1)
    some = observations
    if observations.n_rows > EXPLORED_ROWS:
        chosen = np.random.default_rng(seeds[-1]).choice(observations.n_rows, EXPLORED_ROWS, replace=False)
        some = observations.take(np.sort(chosen))
    found: list[GaussianMixture] = []
    known = [start.parameters_]
    ends = []
    for one in seeds[:-1]:
        try:
            ends.append(fit_em(some, K, kind, int(one), init_params="random_from_data", **settings))
        except CollapseError:
            continue
    for end in sorted(ends, key=lambda end: -end.lower_bound_):
        if len(found) == MOST_OTHERS:
            break
        if not end.admissible_ or _is_known(end.parameters_, known):
            continue
        if some is not observations:
            known.append(end.parameters_)
            try:
                end = fit_em(observations, K, kind, 0, init_params=end, **settings)
            except CollapseError:
                continue
            if not end.admissible_ or _is_known(end.parameters_, known[:1] + [fit.parameters_ for fit in found]):
                continue
        known.append(end.parameters_)
        found.append(end)
    return found


def _is_known(parameters: MixtureParameters, known: Sequence[MixtureParameters]) -> bool:
    return any(float(align(parameters, one).cost) < SAME_MIXTURE for one in known)


def posterior_modes(
    model: pm.Model, density: LogDensity, optima: Sequence[GaussianMixture], total_weight: float, seed: int
) -> list[Mode]:
    """Climb from each optimum to the posterior's mode and check the Gaussian there; each mode once, the first first."""
    modes: list[Mode] = []
    reference = optima[0].parameters_
    rng = np.random.default_rng(seed)
    background = specification(model).background
    for fit in optima:
        optimum = fit.parameters_
        if modes:
            fixed = specification(model).known_components
            optimum = optimum.permute(align(optimum, reference, fixed=fixed).permutation)
        try:
            point = unconstrained_point(model, starting_point(model, optimum))
        except ValueError:
            if not modes:
                raise
            continue  # on the edge of the model's coordinates
        gaussian, check, parameters = None, None, optimum
        try:
            gaussian = laplace(density, point)
            point = gaussian.frame.centre
            check = importance_draws(density, gaussian, IMPORTANCE_DRAWS, rng)
            parameters = mixtures(constrain_draws(model, gaussian.frame.centre[None]), background)[0]
        except (LaplaceError, np.linalg.LinAlgError):
            # EM may have ended where a component is all but a point, which the prior forbids: no place to begin
            point = climb(density, point)
            parameters = mixtures(constrain_draws(model, point[None]), background)[0]
        if not _is_known(parameters, [mode.parameters for mode in modes]):
            log_likelihood = fit.lower_bound_ * total_weight
            modes.append(Mode(optimum, log_likelihood, point, gaussian, check, parameters))
    return modes


def climb(density: LogDensity, start: np.ndarray) -> np.ndarray:
    """Go uphill from `start` by limited-memory BFGS, as far as it leads in `CLIMB_STEPS` steps."""

    def downhill(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return np.inf, np.zeros(len(x))
        return -value, -gradient

    found = minimize(downhill, start, jac=True, method="L-BFGS-B", options={"maxiter": CLIMB_STEPS})
    return found.x if np.isfinite(found.fun) else start


def mixtures(drawn: Mapping[str, np.ndarray], background: Background | None = None) -> MixtureParameters:
    """Collect the mixtures among a model's variables, with the noise where there is a background."""
    found = MixtureParameters.from_covariances(*(drawn[name] for name in ("weights", "means", "covariances")))
    return found if background is None else replace(found, noise=Noise(drawn["noise_weight"], background))


def probabilities(modes: Sequence[Mode]) -> np.ndarray:
    """Share of each mode in the probability of all of them, (M,); NaN where one's is not known."""
    log_evidence = np.array([mode.log_evidence for mode in modes])
    shares = np.exp(log_evidence - log_evidence.max())
    return shares / shares.sum()


def most_probable_first(modes: list[Mode]) -> list[Mode]:
    """Sort by probability; as they are where it is not known."""
    shares = probabilities(modes)
    if np.isnan(shares).any():
        return modes
    return [modes[m] for m in np.argsort(-shares, kind="stable")]


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
