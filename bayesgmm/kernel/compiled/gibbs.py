"""Sweeps of Gibbs sampling for a mixture with conjugate priors, compiled.

N rows x_n of D features, K components, allocations z_n. May import NumPy and numba.
"""

import numpy as np

from bayesgmm.tools.compiled import compiled

OWN, SHARED = 0, 1
MATRIX, DIAGONAL, SPHERICAL = 0, 1, 2


@compiled(fastmath=False, error_model="numpy", nogil=True)
def gibbs_sweeps(
    rows: np.ndarray,
    concentration: np.ndarray,
    mean_mu: np.ndarray,
    mean_precision: np.ndarray,
    dof: float,
    scale: np.ndarray,
    scale_shape: float,
    scale_rate: np.ndarray,
    form: int,
    shared: int,
    weights: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
    every: int,
    seed: int,
    out_weights: np.ndarray,
    out_means: np.ndarray,
    out_precisions: np.ndarray,
) -> None:
    """Write every `every`-th of the mixtures that a chain goes through into the last three arguments.

    One sweep draws in turn, each given all others,

        z_n ~ weights_k Normal(x_n; mu_k, Lambda_k^-1),         weights ~ Dirichlet(e + n),
        mu_k ~ Normal(P^-1 (T_k m_k + Lambda_k sum_k x), P^-1),  P = T_k + n_k Lambda_k,
        scale ~ Wishart(2 shape + m dof, (2 rate + sum Lambda)^-1) where it is random, m covariances,
        Lambda_k ~ Wishart(dof + n_k, (scale + scatter_k)^-1), or the gamma law of its variances.

    Parameters
    ----------
    rows : (N, D)
    concentration : (K,)
        e.
    mean_mu, mean_precision : (K, D)
        m_k, and the diagonal of T_k.
    dof : float
    scale : (D, D)
        Of the inverse-Wishart; where it is random, its first value, which is overwritten.
    scale_shape : float
        Of the random scale; 0 where it is a number.
    scale_rate : (D, D)
    form : int
        MATRIX, DIAGONAL (a variance for each feature) or SPHERICAL.
    shared : int
        OWN or SHARED: whether all components have one covariance.
    weights, means, precisions : (K,), (K, D), (K, D, D)
        Where the chain begins; overwritten.
    every, seed : int
    out_weights, out_means, out_precisions : (S, K), (S, K, D), (S, K, D, D)
    """
    np.random.seed(seed)  # noqa: NPY002  numba's own generator, one for each thread
    N, D = rows.shape
    K = len(weights)
    z = np.zeros(N, np.int64)
    counts, sums, scatters = np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D))
    log_p, offset, roots = np.empty(K), np.empty(K), np.empty((K, D, D))
    P, C, h = np.empty((D, D)), np.empty((D, D)), np.empty(D)
    for sweep in range(every * len(out_weights)):
        for k in range(K):
            _cholesky(precisions[k], roots[k])
            offset[k] = np.log(weights[k])
            for j in range(D):
                offset[k] += np.log(roots[k, j, j])
        counts[:] = 0.0
        sums[:] = 0.0
        for n in range(N):
            largest = -np.inf
            for k in range(K):
                log_p[k] = offset[k]
                for j in range(D):
                    y = 0.0
                    for i in range(j, D):
                        y += roots[k, i, j] * (rows[n, i] - means[k, i])
                    log_p[k] -= 0.5 * y * y
                largest = max(largest, log_p[k])
            total = 0.0
            for k in range(K):
                total += np.exp(log_p[k] - largest)
                log_p[k] = total
            u = np.random.random() * total  # noqa: NPY002
            k = 0
            while k < K - 1 and log_p[k] < u:
                k += 1
            z[n] = k
            counts[k] += 1.0
            for j in range(D):
                sums[k, j] += rows[n, j]
        total = 0.0
        for k in range(K):
            weights[k] = np.random.gamma(concentration[k] + counts[k], 1.0)  # noqa: NPY002
            total += weights[k]
        for k in range(K):
            # an empty component of a sparse prior underflows
            weights[k] = max(weights[k] / total, 1e-300)
            P[:] = counts[k] * precisions[k]
            for j in range(D):
                P[j, j] += mean_precision[k, j]
                h[j] = mean_precision[k, j] * mean_mu[k, j]
                for i in range(D):
                    h[j] += precisions[k, j, i] * sums[k, i]
            _cholesky(P, C)
            for i in range(D):
                for j in range(i):
                    h[i] -= C[i, j] * h[j]
                h[i] /= C[i, i]
            for i in range(D):
                h[i] += np.random.normal()  # noqa: NPY002
            _solve_transposed(C, h)
            means[k] = h
        if scale_shape > 0.0:
            n_covariances = 1 if shared == SHARED else K
            rate = scale_rate.copy()
            for k in range(n_covariances):
                rate += 0.5 * precisions[k]
            scale[:] = _scale(rate, scale_shape, 0.5 * dof * n_covariances, form)
        scatters[:] = 0.0
        for n in range(N):
            k = z[n]
            for i in range(D):
                for j in range(i + 1):
                    scatters[k, i, j] += (rows[n, i] - means[k, i]) * (rows[n, j] - means[k, j])
        if shared == SHARED:
            for k in range(1, K):
                scatters[0] += scatters[k]
        for k in range(1 if shared == SHARED else K):
            for i in range(D):
                for j in range(i):
                    scatters[k, j, i] = scatters[k, i, j]
            if form == SPHERICAL:
                for j in range(1, D):
                    scatters[k, 0, 0] += scatters[k, j, j]
            precisions[k] = _precision(scale + scatters[k], dof, float(N) if shared == SHARED else counts[k], form)
        if shared == SHARED:
            for k in range(1, K):
                precisions[k] = precisions[0]
        if (sweep + 1) % every == 0:
            s = sweep // every
            out_weights[s], out_means[s], out_precisions[s] = weights, means, precisions


@compiled(fastmath=False, error_model="numpy", nogil=True)
def _precision(M: np.ndarray, dof: float, count: float, form: int) -> np.ndarray:
    """Draw Lambda from its law given scale + scatter = M of `count` rows."""
    D = len(M)
    if form == MATRIX:
        return _wishart(M, dof + count)
    out = np.zeros((D, D))
    if form == DIAGONAL:
        for j in range(D):
            out[j, j] = np.random.gamma(0.5 * (dof + count), 2.0 / M[j, j])  # noqa: NPY002
        return out
    # M is the one number `scale` and the trace of the scatter, at its first place
    value = np.random.gamma(0.5 * (dof + D * count), 2.0 / M[0, 0])  # noqa: NPY002
    for j in range(D):
        out[j, j] = value
    return out


@compiled(fastmath=False, error_model="numpy", nogil=True)
def _scale(rate: np.ndarray, shape: float, more: float, form: int) -> np.ndarray:
    """Draw the random scale, of the law with `shape` + `more` and `rate`."""
    D = len(rate)
    if form == MATRIX:
        return _wishart(2.0 * rate, 2.0 * (shape + more))
    out = np.zeros((D, D))
    for j in range(D):
        spread = j == 0 or form == DIAGONAL
        out[j, j] = np.random.gamma(shape + more, 1.0 / rate[j, j]) if spread else out[0, 0]  # noqa: NPY002
    return out


@compiled(fastmath=False, error_model="numpy", nogil=True)
def _wishart(M: np.ndarray, dof: float) -> np.ndarray:
    """Draw from Wishart(dof, M^-1), by Bartlett: with M = C C^T it is C^-T T T^T C^-1."""
    D = len(M)
    C, out = np.empty((D, D)), np.zeros((D, D))
    column = np.empty(D)
    _cholesky(M, C)
    for j in range(D):
        column[:] = 0.0
        column[j] = np.sqrt(np.random.gamma(0.5 * (dof - j), 2.0))  # noqa: NPY002
        for i in range(j + 1, D):
            column[i] = np.random.normal()  # noqa: NPY002
        _solve_transposed(C, column)
        for i in range(D):
            for k in range(D):
                out[i, k] += column[i] * column[k]
    return out


@compiled(fastmath=False, error_model="numpy", nogil=True)
def _cholesky(M: np.ndarray, out: np.ndarray) -> None:
    """Write the lower triangular C of M = C C^T; by hand, because LAPACK takes seconds to link."""
    D = len(M)
    out[:] = 0.0
    for j in range(D):
        for i in range(j, D):
            value = M[i, j]
            for k in range(j):
                value -= out[i, k] * out[j, k]
            out[i, j] = np.sqrt(value) if i == j else value / out[j, j]


@compiled(fastmath=False, error_model="numpy", nogil=True)
def _solve_transposed(C: np.ndarray, y: np.ndarray) -> None:
    """Replace y by C^-T y, C lower triangular."""
    for i in range(len(y) - 1, -1, -1):
        for j in range(i + 1, len(y)):
            y[i] -= C[j, i] * y[j]
        y[i] /= C[i, i]
