"""The distribution function of a mixture in one feature, and its inverse.

May import NumPy, SciPy, the noise and the parameters only. Leading batch dimensions of the parameters are kept.
"""

import numpy as np
from scipy.optimize.elementwise import find_root
from scipy.special import ndtr, ndtri

from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters


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
    weights = _shares(parameters)[..., None, :]
    mean, inverse_sd = parameters.means[..., None, :, 0], parameters.precision_cholesky[..., None, :, 0, 0]
    z = (x[..., None] - mean) * inverse_sd
    below, above = (weights * ndtr(z)).sum(axis=-1), (weights * ndtr(-z)).sum(axis=-1)
    if parameters.noise is not None:
        share, (lower, upper) = parameters.noise.weight[..., None], _edges(parameters.noise)
        inside = np.clip(x, lower, upper)
        below = below + share * ((inside - lower) / (upper - lower))
        above = above + share * ((upper - inside) / (upper - lower))
    # the smaller of the two tails: never above one, and one at infinity, whatever the rounding of the weights
    return np.where(below <= above, below, 1.0 - above)


def quantile(parameters: MixtureParameters, q: np.ndarray) -> np.ndarray:
    """Invert `cumulative`: the x with P(X <= x) = q; minus infinity at 0, infinity at 1.

    Parameters
    ----------
    parameters : MixtureParameters
        (..., K) components, D = 1.
    q : (Q,) float64, in [0, 1]

    Returns
    -------
    quantiles : (..., Q) float64, in the units of the parameters, to its last digits
    """
    q = np.asarray(q, dtype=np.float64)
    inside = (q > 0) & (q < 1)
    shape = (*parameters.batch_shape, len(q))

    def each(values: np.ndarray) -> np.ndarray:
        """Values (..., n) of the mixtures, beside each other for every probability: (n, M)."""
        values = np.broadcast_to(values[..., None, :], (*shape, values.shape[-1]))
        return np.moveaxis(values, -1, 0).reshape(values.shape[-1], -1)

    uniform = None
    if parameters.noise is not None:
        uniform = (each(parameters.noise.weight[..., None])[0], *_edges(parameters.noise))
    x = mixed_quantile(
        each(_shares(parameters)),
        each(parameters.means[..., 0]),
        each(np.sqrt(parameters.covariances[..., 0, 0])),
        np.broadcast_to(np.where(inside, q, 0.5), shape).ravel(),
        uniform,
    )
    return np.where(inside, x.reshape(shape), np.where(q <= 0, -np.inf, np.inf))


def mixed_quantile(
    weights: np.ndarray,
    means: np.ndarray,
    sds: np.ndarray,
    q: float | np.ndarray,
    uniform: tuple[np.ndarray, float, float] | None = None,
    *,
    tolerance: float = 0.0,
) -> np.ndarray:
    """Solve sum_n w_nm Phi((x_m - mu_nm) / sigma_nm) = q_m for each of M mixtures of n normal distributions.

    A quantile of the mixture lies between the least and the greatest of its components' own, and of the noise's: the
    root is bracketed whatever the gaps between components (Chandrupatla 1997, by `scipy.optimize`).

    Parameters
    ----------
    weights, means : (n, M) float64
    sds : (n, M) or (n, 1) float64
    q : float or (M,) float64, in (0, 1)
    uniform : ((M,) float64, float, float), optional
        Weight, lower and upper edge of a uniform distribution besides.
    tolerance : float
        By how much a root may be wrong, in the units of the means; by default in its last digits only.

    Returns
    -------
    (M,) float64
    """
    M = weights.shape[-1]
    q = np.broadcast_to(np.asarray(q, dtype=np.float64), M)
    # the upper half mirrored: 1 - P(X <= x) is a sum of lower tails again, and as exact
    side, tail = np.where(q <= 0.5, 1.0, -1.0), np.where(q <= 0.5, q, 1.0 - q)
    deviate = side * ndtri(tail)
    own, present = means + sds * deviate, weights > 0
    # room for rounding, here and below: the bracket must hold the root
    room = 1e-6 * sds * (1.0 + np.abs(deviate))
    low = np.where(present, own - room, np.inf).min(axis=0)
    high = np.where(present, own + room, -np.inf).max(axis=0)
    if uniform is not None:
        share, lower, upper = uniform
        at, room = lower + q * (upper - lower), 1e-6 * (upper - lower)
        low = np.where(share > 0, np.minimum(low, at - room), low)
        high = np.where(share > 0, np.maximum(high, at + room), high)
    low, high = low - 4 * np.spacing(np.abs(low)), high + 4 * np.spacing(np.abs(high))
    signed = side / sds

    def excess(x: np.ndarray, which: np.ndarray) -> np.ndarray:
        """P(X <= x) - q of some of the mixtures, of the tails alone.

        Components wholly on one side of x cancel against q first: the sign is right also far in the gap between two
        components and near q = 1, where P(X <= x) itself rounds to a constant.
        """
        some = slice(None) if len(which) == M else which
        w = weights[:, some]
        z = (x - means[:, some]) * signed[:, some]
        passed = (w * (z > 0)).sum(axis=0)
        if uniform is not None:
            inside = np.clip(x, lower, upper)
            below = np.where(side[some] > 0, inside - lower, upper - inside) / (upper - lower)
            passed = passed + share[some] * below
        tails = np.einsum("nm,nm->m", w, np.copysign(ndtr(-np.abs(z)), -z))
        return side[some] * (passed - tail[some] + tails)

    digits = {} if tolerance == 0 else {"xatol": tolerance, "xrtol": 4 * np.finfo(np.float64).eps}
    return find_root(excess, (low, high), args=(np.arange(M),), tolerances=digits or None).x


def _shares(parameters: MixtureParameters) -> np.ndarray:
    """Shares of the components in all rows, (..., K)."""
    noise = parameters.noise
    return parameters.weights if noise is None else parameters.weights * (1.0 - noise.weight[..., None])


def _edges(noise: Noise) -> tuple[float, float]:
    """Lower and upper edge of a background in one feature."""
    (lower,), (upper,) = noise.background.lower, noise.background.upper
    return float(lower), float(upper)
