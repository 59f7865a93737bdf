"""Slow, obvious references: SciPy's densities and loops over rows and components."""

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from bayesgmm.covariance import FAMILIES
from bayesgmm.parameters import MixtureParameters


def log_joint(X, parameters: MixtureParameters) -> np.ndarray:
    """log weights_k + log N(x_n | means_k, covariances_k), (N, K), of one mixture."""
    X = np.asarray(X, dtype=np.float64)
    with np.errstate(divide="ignore"):
        columns = [
            np.log(weight) + np.atleast_1d(multivariate_normal(mean, covariance).logpdf(X))
            for weight, mean, covariance in zip(
                parameters.weights, parameters.means, parameters.covariances, strict=True
            )
        ]
    return np.stack(columns, axis=1)


def log_density(X, parameters: MixtureParameters) -> np.ndarray:
    """log p(x_n), (N,)."""
    return logsumexp(log_joint(X, parameters), axis=1)


def memberships(X, parameters: MixtureParameters) -> np.ndarray:
    """r_nk, (N, K)."""
    return softmax(log_joint(X, parameters), axis=1)


def statistics(Y, parameters: MixtureParameters, weights=None):
    """Loops for sum_n w_n r_nk (1, y_n, y_n y_n^T), and the log-likelihood."""
    r = memberships(Y, parameters)
    weights = np.ones(len(Y)) if weights is None else weights
    K, D = parameters.means.shape
    N, S1, S2 = np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D))
    for y, w, r_n in zip(Y, weights, r, strict=True):
        for k in range(K):
            N[k] += w * r_n[k]
            S1[k] += w * r_n[k] * y
            S2[k] += w * r_n[k] * np.outer(y, y)
    return float(weights @ log_density(Y, parameters)), N, S1, S2


def expected_complete_log_likelihood(N, S1, S2, parameters: MixtureParameters) -> float:
    """Q = sum_k N_k log weights_k + E sum_n r_nk log N(y_n | mu_k, Sigma_k), from statistics with full S2."""
    total = 0.0
    for k, (weight, mean, covariance) in enumerate(
        zip(parameters.weights, parameters.means, parameters.covariances, strict=True)
    ):
        scatter = S2[k] - np.outer(S1[k], mean) - np.outer(mean, S1[k]) + N[k] * np.outer(mean, mean)
        log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
        total += N[k] * np.log(weight) - 0.5 * N[k] * log_det - 0.5 * np.trace(np.linalg.solve(covariance, scatter))
    return float(total)


def _cholesky_to_free(matrix: np.ndarray) -> np.ndarray:
    L = np.linalg.cholesky(matrix)
    return np.concatenate([np.log(np.diag(L)), L[np.tril_indices(len(L), -1)]])


def _free_to_matrix(free: np.ndarray, D: int) -> np.ndarray:
    L = np.diag(np.exp(free[:D]))
    L[np.tril_indices(D, -1)] = free[D:]
    return L @ L.T


def to_free(parameters: MixtureParameters, family: str) -> np.ndarray:
    """Coordinates without constraints: log weight ratios, means, and log Cholesky factors within the family."""
    log_weights = np.log(parameters.weights)
    if family == "full":
        covariance = [_cholesky_to_free(matrix) for matrix in parameters.covariances]
    elif family == "tied":
        covariance = [_cholesky_to_free(parameters.covariances[0])]
    elif family == "diag":
        covariance = [0.5 * np.log(np.diag(matrix)) for matrix in parameters.covariances]
    elif family == "spherical":
        covariance = [0.5 * np.log(matrix[:1, 0]) for matrix in parameters.covariances]
    else:
        raise AssertionError(f"family {family!r} has no coordinates here: add them ({sorted(FAMILIES)})")
    return np.concatenate([log_weights[1:] - log_weights[0], parameters.means.ravel(), *covariance])


def from_free(free: np.ndarray, family: str, K: int, D: int) -> MixtureParameters:
    """The inverse of `to_free`."""
    weights = softmax(np.concatenate([[0.0], free[: K - 1]]))
    means = free[K - 1 : K - 1 + K * D].reshape(K, D)
    rest = free[K - 1 + K * D :]
    if family == "full":
        covariances = np.stack([_free_to_matrix(part, D) for part in rest.reshape(K, -1)])
    elif family == "tied":
        covariances = np.repeat(_free_to_matrix(rest, D)[None], K, axis=0)
    elif family == "diag":
        covariances = np.stack([np.diag(np.exp(2 * part)) for part in rest.reshape(K, -1)])
    else:
        covariances = np.stack([np.exp(2 * part) * np.eye(D) for part in rest])
    return MixtureParameters.from_covariances(weights, means, covariances)


def gradient(function, point: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences: error about step^2 in truncation, 1e-16 |f| / step in rounding."""
    out = np.empty(len(point))
    for i in range(len(point)):
        forth, back = point.copy(), point.copy()
        forth[i] += step
        back[i] -= step
        out[i] = (function(forth) - function(back)) / (2 * step)
    return out
