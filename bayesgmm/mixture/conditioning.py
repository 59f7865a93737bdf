"""What a Gaussian mixture says of some features given the others, and of one feature: its quantiles.

May import NumPy, SciPy, the noise and the parameters only. Leading batch dimensions of the parameters are kept.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import expit, logsumexp, ndtr, ndtri

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
    found = MixtureParameters.from_covariances(np.exp(log_joint - total), means, L_aa @ np.swapaxes(L_aa, -1, -2))
    if parameters.noise is None:
        return found
    # the components' densities but for the (2 pi)^(-B / 2) that they share
    of_components = total[..., 0] - 0.5 * len(given) * np.log(2 * np.pi)
    return replace(found, noise=_condition_noise(parameters.noise, given, np.asarray(values), rest, of_components))


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


def cumulative(parameters: MixtureParameters, x: np.ndarray) -> np.ndarray:
    """Distribution function of a mixture in one feature: P(X <= x) = sum_k weights_k Phi((x - mu_k) / sigma_k).

    With noise between two edges, (1 - pi_0) times this, plus pi_0 times how far x is from the lower to the upper one.

    Parameters
    ----------
    parameters : MixtureParameters
        (..., K) components, D = 1.
    x : (Q,) float64

    Returns
    -------
    probabilities : (..., Q) float64
    """
    x = np.asarray(x, dtype=np.float64)
    weights, z = _shares(parameters)[..., None, :], _standardised(parameters, x)
    below, above = (weights * ndtr(z)).sum(axis=-1), (weights * ndtr(-z)).sum(axis=-1)
    if parameters.noise is not None:
        weight, passed, left = _along(parameters.noise, x)
        below, above = below + weight * passed, above + weight * left
    # the smaller of the two tails: never above one, and one at infinity, whatever the rounding of the weights
    return np.where(below <= above, below, 1.0 - above)


def quantile(parameters: MixtureParameters, q: np.ndarray) -> np.ndarray:
    """Invert `cumulative`: the x with P(X <= x) = q; minus infinity at 0, infinity at 1.

    A quantile of the mixture lies between the least and the greatest of its components' own, and of the noise's.
    Bisection from there ends when floating-point numbers do: safe whatever the gaps between components.

    Parameters
    ----------
    parameters : MixtureParameters
        (..., K) components, D = 1.
    q : (Q,) float64, in [0, 1]

    Returns
    -------
    quantiles : (..., Q) float64, in the units of the parameters
    """
    q = np.asarray(q, dtype=np.float64)
    inside = (q > 0) & (q < 1)
    p = np.where(inside, q, 0.5)
    deviate = np.where(p <= 0.5, ndtri(p), -ndtri(1.0 - p))
    mean, sd = parameters.means[..., 0], np.sqrt(parameters.covariances[..., 0, 0])
    own = mean[..., None, :] + sd[..., None, :] * deviate[:, None]
    # room for the rounding of ndtri: the bracket must hold the root
    room = 1e-6 * sd[..., None, :] * (1.0 + np.abs(deviate[:, None]))
    present = parameters.weights[..., None, :] > 0
    low = np.where(present, own - room, np.inf).min(axis=-1)
    high = np.where(present, own + room, -np.inf).max(axis=-1)
    if parameters.noise is not None:
        lower, upper = _edges(parameters.noise)
        there = parameters.noise.weight[..., None] > 0
        at, room = lower + p * (upper - lower), 1e-6 * (upper - lower)
        low, high = np.where(there, np.minimum(low, at - room), low), np.where(there, np.maximum(high, at + room), high)
    while True:
        middle = low + 0.5 * (high - low)
        if not ((middle > low) & (middle < high)).any():
            break
        below = _excess(parameters, middle, p) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(inside, high, np.where(q <= 0, -np.inf, np.inf))


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


def _shares(parameters: MixtureParameters) -> np.ndarray:
    """Shares of the components in all rows, (..., K)."""
    noise = parameters.noise
    return parameters.weights if noise is None else parameters.weights * (1.0 - noise.weight[..., None])


def _edges(noise: Noise) -> tuple[float, float]:
    """Lower and upper edge of a background in one feature."""
    (lower,), (upper,) = noise.background.lower, noise.background.upper
    return float(lower), float(upper)


def _along(noise: Noise, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pi_0 (..., 1), and the shares of the noise in one feature below and above points x, (..., Q)."""
    lower, upper = _edges(noise)
    x = np.clip(x, lower, upper)
    return noise.weight[..., None], (x - lower) / (upper - lower), (upper - x) / (upper - lower)


def _standardised(parameters: MixtureParameters, x: np.ndarray) -> np.ndarray:
    """(x - mu_k) / sigma_k of points x, (..., Q), in a new last dimension: (..., Q, K)."""
    mean, inverse_sd = parameters.means[..., None, :, 0], parameters.precision_cholesky[..., None, :, 0, 0]
    return (x[..., None] - mean) * inverse_sd


def _excess(parameters: MixtureParameters, x: np.ndarray, q: np.ndarray) -> np.ndarray:
    """P(X <= x) - q, (..., Q), of the tails alone.

    Components wholly on one side of x cancel against q first: the sign is right also far in the gap between two
    components and near q = 1, where P(X <= x) itself rounds to a constant. Noise is cut likewise at its middle.
    """
    weights, z = _shares(parameters)[..., None, :], _standardised(parameters, x)
    passed = z > 0
    tails = (weights * np.where(passed, -ndtr(-np.abs(z)), ndtr(-np.abs(z)))).sum(axis=-1)
    below = np.where(passed, weights, 0.0).sum(axis=-1)
    above = np.where(passed, 0.0, weights).sum(axis=-1)
    if parameters.noise is not None:
        weight, share_below, share_above = _along(parameters.noise, x)
        beyond = share_above < share_below
        tails = tails + weight * np.where(beyond, -share_above, share_below)
        below, above = below + np.where(beyond, weight, 0.0), above + np.where(beyond, 0.0, weight)
    return np.where(q <= 0.5, below - q, (1.0 - q) - above) + tails
