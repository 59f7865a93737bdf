"""What a covariance family is: a value with its M-step, its count of parameters and its shape for scikit-learn.

May import NumPy only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class CovarianceFamily:
    """The NumPy half of a family: how covariances follow from scatter matrices.

    Attributes
    ----------
    name : str
        The name in ``covariance_type``.
    code : str
        mclust's code: volume, shape, orientation; Equal, Variable or Identity.
    maximise : callable (scatter, N) -> covariances
        The M-step: argmax over the family of -1/2 sum_k (N_k log det Sigma_k + tr Sigma_k^-1 C_k). `scatter` is
        (K, D, D), or (K, D) when `diagonal`; `N` is (K,); the result is (K, D, D).
    n_covariance_parameters : callable (K, D) -> int
        Free numbers in the covariances.
    pack : callable (..., K, D, D) -> array
        The attribute ``covariances_`` in scikit-learn's shape for this family; it also packs precisions.
    unpack : callable (array, K, D) -> (K, D, D)
        The inverse of `pack`.
    diagonal : bool
        Whether every covariance is diagonal, so that products of different features are never needed.
    per_column : bool
        Whether the family is equivariant under a scale for each column; otherwise under one common scale only.
    """

    name: str
    code: str
    maximise: Callable[[np.ndarray, np.ndarray], np.ndarray]
    n_covariance_parameters: Callable[[int, int], int]
    pack: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray, int, int], np.ndarray]
    diagonal: bool
    per_column: bool

    def n_parameters(self, K: int, D: int) -> int:
        """Free numbers in the whole mixture: K - 1 weights, K D means, and the covariances."""
        return K - 1 + K * D + self.n_covariance_parameters(K, D)

    def floor_variances(self, variances: np.ndarray) -> np.ndarray:
        """Column variances (D,) to take the floor from: one common value where columns share a scale."""
        return variances if self.per_column else np.full_like(variances, variances.mean())


def diagonal_matrices(variances: np.ndarray) -> np.ndarray:
    """Diagonal matrices (..., D, D) of variances (..., D)."""
    return variances[..., None] * np.eye(variances.shape[-1])
