"""What each row says of each component: the derivatives of log weights_k N(y_n | mu_k, T_k).

A row sees its features o with an error covariance E, often zero, and is one of the mixture of what is seen, T_k =
Sigma_k,oo + E. With v_nk = T_k^-1 (y_n - mu_k,o) the first derivatives are

    u_nk = (1, v_nk, (v_nk v_nk^T - T_k^-1) / 2)   by log weights_k, mu_k,o and Sigma_k,oo,

and zero by what is not seen. The score of the row, the gradient of log p(y_n), is sum_k r_nk u_nk (Fisher's identity).
With noise the log weights are those of the components' shares of all rows, and the log of the noise's own comes last.
Residuals, not moments, make them, so that no digits are lost far from the shift. May import NumPy and the modules below
it only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bayesgmm.data.background import background_density
from bayesgmm.data.checks import UNKNOWN, row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.kernel.groups import Group, groups
from bayesgmm.kernel.natural import pair_indices
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters

BLOCK_FLOATS = 2**19
"""Numbers of the derivatives of a block held at once (4 MiB)."""


def n_features(D: int) -> int:
    """F = 1 + D + D(D+1)/2, how many numbers a component is differentiated by."""
    return 1 + D + D * (D + 1) // 2


def n_local(parameters: MixtureParameters) -> int:
    """K F, how many numbers a mixture is differentiated by, and one more with noise."""
    return parameters.n_components * n_features(parameters.n_features) + (parameters.noise is not None)


def local(parameters: MixtureParameters) -> np.ndarray:
    """Lay out the numbers that a mixture is differentiated by, (..., K F) or with noise (..., K F + 1)."""
    i, j = pair_indices(parameters.n_features)
    parts = [parameters.log_shares[..., None], parameters.means, parameters.covariances[..., i, j]]
    numbers = np.concatenate(parts, axis=-1).reshape(*parameters.batch_shape, -1)
    if parameters.noise is None:
        return numbers
    return np.concatenate([numbers, np.asarray(parameters.noise.log_weight)[..., None]], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class RowDerivatives:
    """A block of B rows that see the same P features, and the K' components that each may be of.

    Attributes
    ----------
    rows : (B,) int64
        Which rows of the observations.
    weights : (B,) float64
        Their row weights.
    r : (K', B) float64
        Responsibilities; they sum to one over k, but for what noise takes.
    v : (K', B, P) float64
        T_k^-1 (y_n - mu_k), in one over the units of the data.
    precisions : (K', 1, P, P) or (K', B, P, P) float64
        T_k^-1, of all rows of the block or of each.
    r_noise : (B,) float64 or None
        Responsibility of the noise, where the mixture has noise.
    places : (K', F') int64
        Where u_k belongs among the K F numbers: of each component its log weight, its mean, and its covariances i <= j
        in the order of `pair_indices`.
    """

    rows: np.ndarray
    weights: np.ndarray
    r: np.ndarray
    v: np.ndarray
    precisions: np.ndarray
    r_noise: np.ndarray | None
    places: np.ndarray

    def gradients(self) -> np.ndarray:
        """u_nk, (K', B, F'): by the log weight, the means seen and their covariances i <= j."""
        P = self.v.shape[-1]
        i, j = pair_indices(P)
        u = np.empty((*self.v.shape[:2], 1 + P + len(i)))
        u[..., 0] = 1.0
        u[..., 1 : P + 1] = self.v
        # an entry off the diagonal stands for two of the matrix
        twice = np.where(i == j, 0.5, 1.0)
        u[..., P + 1 :] = (self.v[..., i] * self.v[..., j] - self.precisions[..., i, j]) * twice
        return u

    def scores(self, parameters: MixtureParameters) -> np.ndarray:
        """sum_k r_nk u_nk, (B, K F) or with noise (B, K F + 1), zero where a row says nothing."""
        scores = np.zeros((len(self.rows), n_local(parameters)))
        if self.r_noise is not None:
            scores[:, -1] = self.r_noise
        mixed = self.gradients() * self.r[..., None]
        for places, part in zip(self.places, mixed, strict=True):
            scores[:, places] = part
        return scores


def row_derivatives(observations: Observations, parameters: MixtureParameters) -> Iterator[RowDerivatives]:
    """Go over all rows, block by block; memory does not grow with the number of rows.

    Parameters
    ----------
    parameters : MixtureParameters
        One mixture, in the units of the data.
    """
    K, D = parameters.means.shape
    F = n_features(D)
    standard = observations.to_standard(parameters)
    for group in _groups(observations):
        o = np.asarray(group.seen)
        P = len(o)
        components = np.arange(K) if group.component == UNKNOWN else np.array([group.component])
        i, j = pair_indices(P)
        positions = _pair_positions(D)[o[i], o[j]]
        within = np.concatenate([[0], 1 + o, 1 + D + positions])
        mixture = group.observations.from_standard(group.mixture(standard)) if group.errors is None else None
        per_row = len(within) + (P * P if mixture is None else 0)
        for block in row_slices(len(group.rows), max(1, BLOCK_FLOATS // (len(components) * per_row))):
            if mixture is not None:
                log_joint, v, precisions = _same_precision(group, mixture, block)
            else:
                log_joint, v, precisions = _own_precisions(group, parameters, components, block, observations.scale)
            r_noise = None if parameters.noise is None else np.zeros(log_joint.shape[1])
            if parameters.noise is not None and group.component == UNKNOWN:
                density = background_density(group.observations, parameters.noise.background.marginal(group.seen))
                in_noise = (density[block] if density.ndim else density) + float(parameters.noise.log_weight)
                log_density = normalise(log_joint, np.broadcast_to(in_noise, log_joint.shape[1:]))
                r_noise = np.exp(in_noise - log_density)
            else:
                normalise(log_joint)
            rows = group.rows[block]
            weights = observations.block_weights(rows)
            yield RowDerivatives(
                rows,
                np.ones(len(rows)) if weights is None else weights,
                log_joint,
                v,
                precisions,
                r_noise,
                components[:, None] * F + within,
            )


def _groups(observations: Observations) -> tuple[Group, ...]:
    """Group the rows; complete rows are one group, which is not kept."""
    if observations.incomplete:
        return groups(observations)
    N, D = observations.n_rows, observations.n_features
    return (Group(np.arange(N), tuple(range(D)), UNKNOWN, None, None, observations),)


def _same_precision(
    group: Group, mixture: MixtureParameters, block: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log joint density (K', B), v and T_k^-1 of rows that share T_k."""
    e = np.asarray(group.observations.values[block], dtype=np.float64) - mixture.means[:, None]
    U = mixture.precision_cholesky
    whitened = e @ U
    P = e.shape[-1]
    log_joint = mixture.log_shares + mixture.log_det_precision_cholesky - 0.5 * P * np.log(2 * np.pi)
    log_joint = log_joint[:, None] - 0.5 * (whitened**2).sum(axis=-1)
    transposed = np.swapaxes(U, -1, -2)
    return log_joint, whitened @ transposed, (U @ transposed)[:, None]


def _own_precisions(
    group: Group, parameters: MixtureParameters, components: np.ndarray, block: slice, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do the same for rows that each have an error covariance of their own."""
    assert group.errors is not None
    o = np.asarray(group.seen)
    P = len(o)
    errors = group.errors[block] * scale**2
    if errors.ndim == 2:
        errors = errors[:, :, None] * np.eye(P)
    T = parameters.covariances[components][:, None, o[:, None], o] + errors
    e = np.asarray(group.observations.values[block], dtype=np.float64) - parameters.means[components][:, None, o]
    precisions = np.linalg.inv(T)
    precisions = 0.5 * (precisions + np.swapaxes(precisions, -1, -2))
    v = np.einsum("kbij,kbj->kbi", precisions, e)
    log_joint = -0.5 * ((e * v).sum(axis=-1) + np.linalg.slogdet(T)[1] + P * np.log(2 * np.pi))
    return log_joint + parameters.log_shares[components][:, None], v, precisions


def _pair_positions(D: int) -> np.ndarray:
    """Place of the pair (i, j), i <= j, in the order of `pair_indices`, (D, D)."""
    i, j = pair_indices(D)
    places = np.zeros((D, D), dtype=np.int64)
    places[i, j] = np.arange(len(i))
    return places
