"""One pass over incomplete rows, compiled: log likelihood and gradient (in NumPy: `bayesgmm.kernel.incomplete`).

Statistics are kept about the means of the components, where they complete themselves most simply: with what is seen of
a row y, its features o and T_k = Sigma_k,oo + E, the expected deviation of the complete row is A_k (y - mu_k,o),
A_k = Sigma_k,.o T_k^-1, and its covariance Sigma_k - A_k Sigma_k,o. . Groups of rows that see the same go through the
pass for complete rows, under the mixture of what is seen. May import NumPy, numba and the pass for complete rows.
"""

import math

import numba
import numpy as np

from bayesgmm.kernel.compiled.complete import (
    fisher_gradient,
    log_constants,
    natural_coefficients,
    natural_pass,
    residual_pass,
    strided_mean,
)
from bayesgmm.kernel.forms import LARGEST_CONDITION
from bayesgmm.kernel.natural import LOG_2PI


@numba.njit(fastmath=False, error_model="numpy")
def covariances_of(U: np.ndarray) -> np.ndarray:
    """Sigma_k = (U_k U_k^T)^-1, (K, D, D); what is singular gives infinities or NaN."""
    K, D = U.shape[0], U.shape[1]
    out = np.empty((K, D, D))
    V = np.zeros((D, D))
    for k in range(K):
        for j in range(D):
            V[j, j] = 1.0 / U[k, j, j]
            for i in range(j - 1, -1, -1):
                total = 0.0
                for m in range(i + 1, j + 1):
                    total += U[k, i, m] * V[m, j]
                V[i, j] = -total / U[k, i, i]
        for i in range(D):
            for j in range(i + 1):
                total = 0.0
                for m in range(j + 1):
                    total += V[m, i] * V[m, j]
                out[k, i, j] = total
                out[k, j, i] = total
    return out


@numba.njit(fastmath=False, error_model="numpy")
def factor(T: np.ndarray, P: int, L: np.ndarray) -> float:
    """Cholesky factor of T (P, P), lower, into L; half its log determinant. What is not positive gives NaN."""
    half_log_det = 0.0
    for j in range(P):
        for i in range(j, P):
            total = T[i, j]
            for m in range(j):
                total -= L[i, m] * L[j, m]
            if i == j:
                L[j, j] = math.sqrt(total) if total > 0.0 else np.nan
                half_log_det += np.log(L[j, j])
            else:
                L[i, j] = total / L[j, j]
    return half_log_det


@numba.njit(fastmath=False, error_model="numpy")
def explained(L: np.ndarray, sigma: np.ndarray, seen: np.ndarray, P: int, W: np.ndarray) -> None:
    """W = L^-1 Sigma_o. (P, D): then A = W^T L^-1, and A Sigma_o. = W^T W."""
    D = sigma.shape[0]
    for j in range(D):
        for i in range(P):
            total = sigma[seen[i], j]
            for m in range(i):
                total -= L[i, m] * W[m, j]
            W[i, j] = total / L[i, i]


@numba.njit(fastmath=False, error_model="numpy")
def group_pass(
    x: np.ndarray,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    sigma: np.ndarray,
    error: np.ndarray,
    seen: np.ndarray,
    log_noise: float,
    background: np.ndarray,
    S: np.ndarray,
) -> tuple[float, float]:
    """Log likelihood of rows (B, P) that see the same, and their expected mass in the noise.

    Adds the completed [N, S1; S1^T, S2] to S (K, 1 + D, 1 + D).
    """
    K, D = means.shape
    P = x.shape[1]
    own_means, roots = np.empty((K, P)), np.zeros((K, P, P))
    A, W = np.zeros((K, D, P)), np.empty((P, D))
    remaining = np.empty((K, D, D))
    T, L = np.empty((P, P)), np.zeros((P, P))
    for k in range(K):
        for i in range(P):
            own_means[k, i] = means[k, seen[i]]
            for j in range(P):
                T[i, j] = sigma[k, seen[i], seen[j]] + error[i, j]
        factor(T, P, L)
        explained(L, sigma[k], seen, P, W)
        # U = L^-T, upper triangular
        for j in range(P):
            roots[k, j, j] = 1.0 / L[j, j]
            for i in range(j + 1, P):
                total = 0.0
                for m in range(j, i):
                    total += L[i, m] * roots[k, j, m]
                roots[k, j, i] = -total / L[i, i]
        for i in range(D):
            for j in range(P):
                for m in range(j, P):
                    A[k, i, j] += roots[k, j, m] * W[m, i]
            for j in range(D):
                total = sigma[k, i, j]
                for m in range(P):
                    total -= W[m, i] * W[m, j]
                remaining[k, i, j] = total
    # Of the features (y_i, y_i y_j), as for complete rows.
    first, eta = np.empty(K), np.zeros((K, (P + P * (P + 1) // 2 + 3) // 4 * 4))
    own = np.zeros((K, 1 + P, 1 + P))
    shift = strided_mean(x)
    constants = log_constants(log_weights, roots)
    if natural_coefficients(constants, own_means, roots, shift, first, eta) <= LARGEST_CONDITION:
        loglik, mass = natural_pass(x, row_weights, first, eta, own_means, shift, log_noise, background, own)
    else:
        loglik, mass = residual_pass(x, row_weights, constants, own_means, roots, log_noise, background, own)
    half = np.empty((D, P))
    for k in range(K):
        N = own[k, 0, 0]
        S[k, 0, 0] += N
        for i in range(D):
            for j in range(P):
                S[k, 0, 1 + i] += A[k, i, j] * own[k, 0, 1 + j]
                half[i, j] = 0.0
                for m in range(P):
                    half[i, j] += A[k, i, m] * own[k, 1 + min(m, j), 1 + max(m, j)]
        for i in range(D):
            for j in range(i, D):
                total = N * remaining[k, i, j]
                for m in range(P):
                    total += half[i, m] * A[k, j, m]
                S[k, 1 + i, 1 + j] += total
    return loglik, mass


@numba.njit(fastmath=False, error_model="numpy")
def row_by_row_pass(
    x: np.ndarray,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    sigma: np.ndarray,
    errors: np.ndarray,
    seen: np.ndarray,
    log_noise: float,
    background: np.ndarray,
    S: np.ndarray,
) -> tuple[float, float]:
    """Do the same for rows that each have an error covariance of their own, errors (B, D, D)."""
    K, D = means.shape
    P = seen.shape[0]
    joint, z = np.empty(K), np.empty((K, P))
    T, L, W = np.empty((P, P)), np.zeros((K, P, P)), np.empty((P, D))
    deviation = np.empty(D)
    loglik, mass = 0.0, 0.0
    step = 1 if background.shape[0] > 1 else 0
    for n in range(x.shape[0]):
        w = row_weights[n]
        if w == 0.0:
            continue
        in_noise = log_noise + background[step * n]
        top = in_noise
        for k in range(K):
            for i in range(P):
                for j in range(P):
                    T[i, j] = sigma[k, seen[i], seen[j]] + errors[n, i, j]
            half_log_det = factor(T, P, L[k])
            square = 0.0
            for i in range(P):
                total = x[n, i] - means[k, seen[i]]
                for m in range(i):
                    total -= L[k, i, m] * z[k, m]
                z[k, i] = total / L[k, i, i]
                square += z[k, i] * z[k, i]
            joint[k] = log_weights[k] - 0.5 * P * LOG_2PI - half_log_det - 0.5 * square
            if not joint[k] <= top:
                top = joint[k]
        if not top > -np.inf:
            loglik += w * top
            continue
        total = np.exp(in_noise - top)
        for k in range(K):
            joint[k] = np.exp(joint[k] - top)
            total += joint[k]
        loglik += w * (top + np.log(total))
        mass += w * np.exp(in_noise - top) / total
        for k in range(K):
            r = w * joint[k] / total
            explained(L[k], sigma[k], seen, P, W)
            S[k, 0, 0] += r
            for i in range(D):
                deviation[i] = 0.0
                for m in range(P):
                    deviation[i] += W[m, i] * z[k, m]
                S[k, 0, 1 + i] += r * deviation[i]
            for i in range(D):
                for j in range(i, D):
                    left = sigma[k, i, j] + deviation[i] * deviation[j]
                    for m in range(P):
                        left -= W[m, i] * W[m, j]
                    S[k, 1 + i, 1 + j] += r * left
    return loglik, mass


@numba.njit(fastmath=False, error_model="numpy")
def value_and_gradient(
    rows: np.ndarray,
    row_weights: np.ndarray,
    starts: np.ndarray,
    seen: np.ndarray,
    components: np.ndarray,
    errors: np.ndarray,
    own: np.ndarray,
    own_errors: np.ndarray,
    background: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    U: np.ndarray,
    log_noise: float,
    gradient_weights: np.ndarray,
    gradient_means: np.ndarray,
    gradient_U: np.ndarray,
) -> tuple[float, float]:
    """Return the log likelihood and its derivative by log_noise; write that by log weights, means and U.

    The first nine are `bayesgmm.model.packing.PackedRows`; log_weights (K,), means (K, D), U (K, D, D) upper
    triangular; log_noise minus infinity for no noise. Rows of a known component are never noise.
    """
    K, D = means.shape
    sigma = covariances_of(U)
    S = np.zeros((K, 1 + D, 1 + D))
    loglik, mass = 0.0, 0.0
    for g in range(components.shape[0]):
        a, b = starts[g], starts[g + 1]
        P = 0
        while P < D and seen[g, P] >= 0:
            P += 1
        first, last, group_noise = 0, K, log_noise
        if components[g] >= 0:
            first, last, group_noise = components[g], components[g] + 1, -np.inf
        density = background[a:b] if background.shape[0] > 1 else background
        x, w = np.ascontiguousarray(rows[a:b, :P]), row_weights[a:b]
        some = (log_weights[first:last], means[first:last], sigma[first:last])
        if own[g] >= 0:
            own_rows = own_errors[own[g] : own[g] + b - a]
            found = row_by_row_pass(x, w, *some, own_rows, seen[g, :P], group_noise, density, S[first:last])
        else:
            found = group_pass(x, w, *some, errors[g], seen[g, :P], group_noise, density, S[first:last])
        loglik += found[0]
        mass += found[1]
    fisher_gradient(S, U, gradient_weights, gradient_means, gradient_U)
    return loglik, mass
