"""Uncorrelated features with the volume or the shape in common: VEI, EVI."""

from functools import partial

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates.volume_shape import shapes, start_shapes, start_volumes, volume_roots
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import Decomposed


def precision_cholesky(prior: Decomposed, K: int, D: int, *, own_volume: bool, own_shape: bool) -> TensorVariable:
    """Draw diagonal U_k with 1 / (sqrt(lambda_k) exp(l_kj)) there, (K, D, D)."""
    root = volume_roots(prior, K, own_volume)
    inverse_sd = pt.exp(-shapes(prior, K, D, own_shape)) / root[:, None]
    return pt.ones((K, 1, 1)) * inverse_sd[:, :, None] * np.eye(D)


def start(prior: Decomposed, covariances: np.ndarray, *, own_volume: bool, own_shape: bool) -> dict[str, np.ndarray]:
    """Values of the free variables at diagonal covariances (..., K, D, D)."""
    variances = np.diagonal(covariances, axis1=-2, axis2=-1)
    return start_volumes(covariances, own_volume) | start_shapes(prior, variances, own_shape)


def _family(code: str, *, own_volume: bool, own_shape: bool) -> Parametrisation:
    return Parametrisation(
        code,
        partial(precision_cholesky, own_volume=own_volume, own_shape=own_shape),
        partial(start, own_volume=own_volume, own_shape=own_shape),
    )


VEI = _family("VEI", own_volume=True, own_shape=False)
EVI = _family("EVI", own_volume=False, own_shape=True)
