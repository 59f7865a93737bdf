"""The inverse-Wishart by Bartlett's decomposition, in upper form: independent chi-squares and normals, no Jacobian.

Sigma ~ InverseWishart(dof, scale) is Sigma^-1 ~ Wishart(dof, scale^-1). With scale = C C^T, C lower triangular, and T
upper triangular with independent elements

    T_ii^2 ~ ChiSquared(dof - D + i), i = 1..D,      T_ij ~ Normal(0, 1), i < j,

T T^T ~ Wishart(dof, I) (Bartlett 1933; Anderson 2003, theorem 7.2.1, with rows and columns reversed), so that
Sigma^-1 = U U^T with U = C^-T T: upper triangular as it is wanted. All free variables are of order one whatever the
units of the data. A variance ~ InverseGamma(dof / 2, scale / 2) is the same with D = 1.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable
from scipy.linalg import solve_triangular

from bayesgmm.parametrisation.matrices import product, upper_triangle
from bayesgmm.priors import InverseWishart

DIAGONAL = "bartlett_diagonal"
ABOVE = "bartlett_above"


def matrix_factors(prior: InverseWishart, batch: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw U for independent Sigma ~ `prior`.

    Free variables: ``bartlett_diagonal``, the T_ii^2, (..., D), and ``bartlett_above``, the T_ij, (..., D(D-1)/2).

    Parameters
    ----------
    prior : InverseWishart
        With `scale` (D, D).
    batch, dims : tuple
        Shape (...) of the batch, and the names of its dimensions.

    Returns
    -------
    (..., D, D), or (1, D, D) for an empty batch.
    """
    scale = np.asarray(prior.scale)
    D = len(scale)
    root = inverse_root(scale)
    diagonal = pm.ChiSquared(DIAGONAL, prior.dof - D + 1.0 + np.arange(D), shape=(*batch, D), dims=(*dims, "feature"))
    if D == 1:
        return pt.sqrt(diagonal).reshape((*(batch or (1,)), 1, 1)) * root
    pairs = D * (D - 1) // 2
    above = pm.Normal(ABOVE, 0.0, 1.0, shape=(*batch, pairs), dims=(*dims, "feature_pair"))
    parts = (pt.sqrt(diagonal), above) if batch else (pt.sqrt(diagonal)[None], above[None])
    return product(root[None], upper_triangle(*parts))


def variance_factors(prior: InverseWishart, batch: tuple[int, ...], dims: tuple[str, ...]) -> TensorVariable:
    """Draw 1 / sd for independent variances ~ InverseGamma(dof / 2, scale / 2).

    Free variable: ``bartlett_diagonal``, scale / variance ~ ChiSquared(dof), of shape `batch`.

    Parameters
    ----------
    prior : InverseWishart
        With `scale` (D,) or a number: the trailing dimension of the batch, or none.
    """
    return pt.sqrt(pm.ChiSquared(DIAGONAL, prior.dof, shape=batch, dims=dims)) / np.sqrt(np.asarray(prior.scale))


def inverse_root(scale: np.ndarray) -> np.ndarray:
    """C^-T, upper triangular (D, D), with scale = C C^T."""
    C = np.linalg.cholesky(scale)
    return np.ascontiguousarray(solve_triangular(C, np.eye(len(C)), lower=True).T)


def start_matrices(prior: InverseWishart, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables of `matrix_factors` at Sigma (..., D, D): T = C^T U."""
    C = np.linalg.cholesky(np.asarray(prior.scale))
    # Sigma^-1 = U U^T with U = L^-T, and T = C^T U = (L^-1 C)^T
    T = np.swapaxes(np.linalg.solve(np.linalg.cholesky(covariances), np.broadcast_to(C, covariances.shape)), -1, -2)
    i, j = np.triu_indices(len(C), 1)
    values = {DIAGONAL: np.diagonal(T, axis1=-2, axis2=-1) ** 2}
    return values | {ABOVE: T[..., i, j]} if len(i) else values


def start_variances(prior: InverseWishart, variances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variable of `variance_factors` at given variances."""
    return {DIAGONAL: np.asarray(prior.scale) / variances}
