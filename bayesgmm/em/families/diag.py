"""A variance for each component and feature: VVI, "diag" (Celeux & Govaert 1995, model [lambda_k B_k])."""

import numpy as np

from bayesgmm.em.families.family import CovarianceFamily, diagonal_matrices


def maximise(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """Sigma_k = diag(C_k) / N_k; `scatter` is the diagonals (K, D)."""
    return diagonal_matrices(scatter / N[:, None])


DIAG = CovarianceFamily(
    name="diag",
    code="VVI",
    maximise=maximise,
    pack=lambda covariances: np.diagonal(covariances, axis1=-2, axis2=-1).copy(),
    unpack=lambda packed, K, D: diagonal_matrices(packed),
)
