"""The natural form: log weights_k + log N(y | mu_k, Sigma_k) = <T(y), eta_k>, so a pass is two matrix products.

T(y) = (1, y_i, y_i y_j for i <= j) and, with P = Sigma^-1,
eta_k = (log weights_k - D/2 log 2 pi + log det U_k - 1/2 mu^T P mu, P mu, -1/2 P_ii and -P_ij).
Features are kept transposed, (F, B), so that each is one contiguous product. May import NumPy only.
"""

from functools import lru_cache

import numpy as np

from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.parameters import MixtureParameters

LOG_2PI = float(np.log(2 * np.pi))


@lru_cache(maxsize=64)
def pair_indices(D: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairs i <= j, in the order of the features."""
    return np.triu_indices(D)


def n_natural_features(D: int, *, diagonal: bool) -> int:
    """F: 1 + D + D(D+1)/2, or 1 + 2D where covariances are diagonal."""
    return 1 + 2 * D if diagonal else 1 + D + D * (D + 1) // 2


def natural_parameters(parameters: MixtureParameters, *, diagonal: bool) -> np.ndarray:
    """eta, (..., K, F)."""
    U, means = parameters.precision_cholesky, parameters.means
    D = parameters.n_features
    linear_root = np.einsum("...ij,...i->...j", U, means)
    # an empty component is out of reach, by a finite distance: infinity times zero would be NaN
    constant = (
        np.maximum(parameters.log_weights, -1e300)
        - 0.5 * D * LOG_2PI
        + parameters.log_det_precision_cholesky
        - 0.5 * (linear_root**2).sum(axis=-1)
    )
    linear = np.einsum("...ij,...j->...i", U, linear_root)
    if diagonal:
        quadratic = -0.5 * np.diagonal(U, axis1=-2, axis2=-1) ** 2
    else:
        i, j = pair_indices(D)
        precision = U @ np.swapaxes(U, -1, -2)
        quadratic = precision[..., i, j] * np.where(i == j, -0.5, -1.0)
    return np.concatenate([constant[..., None], linear, quadratic], axis=-1)


def write_features(features: np.ndarray, D: int, *, diagonal: bool, spherical: bool = False) -> None:
    """Fill `features` (F, B), whose rows 1..D hold y already, with the constant and the products."""
    y = features[1 : D + 1]
    features[0] = 1.0
    if spherical:
        np.einsum("db,db->b", y, y, out=features[D + 1])
        return
    if diagonal:
        np.multiply(y, y, out=features[D + 1 :])
        return
    row = D + 1
    for i in range(D):
        np.multiply(y[i], y[i:], out=features[row : row + D - i])
        row += D - i


class NaturalForm:
    """Coefficients of one or many mixtures, and the two verbs on a block of rows.

    Parameters
    ----------
    parameters : MixtureParameters
        In standard coordinates.
    diagonal : bool
        Whether all covariances are diagonal.
    spherical : bool
        Whether they are diagonal, with one variance for all features of a component: T(y) = (1, y, |y|^2) is enough.
    """

    def __init__(self, parameters: MixtureParameters, *, diagonal: bool = False, spherical: bool = False) -> None:
        self.diagonal = diagonal or spherical
        self.spherical = spherical
        self.D = parameters.n_features
        self.eta = natural_parameters(parameters, diagonal=self.diagonal)
        if spherical:
            self.eta = self.eta[..., : self.D + 2]
        self.shape = self.eta.shape[:-1]
        self.F = self.eta.shape[-1]
        self._rows = np.ascontiguousarray(self.eta.reshape(-1, self.F))

    def workspace(self, block_rows: int) -> np.ndarray:
        """Memory for one block, (F + K, B), to be kept from block to block by one thread."""
        return np.empty((self.F + len(self._rows)) * block_rows)

    def standard_rows(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Where the rows y of a block go: a (D, B) view of the workspace."""
        return self._features(workspace, B)[1 : self.D + 1]

    def log_joint(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Log weights_k + log N(y_n | mu_k, Sigma_k) of the block, (..., K, B), a view of the workspace."""
        features = self._features(workspace, B)
        write_features(features, self.D, diagonal=self.diagonal, spherical=self.spherical)
        out = workspace[self.F * B : (self.F + len(self._rows)) * B].reshape(-1, B)
        return np.dot(self._rows, features, out=out).reshape(*self.shape, B)

    def expected_statistics(
        self, workspace: np.ndarray, B: int, weights: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        """Log likelihood of the block in standard coordinates, and sum_n w_n r_nk T(y_n), (K, F)."""
        responsibilities = self.log_joint(workspace, B)
        log_density = normalise(responsibilities)
        if weights is not None:
            responsibilities *= weights
            log_density *= weights
        return float(log_density.sum()), responsibilities @ self._features(workspace, B).T

    def unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """N (K,), S1 (K, D) and S2 (K, D, D) or (K, D), from sums of T(y).

        Of a spherical S2 only the sum over features says something.
        """
        D = self.D
        N, S1, products = sums[:, 0], sums[:, 1 : D + 1], sums[:, D + 1 :]
        if self.spherical:
            return N, S1, np.repeat(products / D, D, axis=1)
        if self.diagonal:
            return N, S1, products
        i, j = pair_indices(D)
        S2 = np.empty((len(N), D, D))
        S2[:, i, j] = products
        S2[:, j, i] = products
        return N, S1, S2

    def _features(self, workspace: np.ndarray, B: int) -> np.ndarray:
        return workspace[: self.F * B].reshape(self.F, B)
