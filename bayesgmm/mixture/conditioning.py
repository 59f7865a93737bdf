"""What a Gaussian mixture says of some features, given the others.

May import NumPy, SciPy, the noise and the parameters only. Leading batch dimensions of the parameters are kept.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import expit, logsumexp

from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError


def condition(parameters: MixtureParameters, given: Sequence[int], values: np.ndarray) -> MixtureParameters:
    """Return the mixture of the features that are not given, in their order.

    p(x_a | x_b) = sum_k w_k N(x_a | m_k, S_k) with ``w_k ∝ weights_k N(x_b | mu_kb, Sigma_kbb)``,
    ``m_k = mu_ka + Sigma_kab Sigma_kbb^-1 (x_b - mu_kb)`` and ``S_k = Sigma_kaa - Sigma_kab Sigma_kbb^-1 Sigma_kba``.
    Noise in a box is uniform over the edges of the other features, with a weight ∝ pi_0 / volume_b where x_b is between
    the edges of the given ones, and zero where it is not.

    Parameters
    ----------
    parameters : MixtureParameters
        (..., K) components in D features.
    given : sequence of int
        Positions b of the given features: distinct, at least one and fewer than D.
    values : (len(given),) float64, finite
        x_b, in the units of the parameters.

    Raises
    ------
    ParameterError
        When the values are so far from every component that double precision has no density there.
    BackgroundError
        When noise is uniform in a hull.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, equations 2.81 and 2.82.
    """
    rest, L_bb, L_ab, L_aa = _factors(parameters, given)
    difference = np.asarray(values, dtype=np.float64) - parameters.means[..., list(given)]
    with np.errstate(over="ignore", invalid="ignore"):
        z = solve_triangular(L_bb, difference[..., None], lower=True, check_finite=False)
        log_det = np.log(np.diagonal(L_bb, axis1=-2, axis2=-1)).sum(axis=-1)
        log_joint = parameters.log_weights - 0.5 * (z[..., 0] ** 2).sum(axis=-1) - log_det
        total = logsumexp(log_joint, axis=-1, keepdims=True)
        means = parameters.means[..., rest] + (L_ab @ z)[..., 0]
    if not (np.isfinite(total).all() and np.isfinite(means).all()):
        raise ParameterError(
            f"the given values {np.asarray(values).tolist()} are so far from every component that double precision "
            "has no density there: check the values."
        )
    of_rest = MixtureParameters.from_covariances(np.exp(log_joint - total), means, L_aa @ np.swapaxes(L_aa, -1, -2))
    if parameters.noise is None:
        return of_rest
    # the components' densities but for the (2 pi)^(-B / 2) that they share
    of_components = total[..., 0] - 0.5 * len(given) * np.log(2 * np.pi)
    return replace(of_rest, noise=_condition_noise(parameters.noise, given, np.asarray(values), rest, of_components))


def _condition_noise(
    noise: Noise, given: Sequence[int], values: np.ndarray, rest: list[int], log_density: np.ndarray
) -> Noise:
    """Noise in the other features; `log_density`, (...), is that of the components together, without their share."""
    seen, left = noise.background.marginal(given), noise.background.marginal(rest)
    if not seen.contains(values[None])[0]:
        return Noise(np.zeros_like(noise.weight), left)
    odds = noise.log_weight - seen.log_volume - noise.log_rest - log_density
    return Noise(expit(odds), left)


def regressions(parameters: MixtureParameters, given: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear regression of the other features on the given ones, within each component.

    E[x_a | x_b, k] = mu_ka + slope_k (x_b - mu_kb), with slope_k = Sigma_kab Sigma_kbb^-1 and residual covariance
    S_k = Sigma_kaa - slope_k Sigma_kba.

    Parameters
    ----------
    parameters : MixtureParameters
        (..., K) components in D features.
    given : sequence of int
        Positions b.

    Returns
    -------
    slopes : (..., K, A, B) float64
    means : (..., K, A) float64
        mu_ka, the features in their order.
    covariances : (..., K, A, A) float64
    """
    rest, L_bb, L_ab, L_aa = _factors(parameters, given)
    slopes = np.swapaxes(np.linalg.solve(np.swapaxes(L_bb, -1, -2), np.swapaxes(L_ab, -1, -2)), -1, -2)
    return slopes, parameters.means[..., rest], L_aa @ np.swapaxes(L_aa, -1, -2)


def _factors(
    parameters: MixtureParameters, given: Sequence[int]
) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
    """Positions a of the other features, and L_bb, L_ab, L_aa of the Cholesky factor of (Sigma_bb, Sigma_ba; ...).

    With b first, L L^T = Sigma holds the rest: Sigma_ab Sigma_bb^-1 = L_ab L_bb^-1, and the Schur complement is
    L_aa L_aa^T, positive definite without a subtraction.
    """
    b = len(given)
    rest = [j for j in range(parameters.n_features) if j not in set(given)]
    order = np.asarray([*given, *rest])
    L = np.linalg.cholesky(parameters.covariances[..., order[:, None], order[None, :]])
    return rest, L[..., :b, :b], L[..., b:, :b], L[..., b:, b:]
