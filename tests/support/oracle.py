"""Slow, obvious references: SciPy's densities and loops over rows and components."""

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from bayesgmm.em.families import covariance_family
from bayesgmm.mixture.parameters import MixtureParameters


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


def _rotation_to_free(rotation: np.ndarray) -> np.ndarray:
    """Givens angles that bring the columns to the axes, up to their signs: D (D - 1) / 2 of them."""
    R, angles = rotation.copy(), []
    for j, i in zip(*np.triu_indices(len(R), 1), strict=True):
        angles.append(np.arctan2(R[i, j], R[j, j]))
        c, s = np.cos(angles[-1]), np.sin(angles[-1])
        R[[j, i]] = [c * R[j] + s * R[i], c * R[i] - s * R[j]]
    return np.array(angles)


def _free_to_rotation(angles: np.ndarray, D: int) -> np.ndarray:
    R = np.eye(D)
    for (j, i), angle in reversed(list(zip(np.transpose(np.triu_indices(D, 1)), angles, strict=True))):
        c, s = np.cos(angle), np.sin(angle)
        R[[j, i]] = [c * R[j] - s * R[i], c * R[i] + s * R[j]]
    return R


def _parts(code: str, K: int, D: int) -> list[tuple[int, int]]:
    """How many volumes, shapes and orientations mclust's code stands for, and of how many numbers each."""
    lengths = (1, D - 1, D * (D - 1) // 2)
    return [
        ({"E": 1, "V": K, "I": 0}[letter], length) for letter, length in zip(code.ljust(3, "I"), lengths, strict=True)
    ]


def to_free(parameters: MixtureParameters, family: str) -> np.ndarray:
    """Coordinates without constraints: log weight ratios, means; log volumes, log shapes, angles of the orientations.

    Sigma_k = lambda_k D_k A_k D_k^T; as many lambda, A and D as the letters of mclust's code say.
    """
    code = covariance_family(family).code.ljust(3, "I")
    covariances = parameters.covariances
    K, D = parameters.means.shape
    if code[2] == "I":
        rotations = np.stack([np.eye(D)] * K)
    elif code[2] == "V" or code[1] == "E":
        rotations = np.linalg.eigh(covariances)[1]  # by rank, so that common shapes are paired
    else:
        unequal = np.tensordot(1 / np.arange(2, K + 2), covariances, 1)  # a sum in which no eigenvalues tie by chance
        rotations = np.stack([np.linalg.eigh(unequal)[1]] * K)
    variances = np.log(np.einsum("kij,kil,klj->kj", rotations, covariances, rotations))
    volumes = variances.mean(axis=1, keepdims=True)
    shapes = (variances - volumes)[:, : D - 1]
    angles = np.array([_rotation_to_free(rotation) for rotation in rotations])
    free = [
        part[:count].ravel() for part, (count, _) in zip((volumes, shapes, angles), _parts(code, K, D), strict=True)
    ]
    log_weights = np.log(parameters.weights)
    return np.concatenate([log_weights[1:] - log_weights[0], parameters.means.ravel(), *free])


def from_free(free: np.ndarray, family: str, K: int, D: int) -> MixtureParameters:
    """The inverse of `to_free` within the family."""
    weights = softmax(np.concatenate([[0.0], free[: K - 1]]))
    means = free[K - 1 : K - 1 + K * D].reshape(K, D)
    rest, parts = free[K - 1 + K * D :], []
    for count, length in _parts(covariance_family(family).code, K, D):
        part, rest = rest[: count * length].reshape(count, length), rest[count * length :]
        parts.append(np.broadcast_to(part if count else np.zeros(length), (K, length)))
    assert len(rest) == 0
    volumes, shapes, angles = parts
    variances = np.exp(volumes + np.concatenate([shapes, -shapes.sum(axis=1, keepdims=True)], axis=1))
    rotations = np.stack([_free_to_rotation(one, D) for one in angles])
    covariances = np.einsum("kij,kj,klj->kil", rotations, variances, rotations)
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
