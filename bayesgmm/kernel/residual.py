"""The residual form: log N(y | mu_k, Sigma_k) from z = U_k^T (y - mu_k), component by component.

Loses no digits however far a component is from the origin: the oracle of the natural form, and what runs where the
conditioning asks for it. May import NumPy only.
"""

import numpy as np

from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.natural import LOG_2PI
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters


class ResidualForm:
    """The same contract as `NaturalForm`, at K D^2 operations for each row and mixture.

    Parameters
    ----------
    parameters : MixtureParameters
        In standard coordinates.
    moments : Moments
        What is needed of S2: its diagonals, or all of it.
    """

    def __init__(self, parameters: MixtureParameters, moments: Moments = Moments.FULL) -> None:
        self.moments = moments
        self.D = parameters.n_features
        self.shape = parameters.weights.shape
        D = self.D
        self._means = parameters.means.reshape(-1, D)
        self._U = parameters.precision_cholesky.reshape(-1, D, D)
        constants = parameters.log_shares + parameters.log_det_precision_cholesky - 0.5 * D * LOG_2PI
        self._constants = constants.reshape(-1)

    def workspace(self, block_rows: int) -> np.ndarray:
        """Memory for one block: its rows, and its log joint densities."""
        return np.empty((self.D + len(self._means)) * block_rows)

    def standard_rows(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Where the rows y of a block go: a (D, B) view of the workspace."""
        return workspace[: self.D * B].reshape(self.D, B)

    def log_joint(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Log weights_k + log N(y_n | mu_k, Sigma_k) of the block, (..., K, B), a view of the workspace."""
        y = self.standard_rows(workspace, B)
        out = workspace[self.D * B : (self.D + len(self._means)) * B].reshape(-1, B)
        with np.errstate(over="ignore", invalid="ignore"):
            for row, mean, U, constant in zip(out, self._means, self._U, self._constants, strict=True):
                z = U.T @ (y - mean[:, None])
                np.einsum("db,db->b", z, z, out=row)
                row *= -0.5
                row += constant
        return out.reshape(*self.shape, B)

    def expected_statistics(
        self, workspace: np.ndarray, B: int, weights: np.ndarray | None, background: np.ndarray | float | None = None
    ) -> tuple[float, np.ndarray]:
        """Log likelihood of the block in standard coordinates, and sum_n w_n r_nk (1, y_n, y_n y_n^T), packed."""
        y = self.standard_rows(workspace, B)
        responsibilities = self.log_joint(workspace, B)
        log_density = normalise(responsibilities, background)
        if weights is not None:
            responsibilities *= weights
            log_density *= weights
        sums = [responsibilities.sum(axis=1, keepdims=True), responsibilities @ y.T]
        if self.moments.diagonal:
            sums.append(responsibilities @ (y * y).T)
        else:
            sums.append(np.stack([((y * r) @ y.T).ravel() for r in responsibilities]))
        return float(log_density.sum()), np.concatenate(sums, axis=1)

    def unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """N (K,), S1 (K, D) and S2 (K, D, D) or (K, D), from the packed sums."""
        D = self.D
        second = sums[:, D + 1 :]
        return sums[:, 0], sums[:, 1 : D + 1], second if self.moments.diagonal else second.reshape(-1, D, D)
