"""The inverse-Wishart by Bartlett's decomposition, in upper form: independent chi-squares and normals, no Jacobian.

Sigma ~ InverseWishart(dof, scale) is Sigma^-1 ~ Wishart(dof, scale^-1). With scale = C C^T, C lower triangular, and T
upper triangular with independent elements

    T_ii^2 ~ ChiSquared(dof - D + i), i = 1..D,      T_ij ~ Normal(0, 1), i < j,

T T^T ~ Wishart(dof, I) (Bartlett 1933; Anderson 2003, theorem 7.2.1, with rows and columns reversed), so that
Sigma^-1 = U U^T with U = C^-T T: upper triangular as it is wanted. All free variables are of order one whatever the
units of the data. A variance ~ InverseGamma(dof / 2, scale / 2) is the same with D = 1.

A random scale is drawn the same way: scale ~ Wishart(2 shape, (2 rate)^-1), the matrix gamma law, is scale = C C^T with
C = E B, (2 rate)^-1 = E E^T, E lower triangular, and B lower triangular with B_ii^2 ~ ChiSquared(2 shape - i + 1) and
B_ij ~ Normal(0, 1), i > j. So C is lower triangular as it is wanted, and U = C^-T T again.
"""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable
from scipy.linalg import solve_triangular
from scipy.stats import wishart

from bayesgmm.model.coordinates.matrices import product, upper_inverse, upper_triangle
from bayesgmm.priors import InverseWishart, RandomScale

DIAGONAL = "bartlett_diagonal"
ABOVE = "bartlett_above"
SCALE_DIAGONAL = "scale_diagonal"
SCALE_ABOVE = "scale_above"


def matrix_factors(prior: InverseWishart, D: int, batch: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw U for independent Sigma ~ `prior`.

    Free variables: ``bartlett_diagonal``, the T_ii^2, (..., D), and ``bartlett_above``, the T_ij, (..., D(D-1)/2);
    for a random scale ``scale_diagonal``, the B_ii^2, (D,), and ``scale_above``, the B_ij, (D(D-1)/2,), too.

    Parameters
    ----------
    prior : InverseWishart
        With `scale` (D, D), or a RandomScale with `rate` (D, D).
    D : int
    batch, dims : tuple
        Shape (...) of the batch, and the names of its dimensions.

    Returns
    -------
    (..., D, D), or (1, D, D) for an empty batch.
    """
    random = isinstance(prior.scale, RandomScale)
    root = _random_inverse_root(prior.scale, D) if random else inverse_root(np.asarray(prior.scale))[None]
    diagonal = pm.ChiSquared(DIAGONAL, prior.dof - D + 1.0 + np.arange(D), shape=(*batch, D), dims=(*dims, "feature"))
    if D == 1:
        return pt.sqrt(diagonal).reshape((*(batch or (1,)), 1, 1)) * root
    pairs = D * (D - 1) // 2
    above = pm.Normal(ABOVE, 0.0, 1.0, shape=(*batch, pairs), dims=(*dims, "feature_pair"))
    parts = (pt.sqrt(diagonal), above) if batch else (pt.sqrt(diagonal)[None], above[None])
    return product(root, upper_triangle(*parts))


def _random_inverse_root(scale: Any, D: int) -> TensorVariable:
    """C^-T, (1, D, D), of a random scale = C C^T: C^T = B^T E^T."""
    E = _mean_root(scale)
    dof = 2.0 * scale.shape - np.arange(D)
    diagonal = pt.sqrt(pm.ChiSquared(SCALE_DIAGONAL, dof, shape=(D,), dims=("feature",)))[None]
    if D == 1:
        return 1.0 / (diagonal[..., None] * E)
    above = pm.Normal(SCALE_ABOVE, 0.0, 1.0, shape=(D * (D - 1) // 2,), dims=("feature_pair",))
    return upper_inverse(product(upper_triangle(diagonal, above[None]), np.ascontiguousarray(E.T)[None]))


def _mean_root(scale: RandomScale) -> np.ndarray:
    """E, lower triangular (D, D), with (2 rate)^-1 = E E^T."""
    return np.linalg.cholesky(np.linalg.inv(2.0 * np.asarray(scale.rate)))


def variance_factors(prior: InverseWishart, batch: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw 1 / sd for independent variances ~ InverseGamma(dof / 2, scale / 2).

    Free variable: ``bartlett_diagonal``, scale / variance ~ ChiSquared(dof), of shape `batch`; for a random scale
    ``scale_diagonal``, 2 rate scale ~ ChiSquared(2 shape), (D,) or (), too.

    Parameters
    ----------
    prior : InverseWishart
        With `scale`, or its rate, (D,) or a number: the trailing dimension of the batch, or none.
    """
    if isinstance(prior.scale, RandomScale):
        assert prior.scale.shape is not None
        rate = np.asarray(prior.scale.rate)
        dof, names = 2.0 * prior.scale.shape, ("feature",) * rate.ndim
        scale = pm.ChiSquared(SCALE_DIAGONAL, dof, shape=rate.shape, dims=names or None) / (2.0 * rate)
        root = pt.sqrt(scale)
    else:
        root = np.sqrt(np.asarray(prior.scale))
    return pt.sqrt(pm.ChiSquared(DIAGONAL, prior.dof, shape=batch, dims=dims or None)) / root


def inverse_root(scale: np.ndarray) -> np.ndarray:
    """C^-T, upper triangular (D, D), with scale = C C^T."""
    C = np.linalg.cholesky(scale)
    return np.ascontiguousarray(solve_triangular(C, np.eye(len(C)), lower=True).T)


def start_matrices(prior: InverseWishart, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables of `matrix_factors` at Sigma (..., D, D): T = C^T U.

    A random scale starts at its mean given Sigma, (shape + n dof / 2) (rate + sum Sigma^-1 / 2)^-1, n of them.
    """
    values = {}
    D = covariances.shape[-1]
    i, j = np.triu_indices(D, 1)
    if isinstance(prior.scale, RandomScale):
        assert prior.scale.shape is not None
        precisions = np.linalg.inv(covariances).reshape(-1, D, D)
        rate = np.asarray(prior.scale.rate) + 0.5 * precisions.sum(axis=0)
        scale = (prior.scale.shape + 0.5 * len(precisions) * prior.dof) * np.linalg.inv(rate)
        C = np.linalg.cholesky(0.5 * (scale + scale.T))
        B = solve_triangular(_mean_root(prior.scale), C, lower=True).T
        values = {SCALE_DIAGONAL: np.diagonal(B) ** 2} | ({SCALE_ABOVE: B[i, j]} if D > 1 else {})
    else:
        C = np.linalg.cholesky(np.asarray(prior.scale))
    # Sigma^-1 = U U^T with U = L^-T, and T = C^T U = (L^-1 C)^T
    T = np.swapaxes(np.linalg.solve(np.linalg.cholesky(covariances), np.broadcast_to(C, covariances.shape)), -1, -2)
    values[DIAGONAL] = np.diagonal(T, axis1=-2, axis2=-1) ** 2
    return values | {ABOVE: T[..., i, j]} if len(i) else values


def start_variances(prior: InverseWishart, variances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables of `variance_factors` at given variances; a random scale as in `start_matrices`."""
    if not isinstance(prior.scale, RandomScale):
        return {DIAGONAL: np.asarray(prior.scale) / variances}
    assert prior.scale.shape is not None
    rate = np.asarray(prior.scale.rate)
    precisions = (1.0 / np.asarray(variances)).reshape(-1, *rate.shape)
    scale = (prior.scale.shape + 0.5 * len(precisions) * prior.dof) / (rate + 0.5 * precisions.sum(axis=0))
    return {SCALE_DIAGONAL: 2.0 * rate * scale, DIAGONAL: scale / variances}


def draw_scale(prior: object, values: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Replace the mean of a random scale, in values that a start gave, by a draw given the same covariances.

    Given n covariances the scale has a matrix gamma law again, with shape + n dof / 2 and rate + sum Sigma^-1 / 2. The
    other free variables change with it, so that the covariances stay what they were. Without a random scale, and for
    other variables, the values are returned as they are.
    """
    if not (isinstance(prior, InverseWishart) and isinstance(prior.scale, RandomScale)):
        return values
    assert prior.scale.shape is not None
    rate = np.asarray(prior.scale.rate)
    if rate.ndim < 2:
        shape = prior.scale.shape + 0.5 * prior.dof * values[DIAGONAL].size / max(rate.size, 1)
        mean = values[SCALE_DIAGONAL] / (2.0 * rate)
        drawn = rng.gamma(shape, mean / shape)
        return values | {SCALE_DIAGONAL: 2.0 * rate * drawn, DIAGONAL: values[DIAGONAL] * drawn / mean}
    D = len(rate)
    i, j = np.triu_indices(D, 1)
    shape = prior.scale.shape + 0.5 * prior.dof * values[DIAGONAL].size / D
    E = _mean_root(prior.scale)
    B, T = np.zeros((D, D)), np.zeros((*values[DIAGONAL].shape, D))
    B[np.arange(D), np.arange(D)] = np.sqrt(values[SCALE_DIAGONAL])
    T[..., np.arange(D), np.arange(D)] = np.sqrt(values[DIAGONAL])
    if D > 1:
        B[j, i] = values[SCALE_ABOVE]
        T[..., i, j] = values[ABOVE]
    C = E @ B
    drawn = np.reshape(wishart.rvs(2.0 * shape, C @ C.T / (2.0 * shape), random_state=rng), (D, D))
    root = np.linalg.cholesky(drawn)
    B, T = solve_triangular(E, root, lower=True), np.linalg.solve(C, root).T @ T
    changed = {SCALE_DIAGONAL: np.diagonal(B) ** 2, DIAGONAL: np.diagonal(T, axis1=-2, axis2=-1) ** 2}
    return values | changed | ({SCALE_ABOVE: B[j, i], ABOVE: T[..., i, j]} if D > 1 else {})
