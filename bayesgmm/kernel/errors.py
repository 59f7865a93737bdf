"""Rows that each have a measurement error of their own: the two verbs of the kernel, row by row but many at once.

What is seen is y_n = x_n + e_n in the features of a block, e_n ~ Normal(0, E_n) with E_n known, x_n from the mixture.
Given component k, with T_nk = Sigma_k + E_n in those features (Bovy, Hogg & Roweis 2011, equations 10 to 14),

    y_n ~ Normal(mu_k, T_nk),   E[x | y] = mu_k + Sigma_k T_nk^-1 (y_n - mu_k),
    Cov[x | y] = Sigma_k - Sigma_k T_nk^-1 Sigma_k,

where Sigma_k on the left of T^-1 has all D rows: features that were not seen are predicted with those that were. No
matrix is shared between rows, so that the small Cholesky factors are written out, one array operation over all
components and rows of a block for each of their elements. May import NumPy only.
"""

import numpy as np

from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters

LOG_2_PI = float(np.log(2.0 * np.pi))


class ErrorForm:
    """Rows seen with errors, in some of the features.

    Parameters
    ----------
    parameters : MixtureParameters
        One mixture of all D features, in standard coordinates.
    seen : list of int
        Positions of the P features that the rows have.
    """

    def __init__(self, parameters: MixtureParameters, seen: list[int]) -> None:
        self._parameters = parameters
        self._seen = seen
        self._constant = parameters.log_shares - 0.5 * len(seen) * LOG_2_PI

    def log_joint(self, rows: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Log of weights_k N(y_n | mu_k, T_nk), (K, B).

        Parameters
        ----------
        rows : (P, B) float64, in standard coordinates
        errors : (B, P, P) or (B, P) float64
            Covariances, or variances, of the errors, in squared standard coordinates.
        """
        return self._density(rows, self._factors(errors))[0]

    def expected_statistics(
        self,
        rows: np.ndarray,
        errors: np.ndarray,
        weights: np.ndarray | None,
        background: np.ndarray | float | None = None,
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Log likelihood of the block, and N (K,), S1 (K, D), S2 (K, D, D) of the underlying values."""
        L = self._factors(errors)
        log_joint, z = self._density(rows, L)
        log_density = normalise(log_joint, background)
        r = log_joint
        if weights is None:
            total = float(log_density.sum())
        else:
            # a row of no weight may be out of every reach
            total = float(log_density[weights > 0] @ weights[weights > 0])
            r = np.where(weights > 0, r * weights, 0.0)
        p, D = self._parameters, self._parameters.n_features
        K, B = r.shape
        cross = p.covariances[:, self._seen, :]
        # W = L^-1 Sigma[seen, :]: then E[x | y] = mu + W^T z and Cov[x | y] = Sigma - W^T W
        W = np.empty((len(self._seen), D, K, B))
        for a in range(len(self._seen)):
            for i in range(D):
                value = np.subtract(cross[:, a, i, None], _dot(L, W, a, i)) if a else cross[:, a, i, None]
                np.divide(value, L[a, a], out=W[a, i])
        x = np.einsum("aikb,akb->ikb", W, z)
        x += p.means.T[:, :, None]
        N = r.sum(axis=1)
        S1, S2 = np.empty((K, D)), np.empty((K, D, D))
        weighted = x * r
        for k in range(K):
            S1[k] = weighted[:, k].sum(axis=1)
            explained = (W[:, :, k] * r[k]).transpose(1, 0, 2).reshape(D, -1)
            S2[k] = weighted[:, k] @ x[:, k].T + N[k] * p.covariances[k]
            S2[k] -= explained @ W[:, :, k].transpose(1, 0, 2).reshape(D, -1).T
        return total, N, S1, S2

    def _factors(self, errors: np.ndarray) -> np.ndarray:
        """Cholesky factors L of T, element by element: (P, P, K, B), the lower triangle filled."""
        P = len(self._seen)
        K, B = self._parameters.n_components, len(errors)
        sigma = self._parameters.covariances[:, np.asarray(self._seen)[:, None], self._seen]
        L = np.empty((P, P, K, B))
        for j in range(P):
            for i in range(j, P):
                element = L[i, j]
                if errors.ndim == 3:
                    np.add(sigma[:, i, j, None], errors[:, i, j], out=element)
                elif i == j:
                    np.add(sigma[:, i, i, None], errors[:, i], out=element)
                else:
                    element[:] = sigma[:, i, j, None]
                for a in range(j):
                    element -= L[i, a] * L[j, a]
                if i == j:
                    np.sqrt(element, out=element)
                else:
                    element /= L[j, j]
        return L

    def _density(self, rows: np.ndarray, L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log joint density (K, B), and z = L^-1 (y - mu), (P, K, B)."""
        P = len(self._seen)
        z = np.empty((P, *L.shape[2:]))
        for a in range(P):
            np.subtract(rows[a], self._parameters.means[:, self._seen[a], None], out=z[a])
            for c in range(a):
                z[a] -= L[a, c] * z[c]
            z[a] /= L[a, a]
        log_joint = (z * z).sum(axis=0)
        log_joint *= -0.5
        diagonal = L[0, 0].copy()
        for a in range(1, P):
            diagonal *= L[a, a]
        log_joint -= np.log(diagonal)
        log_joint += self._constant[:, None]
        return log_joint, z


def _dot(L: np.ndarray, W: np.ndarray, a: int, i: int) -> np.ndarray:
    """Sum over c < a of L_ac W_ci."""
    total = L[a, 0] * W[0, i]
    for c in range(1, a):
        total += L[a, c] * W[c, i]
    return total
