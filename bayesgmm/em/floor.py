"""The variance floor: covariances are kept at or above it, in the sense of positive definite matrices."""

import numpy as np

from bayesgmm.em.families import CovarianceFamily
from bayesgmm.mixture.parameters import ParameterError, inverse_cholesky


def factors_above_floor(covariances: np.ndarray, floor: np.ndarray, family: CovarianceFamily) -> np.ndarray | None:
    """Factors U_k of the precisions where all covariances are seen at once to be above the floor, None where not."""
    if not floor.any():
        return None
    if family.diagonal:
        K, D = covariances.shape[:2]
        variances = covariances.reshape(K, D * D)[:, :: D + 1]
        if not (variances > 0).all():
            return None
        factors = np.zeros((K, D, D))
        factors.reshape(K, D * D)[:, :: D + 1] = 1.0 / np.sqrt(variances)
    else:
        try:
            # one factor serves a covariance that all components share
            factors = inverse_cholesky(covariances[:1] if family.common else covariances)
        except ParameterError:
            return None
        if family.common:
            factors = np.repeat(factors, len(covariances), axis=0)
    return factors if far_above_floor(factors, floor) else None


def far_above_floor(factors: np.ndarray, floor: np.ndarray) -> bool:
    """Whether sum_k tr(Sigma_k^-1) times the largest floor is below one: no eigenvalue of Sigma_k is then below it."""
    return bool(np.vdot(factors, factors) * floor.max() < 1.0)


def above_floor(covariances: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Raise eigenvalues of diag(floor)^-1/2 Sigma diag(floor)^-1/2 to one; which components needed it.

    Clipping leaves covariances above the floor untouched, so the optimum is the exact maximum of the likelihood;
    adding a constant, the usual remedy, would move every fit.
    """
    if not floor.any():
        return covariances, ()
    root = np.sqrt(floor)
    if covariances.shape[-1] == 1:
        low = covariances[:, 0, 0] < floor[0]
        return np.maximum(covariances, floor), tuple(int(k) for k in np.flatnonzero(low))
    relative = covariances / (root[:, None] * root[None, :])
    if positive_definite(relative - np.eye(len(root))):
        return covariances, ()
    low = [k for k, matrix in enumerate(relative) if not positive_definite(matrix - np.eye(len(root)))]
    covariances = covariances.copy()
    for k in low:
        values, vectors = np.linalg.eigh(relative[k])
        clipped = (vectors * np.maximum(values, 1.0)) @ vectors.T
        covariances[k] = 0.5 * (clipped + clipped.T) * (root[:, None] * root[None, :])
    return covariances, tuple(low)


def scatter_above_floor(scatter: np.ndarray, N: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Raise each component's own scatter, (K, D, D) or its diagonals (K, D), to N_k floor; which needed it."""
    if scatter.ndim == 2:
        least = N[:, None] * floor
        low = (scatter < least).any(axis=1)
        return np.maximum(scatter, least), tuple(int(k) for k in np.flatnonzero(low))
    raised, low_components = above_floor(scatter / N[:, None, None], floor)
    return (scatter if not low_components else raised * N[:, None, None]), low_components


def positive_definite(matrix: np.ndarray) -> bool:
    """Whether a matrix, or every one of a stack, is positive definite."""
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    # of NaN it makes NaN without a word
    return bool(np.isfinite(factor).all())
