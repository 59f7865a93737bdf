"""The observed information of a mixture's likelihood, and the standard errors of a maximum-likelihood fit.

With u_nk the gradient of log weights_k N(x_n | mu_k, Sigma_k) and B_k minus its second derivative, summed over rows
with weights r_nk, minus the Hessian of the log-likelihood is (Louis 1982, equation 3.2)

    I = sum_k B_k - sum_n [ sum_k r_nk u_nk u_nk^T - (sum_k r_nk u_nk)(sum_k r_nk u_nk)^T ],

the information of the complete data less what the unknown memberships hide. May import NumPy and the modules below it
only.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.blocks import for_each_block
from bayesgmm.covariance import covariance_family
from bayesgmm.estimator import GaussianMixture
from bayesgmm.kernel.natural import pair_indices
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.observations import Observations, as_new_observations
from bayesgmm.parameters import MixtureParameters

BLOCK_FLOATS = 2**19
"""Numbers of the gradients u_nk held at once (4 MiB)."""

LINEAR = ("VVV", "EEE", "VVI", "EEI", "VII", "EII", "V", "E")
"""Families whose covariances are a linear space, so that entries of the covariances are their parameters."""


class StandardErrors(NamedTuple):
    """Standard errors of a mixture's parameters, zero where the family fixes a number.

    Attributes
    ----------
    weights : (K,) float64
    means : (K, D) float64, in the units of the data
    covariances : (K, D, D) float64, in squared units
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Information:
    """Minus the Hessian of a log-likelihood.

    Attributes
    ----------
    matrix : (p, p) float64, symmetric
        Over the first K - 1 weights, the means (K D of them, row by row), and the free entries of the covariances.
    directions : (K + K D + K D^2, p) float64
        Derivatives of all weights, means and covariances, raveled one after the other, with respect to those.
    shape : (K, D)
    """

    matrix: np.ndarray
    directions: np.ndarray
    shape: tuple[int, int]

    def covariance(self) -> np.ndarray:
        """Inverse of the information (p, p): the large-sample covariance of the estimates.

        Raises
        ------
        ValueError
            When the information is not positive definite: these parameters are no maximum of the likelihood.
        """
        scale = np.sqrt(np.abs(np.diag(self.matrix)))
        relative = self.matrix / np.where(scale > 0, scale, 1.0)[:, None] / np.where(scale > 0, scale, 1.0)
        values = np.linalg.eigvalsh(relative)
        if not values[0] > 1e-12 * values[-1]:
            raise ValueError(
                "the observed information is not positive definite: these parameters are no maximum of the likelihood "
                "(run EM to a smaller `tol`), or the components cannot be told apart (use fewer)."
            )
        return np.linalg.inv(relative) / scale[:, None] / scale

    def standard_errors(self) -> StandardErrors:
        """Square roots of the variances of all weights, means and covariances."""
        K, D = self.shape
        variances = np.einsum("ij,jk,ik->i", self.directions, self.covariance(), self.directions)
        weights, means, covariances = np.split(np.sqrt(np.maximum(variances, 0.0)), [K, K + K * D])
        return StandardErrors(weights, means.reshape(K, D), covariances.reshape(K, D, D))


def observed_information(X: Any, fit: GaussianMixture) -> Information:
    """Give minus the Hessian of the log-likelihood at a maximum-likelihood fit.

    One pass over the rows, O(N (K F)^2) time with F = 1 + D + D(D+1)/2, memory constant in N. Row weights of
    Observations multiply the log-likelihood of their row.

    Parameters
    ----------
    X : table or Observations
        (N, D) complete rows, those of the fit.
    fit : GaussianMixture
        Fitted; its `covariance_type` says which numbers are free.

    Raises
    ------
    ValueError
        When the family's covariances are not a linear space (VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV), or rows are
        incomplete.

    Notes
    -----
    Standard errors are those of large samples. Where components overlap or hold few rows they are too small, and the
    posterior's intervals are the better answer.

    References
    ----------
    Louis (1982), J. R. Stat. Soc. B 44. McLachlan & Peel (2000), Finite Mixture Models, section 2.15.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(1).fit(X)
    >>> observed_information(X, gm).standard_errors().means.round(3)
    array([[0.069, 0.823]])
    """
    family = covariance_family(fit.covariance_type)
    if family.code not in LINEAR:
        raise ValueError(
            f"standard errors are available for covariances that are a linear space ({', '.join(LINEAR)}); "
            f"received {family.code!r}: fit 'full' or sample the posterior."
        )
    parameters = fit.parameters_
    observations = X if isinstance(X, Observations) else as_new_observations(X, parameters, fit.feature_names)
    if any(part is not None for part in (observations.missing, observations.errors, observations.known_labels)):
        raise ValueError("the observed information needs complete rows without measurement errors or known labels.")
    K, D = parameters.means.shape
    gradient, local = _of_free_components(observations, parameters)
    to_local, directions = _coordinates(parameters, family.code)
    matrix = to_local.T @ local @ to_local
    # log weights are not linear in the weights: -sum_k N_k d2(log pi_k), d2 = -1 / pi_k^2
    F = local.shape[0] // K
    by_weight = directions[:K, : K - 1]
    N = gradient[::F]
    matrix[: K - 1, : K - 1] += by_weight.T @ ((N / parameters.weights**2)[:, None] * by_weight)
    return Information(0.5 * (matrix + matrix.T), directions, (K, D))


def _of_free_components(observations: Observations, parameters: MixtureParameters) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (K F,) and minus Hessian (K F, K F) over each component's log weight, mean and covariances i <= j."""
    K, D = parameters.means.shape
    F = 1 + D + D * (D + 1) // 2
    i, j = pair_indices(D)
    twice = np.where(i == j, 0.5, 1.0)
    P = parameters.precision_cholesky @ np.swapaxes(parameters.precision_cholesky, -1, -2)
    gradient, within, between = np.zeros((K, F)), np.zeros((K, F, F)), np.zeros((K * F, K * F))
    moments = np.zeros((K, F))  # sum_n r_nk (1, e, e e^T), e = x - mu_k
    block = max(1, BLOCK_FLOATS // (K * F))

    def add(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
        normalise(log_joint)
        x, w = np.asarray(observations.values[rows], dtype=np.float64), observations.block_weights(rows)
        for start in range(0, len(x), block):
            some = slice(start, start + block)
            r, root = log_joint[:, some], None if w is None else np.sqrt(w[some])
            u = np.empty((K, len(x[some]), F))
            for k in range(K):
                e = x[some] - parameters.means[k]
                v = e @ P[k]
                u[k, :, 0] = 1.0
                u[k, :, 1 : D + 1] = v
                u[k, :, D + 1 :] = (v[:, i] * v[:, j] - P[k][i, j]) * twice
                r_k = r[k] if w is None else r[k] * w[some]
                gradient[k] += r_k @ u[k]
                moments[k] += np.concatenate([[r_k.sum()], r_k @ e, r_k @ (e[:, i] * e[:, j])])
                within[k] += (u[k] * r_k[:, None]).T @ u[k]
            mixed = (u * r[:, :, None]).transpose(1, 0, 2).reshape(-1, K * F)
            mixed = mixed if root is None else mixed * root[:, None]
            between[...] += mixed.T @ mixed

    # one thread: blocks are added in their order
    for_each_block(add, observations, parameters, n_threads=1)
    information = between
    for k in range(K):
        here = slice(k * F, (k + 1) * F)
        information[here, here] += _complete(P[k], moments[k], D) - within[k]
    return gradient.ravel(), information


def _complete(P: np.ndarray, moments: np.ndarray, D: int) -> np.ndarray:
    """Minus the second derivative of sum_n r_n log pi N(x_n | mu, Sigma) over (log pi, mu, Sigma_ij for i <= j)."""
    F = len(moments)
    i, j = pair_indices(D)
    N, m, C = moments[0], moments[1 : D + 1], np.empty((D, D))
    C[i, j] = C[j, i] = moments[D + 1 :]
    basis = np.zeros((F - D - 1, D, D))  # dSigma of each entry
    basis[np.arange(len(i)), i, j] = basis[np.arange(len(i)), j, i] = 1.0
    turned = P @ basis @ P  # minus dP
    result = np.zeros((F, F))
    result[1 : D + 1, 1 : D + 1] = N * P
    cross = turned @ m  # (pairs, D)
    result[D + 1 :, 1 : D + 1], result[1 : D + 1, D + 1 :] = cross, cross.T
    # d2 of -N/2 log det Sigma - 1/2 tr(P C) along dS, dS' is N/2 tr(P dS P dS') - tr(P dS P dS' P C)
    both = np.einsum("aij,bji->ab", turned, basis)
    seen = np.einsum("aij,bjk,ki->ab", turned, basis, P @ C)
    result[D + 1 :, D + 1 :] = 0.5 * (seen + seen.T) - 0.5 * N * both
    return result


def _coordinates(parameters: MixtureParameters, code: str) -> tuple[np.ndarray, np.ndarray]:
    """Differentiate what `_of_free_components` varies (K F, p), and all entries, by the p numbers."""
    K, D = parameters.means.shape
    i, j = pair_indices(D)
    matrices = np.zeros((len(i), D, D))
    matrices[np.arange(len(i)), i, j] = matrices[np.arange(len(i)), j, i] = 1.0
    if code[-1] == "I" or D == 1:
        matrices = matrices[i == j]
    if code[1:] == "II":
        matrices = matrices.sum(axis=0, keepdims=True)
    free = np.zeros((K, len(matrices), K, D, D))
    for k in range(K):
        free[k, :, k] = matrices
    free = free.sum(axis=0) if code[0] == "E" else free.reshape(-1, K, D, D)
    weights = np.eye(K)[:, :-1] - np.eye(K)[:, -1:]
    p = K - 1 + K * D + len(free)
    directions = np.zeros((K + K * D + K * D * D, p))
    directions[:K, : K - 1] = weights
    directions[K : K + K * D, K - 1 : K - 1 + K * D] = np.eye(K * D)
    directions[K + K * D :, K - 1 + K * D :] = free.reshape(len(free), -1).T
    means = directions[K : K + K * D].reshape(K, D, p)
    covariances = directions[K + K * D :].reshape(K, D, D, p)[:, i, j]
    log_weights = (directions[:K] / parameters.weights[:, None])[:, None]
    return np.concatenate([log_weights, means, covariances], axis=1).reshape(-1, p), directions
