"""Correlations and standard deviations apart: LKJ by independent partial correlations.

With r_ij (i < j) the correlation of features i and j given features 1..i-1 (a C-vine), R ~ LKJ(eta), whose density is
proportional to |R|^(eta - 1), exactly when the r_ij are independent (Lewandowski, Kurowicka & Joe 2009, section 2.4),

    (1 + r_ij) / 2 ~ Beta(a_i, a_i),   a_i = eta + (D - 1 - i) / 2,   i = 1..D-1.

R = W^T W, W upper triangular with W_ij = r_ij sqrt(prod_{l<i} (1 - r_lj^2)) and W_jj = sqrt(prod_{l<j} (1 - r_lj^2)).
Then Sigma = (W S)^T (W S), S = diag(sd), and Sigma^-1 = U U^T with U = (W S)^-1, upper triangular.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates.matrices import product, upper_inverse, upper_triangle
from bayesgmm.priors import LKJ, HalfNormal, InverseGamma, LogNormal

STANDARD_DEVIATIONS = "standard_deviations"
PARTIAL_CORRELATIONS = "partial_correlations_unit"


def matrix_factors(prior: LKJ, D: int, batch: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw U for independent Sigma ~ `prior`.

    Free variables: ``standard_deviations`` (..., D), and ``partial_correlations_unit``, the (1 + r_ij) / 2,
    (..., D(D-1)/2).

    Returns
    -------
    (..., D, D), or (1, D, D) for an empty batch.
    """
    sd = standard_deviations(prior, (*batch, D), (*dims, "feature"))
    sd = sd if batch else sd[None]
    if D == 1:
        return (1.0 / sd)[..., None]
    return upper_inverse(correlation_roots(prior.eta, D, batch, dims) * sd[..., None, :])


def correlation_roots(eta: float, D: int, batch: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw W, upper triangular with R = W^T W ~ LKJ(eta), D > 1; (..., D, D), or (1, D, D) for an empty batch.

    Free variable: ``partial_correlations_unit``.
    """
    i, _ = np.triu_indices(D, 1)
    shape = eta + (D - 2.0 - i) / 2.0
    unit = pm.Beta(PARTIAL_CORRELATIONS, shape, shape, shape=(*batch, len(i)), dims=(*dims, "feature_pair"))
    r = 2.0 * unit - 1.0
    r = r if batch else r[None]
    Z = upper_triangle(pt.zeros_like(r[..., :1]) + np.zeros(D), r)
    remaining = product(np.tri(D, k=-1)[None], pt.log1p(-(Z**2)))
    return (Z + np.eye(D)) * pt.exp(0.5 * remaining)


def standard_deviations(prior: LKJ, shape: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw the standard deviations, in the units of the data."""
    return positive(STANDARD_DEVIATIONS, prior.sd, shape, dims)


def positive(
    name: str, prior: LogNormal | InverseGamma | HalfNormal, shape: tuple[int, ...], dims: tuple[str, ...]
) -> TensorVariable:
    """Draw standard deviations of any name from their prior."""
    if isinstance(prior, LogNormal):
        return pm.LogNormal(name, np.asarray(prior.mu), np.asarray(prior.sigma), shape=shape, dims=dims)
    if isinstance(prior, InverseGamma):
        return pm.InverseGamma(name, np.asarray(prior.alpha), np.asarray(prior.beta), shape=shape, dims=dims)
    assert isinstance(prior, HalfNormal)
    return pm.HalfNormal(name, np.asarray(prior.sigma), shape=shape, dims=dims)


def start_matrices(prior: LKJ, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables of `matrix_factors` at Sigma (..., D, D)."""
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    D = sd.shape[-1]
    if D == 1:
        return {STANDARD_DEVIATIONS: sd}
    return {STANDARD_DEVIATIONS: sd} | start_correlations(covariances)


def start_correlations(covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variable of `correlation_roots` at Sigma (..., D, D), D > 1."""
    sd = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    W = np.swapaxes(np.linalg.cholesky(covariances / (sd[..., :, None] * sd[..., None, :])), -1, -2)
    # 1 - sum_{l<i} W_lj^2 is what remains of the variance of feature j before feature i; W_ij^2 = r_ij^2 of it
    remaining = 1.0 - np.cumsum(W**2, axis=-2) + W**2
    i, j = np.triu_indices(sd.shape[-1], 1)
    r = W[..., i, j] / np.sqrt(remaining[..., i, j])
    return {PARTIAL_CORRELATIONS: 0.5 * (1.0 + r)}
