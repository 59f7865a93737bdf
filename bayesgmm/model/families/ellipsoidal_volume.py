"""Ellipsoids with all but the volume, or only the volume, in common: VEE, EVV.

On the Cholesky factor, where no axes need a name: R = W^T W the correlations, W upper triangular, and S = diag(exp l)
the shape of the features, |S| = 1. (W S)^T (W S) has the determinant prod_j W_jj^2, so that

    Sigma_k = lambda_k V_k^T V_k,   V_k = W S / (prod_j W_jj)^(1/D),   U_k = V_k^-1 / sqrt(lambda_k).

Scaling a feature shifts l and the volume, and nothing else: the families and their default priors follow it.
"""

from functools import partial

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates import lkj
from bayesgmm.model.coordinates.matrices import read_upper_triangle, upper_inverse
from bayesgmm.model.coordinates.volume_shape import shapes, start_shapes, start_volumes, volume_roots
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import Decomposed


def precision_cholesky(prior: Decomposed, K: int, D: int, *, own_volume: bool, own_shape: bool) -> TensorVariable:
    """Draw U_k, (K, D, D); shape and correlations are common or own together."""
    log_root = pt.log(volume_roots(prior, K, own_volume))
    log_shape = shapes(prior, K, D, own_shape)
    if D == 1:
        return pt.ones((K, 1, 1)) * pt.exp(-log_root)[:, None, None]
    W = lkj.correlation_roots(prior.eta, D, (K,) if own_shape else (), ("component",) if own_shape else ())
    log_size = pt.log(read_upper_triangle(W)[0]).mean(axis=-1)
    V = W * pt.exp(log_shape - log_size[:, None])[:, None, :]
    return pt.exp(-log_root)[:, None, None] * upper_inverse(V) * pt.ones((K, 1, 1))


def start(prior: Decomposed, covariances: np.ndarray, *, own_volume: bool, own_shape: bool) -> dict[str, np.ndarray]:
    """Values of the free variables at covariances (..., K, D, D) of the family."""
    variances = np.diagonal(covariances, axis1=-2, axis2=-1)
    values = start_volumes(covariances, own_volume) | start_shapes(prior, variances, own_shape)
    if covariances.shape[-1] == 1:
        return values
    return values | lkj.start_correlations(covariances if own_shape else covariances[..., 0, :, :])


def _family(code: str, *, own_volume: bool, own_shape: bool) -> Parametrisation:
    return Parametrisation(
        code,
        partial(precision_cholesky, own_volume=own_volume, own_shape=own_shape),
        partial(start, own_volume=own_volume, own_shape=own_shape),
    )


VEE = _family("VEE", own_volume=True, own_shape=False)
EVV = _family("EVV", own_volume=False, own_shape=True)
