"""How far rows are from a mixture: its marginals, its pairs, its components, its modes.

Each figure compares rows with one mixture, and is small where they match. May import NumPy, SciPy and the parameters.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import gammainc, ndtr

from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.quantiles import cumulative

MODE_HEIGHT = 0.05
"""A bump lower than this share of the highest is no mode: a stray row makes one."""

MODE_GRID = 512
"""Points at which a kernel density is looked at."""


def kolmogorov(x: np.ndarray, parameters: MixtureParameters) -> np.ndarray:
    """Kolmogorov-Smirnov distance of each feature, (D,): sqrt(N) sup |F_N(x) - F(x)|."""
    N, D = x.shape
    distance = np.empty(D)
    below, upto = np.arange(N) / N, np.arange(1, N + 1) / N
    for j in range(D):
        u = cumulative(parameters.marginal([j]), np.sort(x[:, j]))
        distance[j] = np.sqrt(N) * max((upto - u).max(), (u - below).max())
    return distance


def rosenblatt(x: np.ndarray, parameters: MixtureParameters, first: int, second: int) -> np.ndarray:
    """Transform two features to the unit square: F(x_first) and F(x_second | x_first), (N, 2).

    Uniform for rows of the mixture, those of noise in a box among them.

    References
    ----------
    Rosenblatt (1952), Remarks on a multivariate transformation, Annals of Mathematical Statistics 23.
    """
    pair = parameters.marginal([first, second])
    a, b = x[:, first, None], x[:, second, None]
    mean, S = pair.means, pair.covariances
    sd = np.sqrt(S[:, 0, 0])
    z = (a - mean[:, 0]) / sd
    r = (pair.log_shares - np.log(sd) - 0.5 * z**2).T.copy()
    normalise(r, _background(pair.marginal([0]), a))
    slope = S[:, 0, 1] / S[:, 0, 0]
    rest = np.sqrt(S[:, 1, 1] - slope * S[:, 0, 1])
    conditional = (r.T * ndtr((b - mean[:, 1] - slope * (a - mean[:, 0])) / rest)).sum(axis=1)
    if pair.noise is not None:
        lower, upper = pair.noise.background.lower[1], pair.noise.background.upper[1]
        conditional += (1 - r.sum(axis=0)) * ((np.clip(b[:, 0], lower, upper) - lower) / (upper - lower))
    return np.stack([cumulative(parameters.marginal([first]), x[:, first]), conditional], axis=1)


def pair_chi_squared(x: np.ndarray, parameters: MixtureParameters, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Pearson's chi-squared of the counts in equal cells of each pair's unit square, (len(pairs),)."""
    cells = int(np.clip(np.sqrt(len(x) / 10), 2, 8))
    chi_squared = np.empty(len(pairs))
    for position, (i, j) in enumerate(pairs):
        where = np.clip((rosenblatt(x, parameters, i, j) * cells).astype(int), 0, cells - 1)
        counts = np.bincount(where[:, 0] * cells + where[:, 1], minlength=cells**2)
        expected = len(x) / cells**2
        chi_squared[position] = ((counts - expected) ** 2).sum() / expected
    return chi_squared


def distances(x: np.ndarray, parameters: MixtureParameters) -> tuple[np.ndarray, np.ndarray]:
    """Membership probabilities in components and squared Mahalanobis distances of rows, (K, N) each."""
    U = parameters.precision_cholesky
    squared = np.stack([(((x - mean) @ u) ** 2).sum(axis=1) for mean, u in zip(parameters.means, U, strict=True)])
    r = (parameters.log_shares + parameters.log_det_precision_cholesky)[:, None] - 0.5 * squared
    normalise(r, _background(parameters, x))
    return r, squared


def _background(parameters: MixtureParameters, x: np.ndarray) -> np.ndarray | None:
    """Log joint density of noise at rows x, (N,), where (2 pi)^(-D / 2) is left out of the components' densities."""
    noise = parameters.noise
    if noise is None:
        return None
    level = noise.log_weight - noise.background.log_volume + 0.5 * x.shape[1] * np.log(2 * np.pi)
    return np.where(noise.background.contains(x), level, -np.inf)


def component_kolmogorov(r: np.ndarray, squared: np.ndarray, D: int) -> np.ndarray:
    """Distance of each component's Mahalanobis distances from chi-squared, (K,): sqrt(N_k) sup |F_k - F|.

    F_k weights rows by r_nk. It has the right limit: E[r_k(x) 1(d_k^2(x) <= t)] = weights_k P(chi2_D <= t), times one
    minus the share of noise where there is any.
    """
    supremum = np.empty(len(r))
    for k, (weights, distance) in enumerate(zip(r, squared, strict=True)):
        order = np.argsort(distance)
        share = np.cumsum(weights[order])
        total = max(share[-1], 1e-300)
        u = gammainc(D / 2, distance[order] / 2)
        above = share / total
        below = above - weights[order] / total
        supremum[k] = np.sqrt(total) * max((above - u).max(), (u - below).max())
    return supremum


def kurtosis(r: np.ndarray, squared: np.ndarray, D: int) -> np.ndarray:
    """Kurtosis of each component over that of a normal, (K,): sum_n r_nk d_nk^4 / (N_k D (D + 2)).

    References
    ----------
    Mardia (1970), Measures of multivariate skewness and kurtosis with applications, Biometrika 57.
    """
    return (r * squared**2).sum(axis=1) / np.maximum(r.sum(axis=1), 1e-300) / (D * (D + 2))


def distance_quantiles(r: np.ndarray, squared: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Weighted quantiles of each component's squared Mahalanobis distances, (K, Q)."""
    quantiles = np.empty((len(r), len(probabilities)))
    for k, (weights, distance) in enumerate(zip(r, squared, strict=True)):
        order = np.argsort(distance)
        share = np.cumsum(weights[order]) - 0.5 * weights[order]
        quantiles[k] = np.interp(probabilities, share / max(weights.sum(), 1e-300), distance[order])
    return quantiles


def n_kernel_modes(x: np.ndarray, parameters: MixtureParameters) -> np.ndarray:
    """Modes of a kernel density estimate of each feature, (D,).

    The bandwidth is Silverman's for one normal, 1.06 sd N^(-1/5), with the sd within components.

    References
    ----------
    Silverman (1981), Using kernel density estimates to investigate multimodality, JRSS B 43.
    """
    N, D = x.shape
    variances = np.diagonal(parameters.covariances, axis1=-2, axis2=-1)
    bandwidth = 1.06 * (parameters.weights @ np.sqrt(variances)) * N**-0.2
    n_modes = np.empty(D)
    for j in range(D):
        low, high = x[:, j].min() - 3 * bandwidth[j], x[:, j].max() + 3 * bandwidth[j]
        counts, edges = np.histogram(x[:, j], bins=MODE_GRID, range=(low, high))
        smooth = gaussian_filter1d(counts.astype(float), bandwidth[j] / (edges[1] - edges[0]), mode="constant")
        inner = smooth[1:-1]
        top = (inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > MODE_HEIGHT * smooth.max())
        n_modes[j] = top.sum()
    return n_modes
