"""One shape, each component its own orientation: EEV, VEV."""

from functools import partial

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates.orientation import (
    orientations,
    precision_factors,
    principal_axes,
    start_orientations,
)
from bayesgmm.model.coordinates.volume_shape import (
    sorted_shape,
    start_sorted_shape,
    start_volumes,
    volume_roots,
)
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import Decomposed


def precision_cholesky(
    prior: Decomposed, K: int, D: int, centre: TensorVariable | np.ndarray | None = None, *, own_volume: bool
) -> TensorVariable:
    """Draw U_k of lambda_k D_k A D_k^T, A decreasing, (K, D, D)."""
    log_sd = pt.log(volume_roots(prior, K, own_volume))[:, None] + sorted_shape(prior, D)
    if D == 1:
        return pt.ones((K, 1, 1)) * pt.exp(-log_sd)[:, :, None]
    return precision_factors(orientations(K, D, True, centre), log_sd, K)


def start(
    prior: Decomposed, covariances: np.ndarray, centre: np.ndarray | None = None, *, own_volume: bool
) -> dict[str, np.ndarray]:
    """Values of the free variables at covariances (K, D, D) of the family."""
    axes, variances = principal_axes(covariances)
    return (
        start_volumes(covariances, own_volume) | start_sorted_shape(prior, variances) | start_orientations(axes, centre)
    )


def centre(covariances: np.ndarray) -> np.ndarray:
    """Give the principal axes of each component, (K, D, D)."""
    return principal_axes(covariances)[0]


def _family(code: str, own_volume: bool) -> Parametrisation:
    return Parametrisation(
        code,
        partial(precision_cholesky, own_volume=own_volume),
        partial(start, own_volume=own_volume),
        centre,
        starts_many=False,
    )


EEV = _family("EEV", own_volume=False)
VEV = _family("VEV", own_volume=True)
