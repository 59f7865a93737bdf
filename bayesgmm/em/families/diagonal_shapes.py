"""Uncorrelated features with volume or shape in common: EEI, VEI, EVI (Celeux & Govaert 1995, section 3.2).

Sigma_k = lambda_k B_k, B_k diagonal with det B_k = 1. `scatter` is the diagonals of C_k throughout, (K, D).
"""

import numpy as np

from bayesgmm.em.families.family import diagonal_matrices, family_by_code, of_equal_volume
from bayesgmm.em.families.proportional import proportional_variances


def maximise_eei(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """EEI, [lambda B]: Sigma = diag(sum_k C_k) / sum_k N_k."""
    return diagonal_matrices(np.repeat(scatter.sum(axis=0, keepdims=True) / N.sum(), len(N), axis=0))


def maximise_vei(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """VEI, [lambda_k B]: lambda_k = tr(C_k B^-1) / (D N_k), B proportional to diag(sum_k C_k / lambda_k), solved."""
    start = None if previous is None else np.diagonal(previous[N.argmax()])
    return diagonal_matrices(proportional_variances(scatter, N, start))


def maximise_evi(scatter: np.ndarray, N: np.ndarray, previous: np.ndarray | None = None) -> np.ndarray:
    """EVI, [lambda B_k]: B_k = diag(C_k) / |diag(C_k)|^(1/D), lambda = sum_k |diag(C_k)|^(1/D) / sum_k N_k."""
    with np.errstate(all="ignore"):
        sizes = np.exp(np.log(scatter).mean(axis=1))
    return diagonal_matrices(of_equal_volume(scatter, sizes, N))


EEI = family_by_code("EEI", maximise_eei)
VEI = family_by_code("VEI", maximise_vei)
EVI = family_by_code("EVI", maximise_evi)
