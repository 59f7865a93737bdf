"""Acceleration of EM: limited-memory BFGS in which the EM step plays the gradient.

Near the optimum the EM step f(theta) = M(E(theta)) - theta is the gradient of the log-likelihood, preconditioned by the
information of the complete data (Lange 1995, J. R. Stat. Soc. B 57: equation 6). In coordinates in which that
information is the identity, f *is* the gradient, and quasi-Newton with the EM step as its first guess learns what the
missing labels hide (Jamshidian & Jennrich 1997, J. R. Stat. Soc. B 59, their QN2). Those coordinates are, with
Sigma_k = L_k L_k^T and n_k expected rows,

    sqrt(n_k) d log pi_k,   sqrt(n_k) L_k^-1 d mu_k,   sqrt(n_k) T_k with dL_k = L_k T_k (its diagonal times sqrt(2)),

and sqrt(n pi_0 (1 - pi_0)) d logit pi_0 where there is noise, all seen from the current mixture; steps of earlier
frames are used as they are. Every point is a mixture of the family: weights go through a softmax, L_k through a product
with a triangle of positive diagonal, and covariances back into the family by its M-step. May import NumPy, SciPy
and the modules below it only.
"""

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import expit, logit

from bayesgmm.em.families import CovarianceFamily
from bayesgmm.em.families.projection import within_family
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError, inverse_cholesky

MEMORY = 10
"""Steps remembered (5, 10 and 20 tried: 10 needs the fewest passes over mixtures separated well and badly)."""

LARGEST_STEP = 1.0
"""Furthest that a step may move any component, in standard deviations of one row's information of it.

Longer steps leave the neighbourhood of the optimum that EM is heading for, as they please."""

LARGEST_NOISE_STEP = 2.0
"""Furthest that a step may move the logit of the share of noise: where no row is noise, Newton would take it to zero by
steps of this length (the log-likelihood falls as the share itself), and the other parameters need not wait for it."""

GONE = 0.01
"""A component of fewer rows has lost them to the noise, and no step waits for it to go to zero."""

SHRINK = 0.25
"""Of a step that lowered the likelihood, what the next may be."""

LEAST_CURVATURE = 1e-10
"""Cosine between a step and the change of the EM step below which the pair says nothing."""

ROOT_2 = np.sqrt(2.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A mixture, with what the coordinates seen from it and of it need.

    Attributes
    ----------
    mixture : MixtureParameters
    log_weights : (K,) float64
    factor : (K, D, D) float64
        The lower triangular L_k with Sigma_k = L_k L_k^T.
    root_n : (K,) float64
        Square roots of the expected rows; less than one row counts as one, or it could be moved anywhere.
    logit : float
        Of the share of noise; zero without noise.
    root_noise : float
        sqrt(n pi_0 (1 - pi_0)).
    """

    mixture: MixtureParameters
    log_weights: np.ndarray
    factor: np.ndarray
    root_n: np.ndarray
    logit: float = 0.0
    root_noise: float = 0.0


@lru_cache(maxsize=64)
def _entries(D: int) -> np.ndarray:
    """Where (z, diagonal of T, T below it) are in the D x (D + 1) matrix [T z] read by rows."""
    i, j = np.tril_indices(D, -1)
    along = np.arange(D)
    return np.concatenate([along * (D + 1) + D, along * (D + 2), i * (D + 1) + j])


class QuasiNewton:
    """Steps learned from the EM steps seen so far.

    Parameters
    ----------
    family : CovarianceFamily
    total_weight : float
        Sum of the row weights.
    frozen : set of "weights", "means", "covariances"
        What the EM step does not move.
    """

    def __init__(self, family: CovarianceFamily, total_weight: float, frozen: frozenset[str] = frozenset()) -> None:
        self._family = family
        self._total = total_weight
        self._frozen = frozen
        self._em_step: np.ndarray | None = None
        self._direction: np.ndarray | None = None
        self._pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=MEMORY)
        self._radius = LARGEST_STEP
        self._places: deque[_Place] = deque(maxlen=3)

    def propose(self, at: MixtureParameters) -> MixtureParameters | None:
        """Return where to look next, or None where only the EM step itself is known to raise the likelihood.

        Parameters
        ----------
        at : MixtureParameters
            The place that `learn` heard of last.
        """
        step = self._direction
        if not self._pairs or self._em_step is None or step is None:
            return None
        # a step of the share of noise alone has no length
        length = max(self._longest(at, step), np.finfo(np.float64).tiny)
        if not np.isfinite(length) or step @ self._em_step <= 0:
            self._pairs.clear()
            return None
        self._length = min(length, self._radius)
        try:
            return self._moved(at, step * (self._length / length))
        except (ParameterError, np.linalg.LinAlgError):
            self.refuse()
            return None

    def refuse(self) -> None:
        """Hear that the last proposal lowered the likelihood: the next is shorter."""
        self._radius = SHRINK * self._length

    def accept(self) -> None:
        """Hear that the last proposal raised the likelihood: the next may be longer."""
        self._radius = min(LARGEST_STEP, max(self._radius, 2 * self._length))

    def learn(self, before: MixtureParameters, now: MixtureParameters, target: MixtureParameters) -> float:
        """Remember how the EM step changed over a step, and say how much the log-likelihood may still rise.

        Parameters
        ----------
        before, now : MixtureParameters
            Where the step began, and where it ended.
        target : MixtureParameters
            Where the EM step leads from `now`.

        Returns
        -------
        float
            Half of f^T H f, the Newton decrement: the rise to the top of the quadratic that the steps so far describe.
        """
        em_step = self.difference(now, target)
        if self._em_step is not None:
            step, change = self.difference(before, now), self._em_step - em_step
            curvature = float(step @ change)
            # only where the change is that of a maximum
            if curvature > LEAST_CURVATURE * np.sqrt((step @ step) * (change @ change)):
                self._pairs.append((step, change, 1.0 / curvature))
        self._em_step = em_step
        self._direction = self._newton(em_step)
        return 0.5 * float(em_step @ self._direction)

    def difference(self, origin: MixtureParameters, target: MixtureParameters) -> np.ndarray:
        """Coordinates of one mixture seen from another, (K + K D + K D (D + 1) / 2,), component by component.

        With noise, that of its share comes last.
        """
        here, there = self._place(origin), self._place(target)
        K, D = origin.means.shape
        seen = np.empty((K, D, D + 1))
        seen[:, :, :D] = there.factor
        np.subtract(target.means, origin.means, out=seen[:, :, D])
        seen = np.swapaxes(origin.precision_cholesky, -1, -2) @ seen  # L^-1 [L' mu' - mu]
        out = np.empty((K, 1 + D + D * (D + 1) // 2))
        with np.errstate(invalid="ignore"):  # a component that is empty here and there
            np.subtract(there.log_weights, here.log_weights, out=out[:, 0])
        if not np.isfinite(out[:, 0]).all():
            out[:, 0] = np.nan_to_num(out[:, 0], posinf=0.0, neginf=0.0)
        seen.reshape(K, -1).take(_entries(D), axis=1, out=out[:, 1:])
        diagonal = out[:, 1 + D : 1 + 2 * D]
        np.log(diagonal, out=diagonal)
        diagonal *= ROOT_2
        out *= here.root_n[:, None]
        if origin.noise is None:
            return out.ravel()
        out[self._total * (1.0 - origin.noise.weight) * origin.weights < GONE] = 0.0
        return np.append(out, np.nan_to_num(here.root_noise * (there.logit - here.logit), posinf=0.0, neginf=0.0))

    def _moved(self, origin: MixtureParameters, step: np.ndarray) -> MixtureParameters:
        """Return the mixture of the family at given coordinates from `origin`; the inverse of `difference`."""
        here = self._place(origin)
        K, D = origin.means.shape
        noise = origin.noise
        # what is frozen is kept as it is: there and back through logarithms it would drift by rounding
        weights_move = "weights" not in self._frozen
        if noise is not None:
            step, towards = step[:-1], step[-1]
            if here.root_noise > 0 and weights_move:
                further = np.clip(towards / here.root_noise, -LARGEST_NOISE_STEP, LARGEST_NOISE_STEP)
                noise = Noise(np.asarray(expit(here.logit + further)), noise.background)
        move = step.reshape(K, -1) / here.root_n[:, None]
        weights = origin.weights
        if weights_move:
            log_weights = here.log_weights + move[:, 0]
            weights = np.exp(log_weights - log_weights.max())
            weights /= weights.sum()
        diagonal = move[:, 1 + D : 1 + 2 * D]
        diagonal /= ROOT_2
        np.exp(diagonal, out=diagonal)
        triangle = np.zeros((K, D * (D + 1)))
        triangle[:, _entries(D)] = move[:, 1:]
        turned = here.factor @ triangle.reshape(K, D, D + 1)
        means = origin.means if "means" in self._frozen else origin.means + turned[:, :, D]
        if "covariances" in self._frozen:
            return MixtureParameters(weights, means, origin.covariances, origin.precision_cholesky, noise)
        factor = turned[:, :, :D]
        covariances = factor @ np.swapaxes(factor, -1, -2)
        if self._family.free:
            # any covariances are of the family: nothing to bring back
            return MixtureParameters(weights, means, covariances, inverse_cholesky(covariances), noise)
        # it has no factor of its precision yet, nor is one needed here
        moved = MixtureParameters(weights, means, covariances, covariances, noise)
        return within_family(moved, self._family, origin.covariances)

    def _place(self, mixture: MixtureParameters) -> _Place:
        """Return what is known of a mixture: those of the last steps are seen from, and looked at, more than once."""
        for place in self._places:
            if place.mixture is mixture:
                return place
        shares, at_logit, root_noise = mixture.weights, 0.0, 0.0
        if mixture.noise is not None:
            share = float(mixture.noise.weight)
            shares = (1.0 - share) * shares
            at_logit, root_noise = float(logit(share)), float(np.sqrt(self._total * share * (1.0 - share)))
        place = _Place(
            mixture,
            mixture.log_weights,
            np.linalg.cholesky(mixture.covariances),
            np.sqrt(np.maximum(self._total * shares, 1.0)),
            at_logit,
            root_noise,
        )
        self._places.append(place)
        return place

    def _longest(self, at: MixtureParameters, step: np.ndarray) -> float:
        """Largest move of a component, in standard deviations of one of its own rows' complete-data information."""
        moves = (step if at.noise is None else step[:-1]).reshape(at.n_components, -1)
        squares = np.einsum("ki,ki->k", moves, moves)
        return float((np.sqrt(squares) / self._place(at).root_n).max())

    def _newton(self, em_step: np.ndarray) -> np.ndarray:
        """H f by the two-loop recursion, H_0 = 1 (Nocedal & Wright 2006, algorithm 7.4)."""
        q = em_step.copy()
        alphas = []
        for step, change, rho in reversed(self._pairs):
            alpha = rho * (step @ q)
            q -= alpha * change
            alphas.append(alpha)
        for (step, change, rho), alpha in zip(self._pairs, reversed(alphas), strict=True):
            q += step * (alpha - rho * (change @ q))
        return q
