"""The natural form: log weights_k + log N(y | mu_k, Sigma_k) = <T(y), eta_k>, so a pass is two matrix products.

T(y) = (1, y_i, y_i y_j for i <= j, by j - i) and, with P = Sigma^-1,
eta_k = (log weights_k - D/2 log 2 pi + log det U_k - 1/2 mu^T P mu, P mu, -1/2 P_ii and -P_ij).
Features are kept transposed, (F, B), so that each is one contiguous product. May import NumPy only.
"""

from copy import copy
from functools import lru_cache

import numpy as np

from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.products import sums_of_features, times_features
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters

LOG_2PI = float(np.log(2 * np.pi))


@lru_cache(maxsize=64)
def pair_indices(D: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairs i <= j, in the order of the features: by j - i, then by i.

    Features of one j - i are products of two stretches of the rows of y, which is the fastest way to make them.
    """
    return np.concatenate([np.arange(D - s) for s in range(D)]), np.concatenate([np.arange(s, D) for s in range(D)])


def n_natural_features(D: int, moments: Moments = Moments.FULL) -> int:
    """F: 1 + D, and as many more as moments are needed: D(D+1)/2, D on the diagonal, or their sum."""
    return 1 + D + (1, D, D * (D + 1) // 2)[moments.ndim]


def precisions(parameters: MixtureParameters) -> np.ndarray:
    """P = U U^T, (..., K, D, D)."""
    U = parameters.precision_cholesky
    return U @ np.swapaxes(U, -1, -2)


def linear_parameters(parameters: MixtureParameters, *, n_features: int) -> np.ndarray:
    """Eta with its constant and linear terms filled in, (..., K, n_features); the rest is left as memory has it."""
    U, means = parameters.precision_cholesky, parameters.means
    D = parameters.n_features
    eta = np.empty((*means.shape[:-1], n_features))
    root = means[..., None, :] @ U  # (U^T mu)^T
    eta[..., 1 : D + 1] = (U @ np.swapaxes(root, -1, -2))[..., 0]
    constant = eta[..., 0]
    np.einsum("...j,...j->...", root[..., 0, :], root[..., 0, :], out=constant)
    constant += D * LOG_2PI
    constant *= -0.5
    constant += parameters.log_det_precision_cholesky
    # an empty component is out of reach, by a finite distance: infinity times zero would be NaN
    constant += np.maximum(parameters.log_shares, -1e300)
    return eta


def natural_parameters(
    parameters: MixtureParameters, moments: Moments = Moments.FULL, precision: np.ndarray | None = None
) -> np.ndarray:
    """Eta, (..., K, F); `precision` are those of `precisions`, where they are known already."""
    D = parameters.n_features
    eta = linear_parameters(parameters, n_features=n_natural_features(D, moments))
    quadratic = eta[..., D + 1 :]
    if moments.diagonal:
        roots = parameters.precision_cholesky.diagonal(axis1=-2, axis2=-1)
        np.square(roots[..., : quadratic.shape[-1]], out=quadratic)
        quadratic *= -0.5
    else:
        precision = precisions(parameters) if precision is None else precision
        where, factors = _packing(D)
        np.multiply(precision.reshape(*precision.shape[:-2], D * D)[..., where], factors, out=quadratic)
    return eta


@lru_cache(maxsize=64)
def _packing(D: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pairs i <= j are in a matrix read by rows, and the factors -1/2 (i = j) and -1 of the precisions."""
    i, j = pair_indices(D)
    return i * D + j, np.where(i == j, -0.5, -1.0)


@lru_cache(maxsize=64)
def _unpacking(D: int) -> np.ndarray:
    """Which pair each entry of a symmetric matrix, read by rows, is."""
    i, j = pair_indices(D)
    where = np.empty((D, D), dtype=np.intp)
    where[i, j] = where[j, i] = np.arange(len(i))
    return where.ravel()


def write_features(features: np.ndarray, D: int, moments: Moments) -> None:
    """Fill `features` (F, B), whose rows 1..D hold y already, with the constant and the products."""
    y = features[1 : D + 1]
    features[0] = 1.0
    if moments.ndim == 0:
        np.einsum("db,db->b", y, y, out=features[D + 1])
        return
    if moments.ndim == 1:
        np.multiply(y, y, out=features[D + 1 :])
        return
    row = D + 1
    for apart in range(D):
        np.multiply(y[: D - apart], y[apart:], out=features[row : row + D - apart])
        row += D - apart


class NaturalForm:
    """Coefficients of one or many mixtures, and the two verbs on a block of rows.

    Parameters
    ----------
    parameters : MixtureParameters
        In standard coordinates.
    moments : Moments
        What is needed of S2, by the form of the covariances: with one variance for all features of a component
        T(y) = (1, y, |y|^2) is enough.
    precision : (..., K, D, D) float64, optional
        What `precisions` makes of the parameters, where it is known already.
    """

    def __init__(
        self,
        parameters: MixtureParameters,
        moments: Moments = Moments.FULL,
        precision: np.ndarray | None = None,
    ) -> None:
        self.moments = moments
        self.D = parameters.n_features
        self.eta = natural_parameters(parameters, moments, precision)
        self.shape = self.eta.shape[:-1]
        self.F = self.eta.shape[-1]
        self._rows = np.ascontiguousarray(self.eta.reshape(-1, self.F))

    def each(self) -> "list[NaturalForm]":
        """Forms of the mixtures of a batch (G,), one by one."""
        forms = []
        for eta in self.eta:
            form = copy(self)
            form.eta, form.shape, form._rows = eta, eta.shape[:-1], eta
            forms.append(form)
        return forms

    def workspace(self, block_rows: int) -> np.ndarray:
        """Memory for one block, (F + K, B), to be kept from block to block by one thread."""
        return np.empty((self.F + len(self._rows)) * block_rows)

    def standard_rows(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Where the rows y of a block go: a (D, B) view of the workspace."""
        return self._features(workspace, B)[1 : self.D + 1]

    def log_joint(self, workspace: np.ndarray, B: int) -> np.ndarray:
        """Log weights_k + log N(y_n | mu_k, Sigma_k) of the block, (..., K, B), a view of the workspace."""
        features = self._features(workspace, B)
        write_features(features, self.D, self.moments)
        out = workspace[self.F * B : (self.F + len(self._rows)) * B].reshape(-1, B)
        return times_features(self._rows, features, out).reshape(*self.shape, B)

    def expected_statistics(
        self, workspace: np.ndarray, B: int, weights: np.ndarray | None, background: np.ndarray | float | None = None
    ) -> tuple[float, np.ndarray]:
        """Log likelihood of the block in standard coordinates, and sum_n w_n r_nk T(y_n), (K, F).

        `background` is the log joint density of a noise component, in standard coordinates; see `normalise`.
        """
        responsibilities = self.log_joint(workspace, B)
        log_density = normalise(responsibilities, background)
        if weights is not None:
            responsibilities *= weights
            log_density *= weights
        return float(log_density.sum()), sums_of_features(responsibilities, self._features(workspace, B))

    def unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """N (K,), S1 (K, D) and S2 (K, D, D) or (K, D), from sums of T(y).

        Of an S2 that is one sum only the sum over features says something.
        """
        D = self.D
        N, S1, products = sums[:, 0], sums[:, 1 : D + 1], sums[:, D + 1 :]
        if self.moments.ndim == 0:
            return N, S1, np.repeat(products / D, D, axis=1)
        if self.moments.ndim == 1:
            return N, S1, products
        S2 = products.take(_unpacking(D), axis=1).reshape(-1, D, D)
        return N, S1, S2

    def _features(self, workspace: np.ndarray, B: int) -> np.ndarray:
        return workspace[: self.F * B].reshape(self.F, B)
