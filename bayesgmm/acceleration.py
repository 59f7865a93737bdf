"""Acceleration of EM: limited-memory BFGS in which the EM step plays the gradient.

Near the optimum the EM step f(theta) = M(E(theta)) - theta is the gradient of the log-likelihood, preconditioned by the
information of the complete data (Lange 1995, J. R. Stat. Soc. B 57: equation 6). In coordinates in which that
information is the identity, f *is* the gradient, and quasi-Newton with the EM step as its first guess learns what the
missing labels hide (Jamshidian & Jennrich 1997, J. R. Stat. Soc. B 59, their QN2). Those coordinates are, with
Sigma_k = L_k L_k^T and n_k expected rows,

    sqrt(n_k) d log pi_k,   sqrt(n_k) L_k^-1 d mu_k,   sqrt(n_k) T_k with dL_k = L_k T_k (its diagonal times sqrt(2)),

seen from the current mixture; steps of earlier frames are used as they are. Every point is a mixture of the family:
weights go through a softmax, L_k through a product with a triangle of positive diagonal, and covariances back into the
family by its M-step. May import NumPy and the modules below it only.
"""

from collections import deque

import numpy as np

from bayesgmm.covariance import CovarianceFamily
from bayesgmm.parameters import MixtureParameters, ParameterError, inverse_cholesky
from bayesgmm.projection import within_family

MEMORY = 10
"""Steps remembered (5, 10 and 20 tried: 10 needs the fewest passes over mixtures separated well and badly)."""

LARGEST_STEP = 1.0
"""Furthest that a step may move any component, in standard deviations of one row's information of it.

Longer steps leave the neighbourhood of the optimum that EM is heading for, as they please."""

SHRINK = 0.25
"""Of a step that lowered the likelihood, what the next may be."""

LEAST_CURVATURE = 1e-10
"""Cosine between a step and the change of the EM step below which the pair says nothing."""

ROOT_2 = np.sqrt(2.0)


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
        self._pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=MEMORY)
        self._radius = LARGEST_STEP

    def propose(self, at: MixtureParameters) -> MixtureParameters | None:
        """Return where to look next, or None where only the EM step itself is known to raise the likelihood.

        Parameters
        ----------
        at : MixtureParameters
            The place that `learn` heard of last.
        """
        if not self._pairs or self._em_step is None:
            return None
        step = self._direction(self._em_step)
        length = self._longest(at, step)
        if not np.isfinite(length) or step @ self._em_step <= 0:
            self._pairs.clear()
            return None
        self._length = min(length, self._radius)
        try:
            return self._moved(at, step * (self._length / length))
        except (ParameterError, np.linalg.LinAlgError):
            self.refuse()
            return None

    def _longest(self, at: MixtureParameters, step: np.ndarray) -> float:
        """Largest move of a component, in standard deviations of one of its own rows' complete-data information."""
        K, D = at.means.shape
        owner = np.concatenate([np.repeat(np.arange(K), times) for times in (1, D, D, D * (D - 1) // 2)])
        squares = np.bincount(owner, step * step, K)
        return float((np.sqrt(squares) / self._root_n(at)).max())

    def _root_n(self, at: MixtureParameters) -> np.ndarray:
        """Square roots of the expected rows, (K,); less than one row counts as one, or it could be moved anywhere."""
        return np.sqrt(np.maximum(self._total * at.weights, 1.0))

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
        return 0.5 * float(em_step @ self._direction(em_step))

    def difference(self, origin: MixtureParameters, target: MixtureParameters) -> np.ndarray:
        """Coordinates of one mixture seen from another, (K + K D + K D (D + 1) / 2,)."""
        D = origin.n_features
        root_n = self._root_n(origin)
        whiten = np.swapaxes(origin.precision_cholesky, -1, -2)  # L^-1
        ratio = whiten @ np.linalg.cholesky(target.covariances)
        i, j = np.tril_indices(D, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_ratio = np.nan_to_num(np.log(target.weights) - np.log(origin.weights), posinf=0.0, neginf=0.0)
        return np.concatenate(
            [
                root_n * log_ratio,
                (root_n[:, None] * (whiten @ (target.means - origin.means)[:, :, None])[:, :, 0]).ravel(),
                (ROOT_2 * root_n[:, None] * np.log(np.diagonal(ratio, axis1=1, axis2=2))).ravel(),
                (root_n[:, None] * ratio[:, i, j]).ravel(),
            ]
        )

    def _moved(self, origin: MixtureParameters, step: np.ndarray) -> MixtureParameters:
        """Return the mixture of the family at given coordinates from `origin`; the inverse of `difference`."""
        K, D = origin.means.shape
        root_n = self._root_n(origin)
        log_weights = origin.log_weights + step[:K] / root_n
        weights = np.exp(log_weights - log_weights.max())
        L = np.linalg.cholesky(origin.covariances)
        shift = step[K : K + K * D].reshape(K, D, 1) / root_n[:, None, None]
        shape = step[K + K * D :]
        triangle = np.zeros((K, D, D))
        diagonal = np.arange(D)
        triangle[:, diagonal, diagonal] = np.exp(shape[: K * D].reshape(K, D) / (ROOT_2 * root_n[:, None]))
        i, j = np.tril_indices(D, -1)
        triangle[:, i, j] = shape[K * D :].reshape(K, -1) / root_n[:, None]
        factor = L @ triangle
        covariances = factor @ np.swapaxes(factor, -1, -2)
        moved = MixtureParameters(
            weights / weights.sum(), origin.means + (L @ shift)[:, :, 0], covariances, covariances
        )
        if "covariances" in self._frozen:
            return MixtureParameters(moved.weights, moved.means, origin.covariances, origin.precision_cholesky)
        if self._family.code in ("VVV", "V"):
            # the family of all covariances: nothing to bring back
            return MixtureParameters(moved.weights, moved.means, covariances, inverse_cholesky(covariances))
        return within_family(moved, self._family, origin.covariances)

    def _direction(self, em_step: np.ndarray) -> np.ndarray:
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
