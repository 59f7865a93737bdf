"""The common form: where all components share one covariance, the quadratic term drops out of the memberships.

With P the common precision, log weights_k + log N(y | mu_k, Sigma) = b_k + <P mu_k, y> - 1/2 y^T P y, and the last term
is the same for every k. So responsibilities need the D + 1 features (1, y) only; the log-likelihood takes its part of
the quadratic term from the second moments of all rows, which do not change from pass to pass; and an M-step that pools
the components needs the sum of their second moments alone, which is that same number. May import NumPy only.
"""

import numpy as np

from bayesgmm.kernel.natural import linear_parameters
from bayesgmm.kernel.products import sums_of_features, times_features
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters


class CommonForm:
    """The E-step of one mixture whose components share one covariance; the contract of `NaturalForm`.

    Parameters
    ----------
    parameters : MixtureParameters
        In standard coordinates.
    second_moments : (D, D) or (D,) float64
        sum_n w_n y_n y_n^T of all rows, or its diagonal.
    total_weight : float
        sum_n w_n.
    """

    def __init__(self, parameters: MixtureParameters, second_moments: np.ndarray, total_weight: float) -> None:
        self.D = parameters.n_features
        self.shape = parameters.weights.shape
        self._moments = second_moments
        self._total = total_weight
        self._rows = linear_parameters(parameters, n_features=self.D + 1)
        U = parameters.precision_cholesky[0]
        precision = U @ U.T
        if second_moments.ndim == 1:
            precision = np.diagonal(precision)
        self.shared_log_likelihood = -0.5 * float((precision * second_moments).sum())

    def workspace(self, block_rows: int) -> np.ndarray:
        """Memory for one block, (1 + D + K, B)."""
        return np.empty((self.D + 1 + len(self._rows)) * block_rows)

    def standard_rows(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Where the rows y of a block go: a (D, B) view of the workspace."""
        return self._features(workspace, B)[1:]

    def expected_statistics(
        self, workspace: np.ndarray, B: int, weights: np.ndarray | None, background: np.ndarray | float | None = None
    ) -> tuple[float, np.ndarray]:
        """Log likelihood of the block but for the quadratic term, and sum_n w_n r_nk (1, y_n), (K, 1 + D)."""
        features = self._features(workspace, B)
        features[0] = 1.0
        responsibilities = workspace[(self.D + 1) * B : (self.D + 1 + len(self._rows)) * B].reshape(-1, B)
        times_features(self._rows, features, responsibilities)
        log_density = normalise(responsibilities, background)
        if weights is not None:
            responsibilities *= weights
            log_density *= weights
        return float(log_density.sum()), sums_of_features(responsibilities, features)

    def unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """N (K,), S1 (K, D) and S2 (K, D, D) or (K, D); of S2 only the sum over components says something."""
        N, S1 = sums[:, 0], sums[:, 1:]
        # of rows that all weigh nothing, nothing
        share = N / self._total if self._total > 0 else N
        S2 = share.reshape(-1, *([1] * self._moments.ndim)) * self._moments
        return N, S1, S2

    def _features(self, workspace: np.ndarray, B: int) -> np.ndarray:
        return workspace[: (self.D + 1) * B].reshape(self.D + 1, B)
