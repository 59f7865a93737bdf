"""One variance for each component: VII, "spherical" (Celeux & Govaert 1995, model [lambda_k I])."""

import numpy as np

from bayesgmm.covariance.family import CovarianceFamily, diagonal_matrices


def maximise(scatter: np.ndarray, N: np.ndarray) -> np.ndarray:
    """Sigma_k = tr(C_k) / (D N_k) I; `scatter` is the diagonals (K, D)."""
    variances = scatter.mean(axis=1) / N
    return diagonal_matrices(np.repeat(variances[:, None], scatter.shape[1], axis=1))


SPHERICAL = CovarianceFamily(
    name="spherical",
    code="VII",
    maximise=maximise,
    n_covariance_parameters=lambda K, D: K,
    pack=lambda covariances: covariances[..., 0, 0].copy(),
    unpack=lambda packed, K, D: diagonal_matrices(np.repeat(packed[..., None], D, axis=-1)),
    diagonal=True,
    per_column=False,
)
