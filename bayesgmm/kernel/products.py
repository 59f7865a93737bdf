"""The two matrix products of a pass, cut into parts that BLAS multiplies without copying them first.

A general product packs its arguments into buffers of its own before it multiplies. Where one argument has as few rows
as a mixture has components, the packing takes a good part of the time, and OpenBLAS leaves it out of products of no
more than `SMALL_PRODUCT` multiplications (its small matrix kernels, for processors with AVX-512 or SVE; elsewhere the
cut costs little). Sizes alone decide where to cut, so the numbers are the same on every run. May import NumPy only.
"""

import numpy as np

SMALL_PRODUCT = 10**6
"""Most multiplications of a product that OpenBLAS takes to be small."""

LEAST_COLUMNS, LEAST_ROWS = 32, 8
"""Narrower parts lose more than they gain: columns of a part of the first product, rows of one of the second."""


def times_features(coefficients: np.ndarray, features: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write coefficients (M, F) @ features (F, B) into `out` (M, B), cut along B; return `out`."""
    (M, F), B = coefficients.shape, features.shape[1]
    most = SMALL_PRODUCT // (M * F)
    if B <= most or most < LEAST_COLUMNS:
        return np.dot(coefficients, features, out=out)
    parts = -(-B // most)
    width = B // parts
    whole = parts * width
    np.matmul(
        coefficients,
        features[:, :whole].reshape(F, parts, width).swapaxes(0, 1),
        out=out[:, :whole].reshape(M, parts, width).swapaxes(0, 1),
    )
    if whole < B:
        out[:, whole:] = coefficients @ features[:, whole:]
    return out


def sums_of_features(responsibilities: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return sum_n r_nk T(y_n), responsibilities (K, B) @ features (F, B)^T, (K, F), cut along F."""
    (K, B), F = responsibilities.shape, features.shape[0]
    most = SMALL_PRODUCT // (K * B)
    if F <= most or most < LEAST_ROWS:
        return responsibilities @ features.T
    parts = -(-F // most)
    height = F // parts
    whole = parts * height
    memberships = np.ascontiguousarray(responsibilities.T)
    sums = np.empty((F, K))
    np.matmul(features[:whole].reshape(parts, height, B), memberships, out=sums[:whole].reshape(parts, height, K))
    if whole < F:
        np.dot(features[whole:], memberships, out=sums[whole:])
    return sums.T
