"""Every component its own covariance: VVV, "full" (Celeux & Govaert 1995, model [lambda_k C_k])."""

import numpy as np

from bayesgmm.em.families.family import CovarianceFamily


def maximise(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """Sigma_k = C_k / N_k."""
    return scatter / N[:, None, None]


FULL = CovarianceFamily("full", "VVV", maximise)
