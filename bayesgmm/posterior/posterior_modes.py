"""Modes of the posterior: climbed to from optima of the likelihood, each with its Laplace approximation.

Relabellings of one mixture are one mode here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pymc as pm
from scipy.optimize import minimize
from scipy.special import softmax

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.mixture_model import specification
from bayesgmm.model.points import mixtures, starting_point
from bayesgmm.posterior.optima import is_known
from bayesgmm.sampler.laplace import GOOD_K, ImportanceDraws, Laplace, LaplaceError, importance_draws, laplace
from bayesgmm.sampler.log_density import Frame, LogDensity
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_point

IMPORTANCE_DRAWS = 200
"""Importance draws that check each mode."""

CLIMB_STEPS = 100
"""Steps towards a mode that has no Gaussian: flat directions have no end to come to."""


class OtherModeWarning(UserWarning):
    """A chain found another mode of the posterior, the chains do not agree, or draws are of one mode only."""


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


def posterior_modes(
    model: pm.Model, density: LogDensity, optima: Sequence[GaussianMixture], total_weight: float, seed: int
) -> list[Mode]:
    """Climb from each optimum to the posterior's mode and check the Gaussian there; each mode once, the first first."""
    modes: list[Mode] = []
    reference = optima[0].parameters_
    rng = np.random.default_rng(seed)
    mixture = specification(model)
    for fit in optima:
        optimum = fit.parameters_
        if modes:
            optimum = optimum.permute(align(optimum, reference, fixed=mixture.known_components).permutation)
        try:
            point = unconstrained_point(model, starting_point(model, optimum))
        except ValueError:
            if not modes:
                raise
            continue  # on the edge of the model's coordinates
        gaussian, check = None, None
        try:
            gaussian = laplace(density, point)
            point = gaussian.frame.centre
            check = importance_draws(density, gaussian, IMPORTANCE_DRAWS, rng)
        except (LaplaceError, np.linalg.LinAlgError):
            # EM may have ended where a component is all but a point, which the prior forbids: no place to begin
            point = climb(density, point)
        parameters = mixtures(constrain_draws(model, point[None]), mixture.background)[0]
        if not is_known(parameters, [mode.parameters for mode in modes]):
            modes.append(Mode(optimum, fit.lower_bound_ * total_weight, point, gaussian, check, parameters))
    return modes


def climb(density: LogDensity, start: np.ndarray) -> np.ndarray:
    """Go uphill from `start` by limited-memory BFGS, as far as it leads in `CLIMB_STEPS` steps."""

    def downhill(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return np.inf, np.zeros(len(x))
        return -value, -gradient

    end = minimize(downhill, start, jac=True, method="L-BFGS-B", options={"maxiter": CLIMB_STEPS})
    return end.x if np.isfinite(end.fun) else start


def probabilities(modes: Sequence[Mode]) -> np.ndarray:
    """Share of each mode in the probability of all of them, (M,); NaN where one's is not known."""
    return np.asarray(softmax(np.array([mode.log_evidence for mode in modes])))


def most_probable_first(modes: list[Mode]) -> list[Mode]:
    """Sort by probability; leave them as they are where it is not known."""
    shares = probabilities(modes)
    if np.isnan(shares).any():
        return modes
    return [modes[m] for m in np.argsort(-shares, kind="stable")]
