"""Ellipsoids with all but the volume, or only the volume, in common: VEE, EVV (Celeux & Govaert 1995, section 3.1).

Sigma_k = lambda_k C_k, det C_k = 1; the scatter matrices of the paper, W_k, are `scatter`, (K, D, D).
"""

import numpy as np

from bayesgmm.em.families.family import family_by_code, of_equal_volume
from bayesgmm.em.families.proportional import proportional_matrices


def maximise_vee(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """VEE, [lambda_k C]: lambda_k = tr(W_k C^-1) / (D N_k), C proportional to sum_k W_k / lambda_k, solved."""
    return proportional_matrices(scatter, N, None if previous is None else previous[N.argmax()])


def maximise_evv(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """EVV, [lambda C_k]: C_k = W_k / |W_k|^(1/D), lambda = sum_k |W_k|^(1/D) / sum_k N_k."""
    with np.errstate(all="ignore"):
        sign, log_det = np.linalg.slogdet(scatter)
        sizes = np.where(sign > 0, np.exp(log_det / scatter.shape[-1]), 0.0)
    return of_equal_volume(scatter, sizes, N)


VEE = family_by_code("VEE", maximise_vee)
EVV = family_by_code("EVV", maximise_evv)
