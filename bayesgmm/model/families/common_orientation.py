"""One orientation, each component its own shape: EVE, VVE.

Components may differ in which of the common axes is the longest, so that no order of the axes suits all of them: the D!
orders of the columns of D, with the shapes in the same order, are the same covariances. The chart is centred on one
order; the others lie at its edges, a right angle away.
"""

from functools import partial
from math import factorial

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable
from scipy.optimize import linear_sum_assignment

from bayesgmm.model.coordinates.orientation import (
    orientations,
    precision_factors,
    principal_axes,
    start_orientations,
)
from bayesgmm.model.coordinates.volume_shape import shapes, start_shapes, start_volumes, volume_roots
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import Decomposed


def precision_cholesky(
    prior: Decomposed, K: int, D: int, centre: TensorVariable | np.ndarray | None = None, *, own_volume: bool
) -> TensorVariable:
    """Draw U_k of lambda_k D A_k D^T, (K, D, D)."""
    log_sd = pt.log(volume_roots(prior, K, own_volume))[:, None] + shapes(prior, K, D, own=True)
    if D == 1:
        return pt.ones((K, 1, 1)) * pt.exp(-log_sd)[:, :, None]
    return precision_factors(orientations(K, D, False, centre), log_sd, K)


def start(
    prior: Decomposed, covariances: np.ndarray, centre: np.ndarray | None = None, *, own_volume: bool
) -> dict[str, np.ndarray]:
    """Values of the free variables at covariances (K, D, D) of the family; axes in the order nearest the centre."""
    axes = common_axes(covariances)
    nearness = np.abs(axes if centre is None else centre[0].T @ axes)
    axes = axes[:, linear_sum_assignment(nearness, maximize=True)[1]]
    variances = np.einsum("ij,kil,lj->kj", axes, covariances, axes)
    values = start_volumes(covariances, own_volume) | start_shapes(prior, variances, own=True)
    return values | start_orientations(axes, None if centre is None else centre[0])


def common_axes(covariances: np.ndarray) -> np.ndarray:
    """Rotation (D, D) that makes all covariances (K, D, D) of the family diagonal.

    Uneven weights: a sum of covariances with a common orientation hides it only where its eigenvalues tie.
    """
    weights = (0.5 + (0.618 * np.arange(len(covariances))) % 1.0) / np.trace(covariances, axis1=1, axis2=2)
    return principal_axes(np.tensordot(weights, covariances, 1))[0]


def centre(covariances: np.ndarray) -> np.ndarray:
    """Give the common axes, (1, D, D)."""
    return common_axes(covariances)[None]


def _family(code: str, own_volume: bool) -> Parametrisation:
    return Parametrisation(
        code,
        partial(precision_cholesky, own_volume=own_volume),
        partial(start, own_volume=own_volume),
        centre,
        copies=factorial,
        starts_many=False,
    )


EVE = _family("EVE", own_volume=False)
VVE = _family("VVE", own_volume=True)
