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
    maximise : callable (scatter, N, previous) -> covariances
        The M-step: argmax over the family of -1/2 sum_k (N_k log det Sigma_k + tr Sigma_k^-1 C_k). `scatter` is
        (K, D, D), or (K, D) when `diagonal`; `N` is (K,), positive; the result is (K, D, D). `previous` are covariances
        (K, D, D) from which an iterative M-step may begin, or None: EVE and VVE, whose maxima can be several, climb to
        one from `previous`, and without it take the best covariances with the axes of the pooled scatter.
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
    own_shape : bool
        Whether the M-step divides by the determinant of each component's own scatter, which must not be singular.
    spherical : bool
        Whether each covariance is a number times the identity: the M-step needs the sum of the diagonal only.
    common : bool
        Whether components share one covariance: the M-step needs the sum over components only.
    clips_exactly : bool
        Whether raising each covariance to a floor is the M-step under that floor. Where components share volume, shape
        or orientation it is not, and a fit that meets the floor ends there.
    """

    name: str
    code: str
    maximise: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]
    n_covariance_parameters: Callable[[int, int], int]
    pack: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray, int, int], np.ndarray]
    diagonal: bool
    per_column: bool
    own_shape: bool = False
    clips_exactly: bool = False
    spherical: bool = False
    common: bool = False

    def n_parameters(self, K: int, D: int) -> int:
        """Free numbers in the whole mixture: K - 1 weights, K D means, and the covariances."""
        return K - 1 + K * D + self.n_covariance_parameters(K, D)

    def floor_variances(self, variances: np.ndarray) -> np.ndarray:
        """Column variances (D,) to take the floor from: one common value where columns share a scale."""
        return variances if self.per_column else np.full_like(variances, variances.mean())


def diagonal_matrices(variances: np.ndarray) -> np.ndarray:
    """Diagonal matrices (..., D, D) of variances (..., D)."""
    return variances[..., None] * np.eye(variances.shape[-1])


def of_equal_volume(scatter: np.ndarray, sizes: np.ndarray, N: np.ndarray) -> np.ndarray:
    """Own shapes, lambda C_k / |C_k|^(1/D) with lambda = sum_k |C_k|^(1/D) / sum_k N_k, given |C_k|^(1/D) as `sizes`.

    A component of determinant zero becomes zero: singular, for a floor or an error to meet.
    """
    factors = np.divide(sizes.sum() / N.sum(), sizes, out=np.zeros(len(N)), where=sizes > 0)
    return scatter * factors.reshape(-1, *[1] * (scatter.ndim - 1))


def family_by_code(
    code: str,
    maximise: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray],
    n_covariance_parameters: Callable[[int, int], int],
    *,
    diagonal: bool = False,
    per_column: bool = False,
    own_shape: bool = False,
    clips_exactly: bool = False,
    spherical: bool = False,
    common: bool = False,
) -> CovarianceFamily:
    """Make a family that scikit-learn has no name for: mclust's code is its name, and (K, D, D) its packed shape."""
    return CovarianceFamily(
        name=code,
        code=code,
        maximise=maximise,
        n_covariance_parameters=n_covariance_parameters,
        pack=lambda covariances: covariances,
        unpack=lambda packed, K, D: packed,
        diagonal=diagonal,
        per_column=per_column,
        own_shape=own_shape,
        clips_exactly=clips_exactly,
        spherical=spherical,
        common=common,
    )
