"""One pass over the rows, compiled: log likelihood and gradient of a mixture (in NumPy: `bayesgmm.kernel.forms`).

Blocks of rows, features (F, B) kept transposed and two matrix products; where the conditioning asks for it, residuals
instead. Nothing raises: parameters that are infinite, NaN or overflow give a log likelihood of -inf or NaN, which is
what a sampler can use. N rows, K components, D features. May import NumPy, numba and the kernel's constants.
"""

import math

import numba
import numpy as np

from bayesgmm.kernel.compiled.arithmetic import BLOCK_ROWS, accumulate, multiply, normalise
from bayesgmm.kernel.forms import LARGEST_CONDITION
from bayesgmm.kernel.natural import LOG_2PI

SHIFT_ROWS = 256


@numba.njit(fastmath=False, error_model="numpy")
def log_constants(log_weights: np.ndarray, U: np.ndarray) -> np.ndarray:
    """Log weights_k - D/2 log 2 pi + log det U_k, (K,)."""
    K, D = U.shape[0], U.shape[1]
    out = np.empty(K)
    for k in range(K):
        out[k] = log_weights[k] - 0.5 * D * LOG_2PI
        for i in range(D):
            out[k] += np.log(U[k, i, i])
    return out


@numba.njit(fastmath=False, error_model="numpy")
def strided_mean(x: np.ndarray) -> np.ndarray:
    """Mean of at most `SHIFT_ROWS` rows spread over x (N, D): (D,)."""
    N, D = x.shape
    stride = max(1, (N + SHIFT_ROWS - 1) // SHIFT_ROWS)
    out = np.zeros(D)
    count = 0
    for n in range(0, N, stride):
        count += 1
        for i in range(D):
            out[i] += (x[n, i] - out[i]) / count
    return out


@numba.njit(fastmath=False, error_model="numpy")
def natural_coefficients(
    constants: np.ndarray, means: np.ndarray, U: np.ndarray, shift: np.ndarray, first: np.ndarray, eta: np.ndarray
) -> float:
    """Fill `first` (K,) and eta (K, F), and return the largest condition; see `bayesgmm.kernel.forms.condition`.

    log weights_k + log N(y | mu_k, Sigma_k) = first_k + <(y_i, y_i y_j for i <= j), eta_k>, y = x - shift; columns of
    eta beyond these features are left as they are.
    """
    K, D = means.shape
    worst = 0.0
    P = np.empty((D, D))
    inverse = np.zeros((D, D))
    reach = np.empty(D)
    for k in range(K):
        # V = U^-1 (upper), and the standard deviations: Sigma = V^T V
        for j in range(D):
            inverse[j, j] = 1.0 / U[k, j, j]
            for i in range(j - 1, -1, -1):
                total = 0.0
                for m in range(i + 1, j + 1):
                    total += U[k, i, m] * inverse[m, j]
                inverse[i, j] = -total / U[k, i, i]
        for i in range(D):
            total = 0.0
            for m in range(i + 1):
                total += inverse[m, i] * inverse[m, i]
            reach[i] = abs(means[k, i] - shift[i]) + 3.0 * math.sqrt(total)
            for j in range(i, D):
                total = 0.0
                for m in range(j, D):
                    total += U[k, i, m] * U[k, j, m]
                P[i, j] = total
                P[j, i] = total
        first[k] = constants[k]
        condition = 0.0
        f = D
        for i in range(D):
            linear = 0.0
            for j in range(D):
                linear += P[i, j] * (means[k, j] - shift[j])
                condition += abs(P[i, j]) * reach[i] * reach[j]
                if j >= i:
                    eta[k, f] = -P[i, j] if j > i else -0.5 * P[i, i]
                    f += 1
            eta[k, i] = linear
            first[k] -= 0.5 * linear * (means[k, i] - shift[i])
        # Written so that NaN counts as ill-conditioned.
        if not condition <= worst:
            worst = condition if condition == condition else np.inf
    return worst


@numba.njit(fastmath=False, error_model="numpy")
def natural_pass(
    x: np.ndarray,
    row_weights: np.ndarray,
    first: np.ndarray,
    eta: np.ndarray,
    means: np.ndarray,
    shift: np.ndarray,
    log_noise: float,
    background: np.ndarray,
    S: np.ndarray,
) -> tuple[float, float]:
    """Log likelihood and expected mass in the noise; [N, S1; S1^T, S2] about the component means into S.

    S is (K, 1 + D, 1 + D). In the natural form. Row n has noise of log density log_noise + background[n], or all have
    that of the one background there is.
    """
    N, D = x.shape
    K = means.shape[0]
    features = np.zeros((eta.shape[1], BLOCK_ROWS))
    joint = np.empty((K + 1, BLOCK_ROWS))
    top, total = np.empty(BLOCK_ROWS), np.empty(BLOCK_ROWS)
    totals, sums = np.zeros(K), np.zeros(eta.shape)
    noisy = not log_noise == -np.inf
    loglik, mass = 0.0, 0.0
    for start in range(0, N, BLOCK_ROWS):
        B = min(BLOCK_ROWS, N - start)
        for i in range(D):
            row = features[i]
            for n in range(B):
                row[n] = x[start + n, i] - shift[i]
        f = D
        for i in range(D):
            for j in range(i, D):
                row, y_i, y_j = features[f], features[i], features[j]
                for n in range(B):
                    row[n] = y_i[n] * y_j[n]
                f += 1
        multiply(first, eta, features, joint, B)
        if noisy:
            add_noise(joint[K], log_noise, background, start, B)
            loglik += normalise(joint, K + 1, row_weights, start, B, top, total)
            mass += joint[K, :B].sum()
        else:
            loglik += normalise(joint, K, row_weights, start, B, top, total)
        accumulate(joint, features, totals, sums, B)
    for k in range(K):
        S[k, 0, 0] = totals[k]
        f = D
        for i in range(D):
            m_i = means[k, i] - shift[i]
            S[k, 0, 1 + i] = sums[k, i] - m_i * totals[k]
            for j in range(i, D):
                m_j = means[k, j] - shift[j]
                moment = sums[k, f] - m_i * sums[k, j] - m_j * S[k, 0, 1 + i]
                S[k, 1 + i, 1 + j] = moment
                f += 1
    return loglik, mass


@numba.njit(fastmath=False, error_model="numpy")
def residual_pass(
    x: np.ndarray,
    row_weights: np.ndarray,
    constants: np.ndarray,
    means: np.ndarray,
    U: np.ndarray,
    log_noise: float,
    background: np.ndarray,
    S: np.ndarray,
) -> tuple[float, float]:
    """Do the same by residuals d = x - mu_k and z = U_k^T d: no digits lost however far a component is."""
    N, D = x.shape
    K = means.shape[0]
    four = (D + 3) // 4 * 4
    roots = np.zeros((K, D, four))
    for k in range(K):
        for i in range(D):
            for j in range(i, D):
                roots[k, j, i] = U[k, i, j]
    features = np.zeros((four, BLOCK_ROWS))
    left = np.empty((D, BLOCK_ROWS))
    joint = np.empty((K + 1, BLOCK_ROWS))
    top, total = np.empty(BLOCK_ROWS), np.empty(BLOCK_ROWS)
    zeros, counts = np.zeros(D), np.zeros(K)
    totals, sums = np.zeros((K, D)), np.zeros((K, D, four))
    noisy = not log_noise == -np.inf
    loglik, mass = 0.0, 0.0
    for start in range(0, N, BLOCK_ROWS):
        B = min(BLOCK_ROWS, N - start)
        for step in range(2 * K):
            k = step % K
            if step == K and noisy:
                add_noise(joint[K], log_noise, background, start, B)
                loglik += normalise(joint, K + 1, row_weights, start, B, top, total)
                mass += joint[K, :B].sum()
            elif step == K:
                loglik += normalise(joint, K, row_weights, start, B, top, total)
            for i in range(D):
                row = features[i]
                for n in range(B):
                    row[n] = x[start + n, i] - means[k, i]
            row = joint[k]
            if step < K:
                multiply(zeros, roots[k], features, left, B)
                for n in range(B):
                    row[n] = constants[k]
                for i in range(D):
                    z = left[i]
                    for n in range(B):
                        row[n] -= 0.5 * z[n] * z[n]
            else:
                for n in range(B):
                    counts[k] += row[n]
                for i in range(D):
                    d, weighted = features[i], left[i]
                    for n in range(B):
                        weighted[n] = row[n] * d[n]
                accumulate(left, features, totals[k], sums[k], B)
    for k in range(K):
        S[k, 0, 0] = counts[k]
        for i in range(D):
            S[k, 0, 1 + i] = totals[k, i]
            for j in range(i, D):
                S[k, 1 + i, 1 + j] = sums[k, i, j]
    return loglik, mass


@numba.njit(fastmath=False, error_model="numpy")
def add_noise(row: np.ndarray, log_noise: float, background: np.ndarray, start: int, B: int) -> None:
    """Write the log joint density of the noise at B rows from `start`."""
    step = 1 if background.shape[0] > 1 else 0
    for n in range(B):
        row[n] = log_noise + background[step * (start + n)]


@numba.njit(fastmath=False, error_model="numpy")
def fisher_gradient(
    S: np.ndarray, U: np.ndarray, gradient_weights: np.ndarray, gradient_means: np.ndarray, gradient_U: np.ndarray
) -> None:
    """Gradient from the statistics about the component means, [N, S1; S1^T, S2] (K, 1 + D, 1 + D), upper part read."""
    K, D = U.shape[0], U.shape[1]
    root = np.empty(D)
    for k in range(K):
        gradient_weights[k] = S[k, 0, 0]
        for j in range(D):
            root[j] = 0.0
            for i in range(j + 1):
                root[j] += U[k, i, j] * S[k, 0, 1 + i]
        for i in range(D):
            gradient_means[k, i] = 0.0
            for j in range(i, D):
                gradient_means[k, i] += U[k, i, j] * root[j]
            for j in range(D):
                total = 0.0
                if j >= i:
                    total = S[k, 0, 0] / U[k, i, i] if j == i else 0.0
                    for m in range(j + 1):
                        total -= S[k, 1 + min(i, m), 1 + max(i, m)] * U[k, m, j]
                gradient_U[k, i, j] = total


@numba.njit(fastmath=False, error_model="numpy")
def value_and_gradient(
    x: np.ndarray,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    U: np.ndarray,
    log_noise: float,
    background: np.ndarray,
    gradient_weights: np.ndarray,
    gradient_means: np.ndarray,
    gradient_U: np.ndarray,
) -> tuple[float, float]:
    """Return the log likelihood and its derivative by log_noise; write that by log weights, means and U.

    x (N, D), row_weights (N,) or (1,), log_weights (K,), means (K, D), U (K, D, D) upper triangular; log_noise minus
    infinity for no noise, background (N,) or (1,).
    """
    K, D = means.shape
    # Of the features (y_i, y_i y_j), without the constant; columns of zeros round the tiles of the products up.
    first, eta = np.empty(K), np.zeros((K, (D + D * (D + 1) // 2 + 3) // 4 * 4))
    S = np.zeros((K, 1 + D, 1 + D))
    shift = strided_mean(x)
    constants = log_constants(log_weights, U)
    if natural_coefficients(constants, means, U, shift, first, eta) <= LARGEST_CONDITION:
        loglik, mass = natural_pass(x, row_weights, first, eta, means, shift, log_noise, background, S)
    else:
        loglik, mass = residual_pass(x, row_weights, constants, means, U, log_noise, background, S)
    fisher_gradient(S, U, gradient_weights, gradient_means, gradient_U)
    return loglik, mass
