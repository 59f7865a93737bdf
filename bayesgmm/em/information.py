"""The observed information of a mixture's likelihood, and the standard errors of a maximum-likelihood fit.

With u_nk the gradient of log weights_k N(x_n | mu_k, Sigma_k) and B_k minus its second derivative, summed over rows
with weights r_nk, minus the Hessian of the log-likelihood is (Louis 1982, equation 3.2)

    I = sum_k B_k - sum_n [ sum_k r_nk u_nk u_nk^T - (sum_k r_nk u_nk)(sum_k r_nk u_nk)^T ],

the information of the complete data less what the unknown memberships hide. May import NumPy and the modules below it
only.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import FAMILIES, ONE_DIMENSIONAL, CovarianceFamily, covariance_family
from bayesgmm.kernel.natural import pair_indices
from bayesgmm.kernel.scores import n_features, n_local, row_derivatives
from bayesgmm.mixture.parameters import MixtureParameters


class StandardErrors(NamedTuple):
    """Standard errors of a mixture's parameters, zero where the family fixes a number.

    Attributes
    ----------
    weights : (K,) float64
    means : (K, D) float64, in the units of the data
    covariances : (K, D, D) float64, in squared units
    noise_weight : float
        Of the share of noise; zero without noise.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    noise_weight: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Information:
    """Minus the Hessian of a log-likelihood.

    Attributes
    ----------
    matrix : (p, p) float64, symmetric
        Over the first K - 1 weights, the means (K D of them, row by row), and the free entries of the covariances;
        with noise, its share is the last number. What the fit held frozen is left out.
    directions : (K + K D + K D^2 + 1, p) float64
        Derivatives with respect to those of all weights, means and covariances, raveled one after the other, and of the
        share of noise.
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

    def standard_errors(self, covariance: np.ndarray | None = None) -> StandardErrors:
        """Square roots of the variances of all weights, means and covariances.

        Parameters
        ----------
        covariance : (p, p) float64, optional
            Of the estimates; by default the inverse of the information.
        """
        K, D = self.shape
        V = self.covariance() if covariance is None else covariance
        variances = np.einsum("ij,jk,ik->i", self.directions, V, self.directions)
        weights, means, covariances = np.split(np.sqrt(np.maximum(variances[:-1], 0.0)), [K, K + K * D])
        noise_weight = float(np.sqrt(max(variances[-1], 0.0)))
        return StandardErrors(weights, means.reshape(K, D), covariances.reshape(K, D, D), noise_weight)


def observed_information(X: Any, fit: GaussianMixture) -> Information:
    """Give minus the Hessian of the log-likelihood at a maximum-likelihood fit.

    One pass over the rows, O(N (K F)^2) time with F = 1 + D + D(D+1)/2, memory constant in N. Row weights of
    Observations multiply the log-likelihood of their row. A row with missing values, or an error, is one of the mixture
    of what is seen, and says nothing of the rest.

    Parameters
    ----------
    X : table or Observations
        (N, D) rows, those of the fit; Observations carry weights, measurement errors and known labels.
    fit : GaussianMixture
        Fitted; its `covariance_type` says which numbers are free.

    Raises
    ------
    ValueError
        When the family's covariances are not a linear space (VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV).

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
    if not family.linear:
        linear = ", ".join(one.code for one in (FAMILIES | ONE_DIMENSIONAL).values() if one.linear)
        raise ValueError(
            f"standard errors are available for covariances that are a linear space ({linear}); "
            f"received {family.code!r}: fit 'full', use `bootstrap`, or sample the posterior."
        )
    parameters = fit.parameters_
    if parameters.noise is not None and not 0 < parameters.noise.weight < 1:
        raise ValueError("no row is noise: the fit is at the edge of what it may be. Fit without `noise`.")
    observations = X if isinstance(X, Observations) else as_new_observations(X, parameters, fit.feature_names)
    K, D = parameters.means.shape
    total, local = _of_free_components(observations, parameters)
    to_local, directions = coordinates(parameters, family, fit.frozen)
    matrix = to_local.T @ local @ to_local
    # logarithms of weights are not linear in the weights: d2 log pi = -1 / pi^2, each as often as there are rows of it
    by_weight, by_noise = directions[:K], directions[-1:]
    matrix += by_weight.T @ ((total[:K] / parameters.weights**2)[:, None] * by_weight)
    if (noise := parameters.noise) is not None:
        matrix += by_noise.T @ by_noise * (total[:K].sum() / (1 - noise.weight) ** 2 + total[K] / noise.weight**2)
    return Information(0.5 * (matrix + matrix.T), directions, (K, D))


def _of_free_components(observations: Observations, parameters: MixtureParameters) -> tuple[np.ndarray, np.ndarray]:
    """sum_n w_n r_nk (K + 1,), the noise last, and minus the Hessian over the numbers of `scores.local`."""
    K, F, size = parameters.n_components, n_features(parameters.n_features), n_local(parameters)
    total, information = np.zeros(K + 1), np.zeros((size, size))
    for block in row_derivatives(observations, parameters):
        u, w, places = block.gradients(), block.weights, block.places.ravel()
        mixed = (u * block.r[..., None]).transpose(1, 0, 2).reshape(len(w), -1)
        if block.r_noise is not None:
            mixed, places = np.column_stack([mixed, block.r_noise]), np.append(places, size - 1)
            total[K] += block.r_noise @ w
            information[-1, -1] -= block.r_noise @ w
        information[np.ix_(places, places)] += (mixed * w[:, None]).T @ mixed
        for k, here in enumerate(block.places):
            r = block.r[k] * w
            total[here[0] // F] += r.sum()
            within = (u[k] * r[:, None]).T @ u[k]
            information[np.ix_(here, here)] += _complete(r, block.v[k], block.precisions[k]) - within
    return total, information


def _complete(r: np.ndarray, v: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Minus the second derivative of sum_n r_n log pi N(y_n | mu, T_n) over (log pi, mu, Sigma_ij for i <= j), (F, F).

    Parameters
    ----------
    r : (B,)
    v : (B, P)
        T_n^-1 (y_n - mu).
    Q : (1, P, P) or (B, P, P)
        T_n^-1.
    """
    P = v.shape[1]
    i, j = pair_indices(P)
    if len(Q) == 1:
        N, S = r.sum(), (v * r[:, None]).T @ v
        rQ, vQ = N * Q[0], np.multiply.outer(r @ v, Q[0])
        QQ, vvQ = np.multiply.outer(rQ, Q[0]), np.multiply.outer(S, Q[0])
    else:
        flat = Q.reshape(len(Q), -1)
        weighted = flat * r[:, None]
        rQ, vQ = weighted.sum(axis=0).reshape(P, P), (v.T @ weighted).reshape(P, P, P)
        QQ = (flat.T @ weighted).reshape(P, P, P, P)
        vvQ = ((v[:, :, None] * v[:, None, :]).reshape(len(v), -1).T @ weighted).reshape(P, P, P, P)
    result = np.zeros((1 + P + len(i), 1 + P + len(i)))
    result[1 : P + 1, 1 : P + 1] = rQ
    # with A, B two directions of Sigma: the mean's derivative falls by Q A v along A, and minus the second derivative
    # along both is v_i A_ij Q_jk B_kl v_l - Q_li A_ij Q_jk B_kl / 2
    result[1 : P + 1, P + 1 :] = _fold(vQ.transpose(1, 2, 0), i, j)
    result[P + 1 :, 1 : P + 1] = result[1 : P + 1, P + 1 :].T
    both = vvQ.transpose(0, 2, 3, 1) - 0.5 * QQ.transpose(1, 2, 3, 0)
    both = _fold(_fold(both, i, j).transpose(2, 0, 1), i, j)
    result[P + 1 :, P + 1 :] = 0.5 * (both + both.T)
    return result


def _fold(tensor: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Add the two entries that each pair i <= j of the last two axes stands for: (..., pairs)."""
    return tensor[..., i, j] + np.where(i == j, 0.0, tensor[..., j, i])


def coordinates(
    parameters: MixtureParameters, family: CovarianceFamily, frozen: Collection[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Differentiate `scores.local` (K F or K F + 1, p), and all that has an error, by the p free numbers.

    The second is `Information.directions`.

    Parameters
    ----------
    family : CovarianceFamily
        One that is `linear`.
    frozen : collection of {"weights", "means", "covariances"}
        What is not free.
    """
    K, D = parameters.means.shape
    i, j = pair_indices(D)
    matrices = np.zeros((len(i), D, D))
    matrices[np.arange(len(i)), i, j] = matrices[np.arange(len(i)), j, i] = 1.0
    if family.diagonal or D == 1:
        matrices = matrices[i == j]
    if family.spherical:
        matrices = matrices.sum(axis=0, keepdims=True)
    free = np.zeros((K, len(matrices), K, D, D))
    for k in range(K):
        free[k, :, k] = matrices
    free = free.sum(axis=0) if family.common else free.reshape(-1, K, D, D)
    weights = np.eye(K)[:, :-1] - np.eye(K)[:, -1:]
    with_noise = parameters.noise is not None
    counts = {"weights": K - 1, "means": K * D, "covariances": len(free), "noise": int(with_noise)}
    directions = np.zeros((K + K * D + K * D * D + 1, sum(counts.values())))
    directions[:K, : K - 1] = weights
    directions[K : K + K * D, K - 1 : K - 1 + K * D] = np.eye(K * D)
    directions[K + K * D : -1, K - 1 + K * D : K - 1 + K * D + len(free)] = free.reshape(len(free), -1).T
    directions[-1, sum(counts.values()) - 1] = with_noise
    held = {*frozen, "noise"} if "weights" in frozen else {*frozen}
    directions = directions[:, np.concatenate([np.full(n, name not in held) for name, n in counts.items()])]
    p = directions.shape[1]
    log_shares = directions[:K] / parameters.weights[:, None]
    means = directions[K : K + K * D].reshape(K, D, p)
    covariances = directions[K + K * D : -1].reshape(K, D, D, p)[:, i, j]
    by_noise = np.empty((0, p))
    if parameters.noise is not None:
        log_shares = log_shares - directions[-1] / (1 - parameters.noise.weight)
        by_noise = directions[-1:] / parameters.noise.weight
    to_local = np.concatenate([log_shares[:, None], means, covariances], axis=1).reshape(-1, p)
    return np.concatenate([to_local, by_noise]), directions
