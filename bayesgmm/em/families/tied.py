"""One covariance for all components: EEE, "tied" (Celeux & Govaert 1995, model [lambda C])."""

import numpy as np

from bayesgmm.em.families.family import CovarianceFamily


def maximise(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """Sigma = sum_k C_k / sum_k N_k, the same for every component."""
    return np.repeat(scatter.sum(axis=0, keepdims=True) / N.sum(), len(N), axis=0)


TIED = CovarianceFamily(
    name="tied",
    code="EEE",
    maximise=maximise,
    pack=lambda covariances: covariances[..., 0, :, :],
    unpack=lambda packed, K, D: np.repeat(packed[..., None, :, :], K, axis=-3),
)
