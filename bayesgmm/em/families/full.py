"""Every component its own covariance: VVV, "full" (Celeux & Govaert 1995, model [lambda_k C_k])."""

import numpy as np

from bayesgmm.em.families.family import CovarianceFamily


def maximise(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """Sigma_k = C_k / N_k."""
    return scatter / N[:, None, None]


FULL = CovarianceFamily(
    name="full",
    code="VVV",
    maximise=maximise,
    n_covariance_parameters=lambda K, D: K * D * (D + 1) // 2,
    pack=lambda covariances: covariances,
    unpack=lambda packed, K, D: packed,
    diagonal=False,
    per_column=True,
    clips_exactly=True,
)
