"""Spheres: a variance for each component, VII ("spherical"), or one for all, EII (Celeux & Govaert 1995)."""

import numpy as np

from bayesgmm.em.families.family import CovarianceFamily, diagonal_matrices, family_by_code


def maximise(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """VII, [lambda_k I]: Sigma_k = tr(C_k) / (D N_k) I; `scatter` is the diagonals (K, D)."""
    variances = scatter.mean(axis=1) / N
    return diagonal_matrices(np.repeat(variances[:, None], scatter.shape[1], axis=1))


def maximise_eii(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """EII, [lambda I]: Sigma = sum_k tr(C_k) / (D sum_k N_k) I; `scatter` is the diagonals (K, D)."""
    K, D = scatter.shape
    return diagonal_matrices(np.full((K, D), scatter.sum() / (D * N.sum())))


SPHERICAL = CovarianceFamily(
    name="spherical",
    code="VII",
    maximise=maximise,
    pack=lambda covariances: covariances[..., 0, 0].copy(),
    unpack=lambda packed, K, D: diagonal_matrices(np.repeat(packed[..., None], D, axis=-1)),
)

EII = family_by_code("EII", maximise_eii)
