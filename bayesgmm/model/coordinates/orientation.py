"""Uniform orientations about a centre, and the factor of a covariance given by its axes.

Sigma = lambda D A D^T with D = C Q(t), C the centre of the chart (`bayesgmm.model.coordinates.rotations`), and
Sigma^-1 = F F^T with F = D A^(-1/2) / sqrt(lambda), made triangular.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates.matrices import product, upper_factor
from bayesgmm.model.coordinates.rotations import planes, rotation, rotation_angles

ROTATIONS = "rotations_unit"
EDGE = 2.0**-53


def orientations(K: int, D: int, own: bool, centre: TensorVariable | np.ndarray | None) -> TensorVariable:
    """Draw D_k uniform over rotations, (K, D, D), or (1, D, D) when it is common; D > 1.

    Free variable: ``rotations_unit``, the (1 + sin t_ij) / 2, (K, D(D-1)/2) or (D(D-1)/2,).
    """
    i, j = planes(D)
    half = 0.5 * (j - i)
    shape, dims = ((K, len(i)), ("component", "feature_pair")) if own else ((len(i),), ("feature_pair",))
    unit = pm.Beta(ROTATIONS, half, half, shape=shape, dims=dims)
    unit = unit if own else unit[None]
    Q = rotation(pt.arctan((unit - 0.5) / pt.sqrt(unit * (1.0 - unit))))
    return Q if centre is None else product(centre, Q)


def precision_factors(axes: TensorVariable, log_sd: TensorVariable, K: int) -> TensorVariable:
    """U_k (K, D, D) from axes (K or 1, D, D), in columns, and log standard deviations along them (K or 1, D)."""
    return upper_factor(axes * pt.exp(-log_sd)[:, None, :] * pt.ones((K, 1, 1)))


def start_orientations(axes: np.ndarray, centre: np.ndarray | None) -> dict[str, np.ndarray]:
    """Value of ``rotations_unit`` at axes (K, D, D), or (D, D) when they are common, whatever the signs of columns."""
    if axes.shape[-1] == 1:
        return {}
    if centre is not None:
        axes = np.swapaxes(centre, -1, -2) @ axes
    sine = np.sin(rotation_angles(axes))
    return {ROTATIONS: np.clip(0.5 * (1.0 + sine), EDGE, 1.0 - EDGE)}


def principal_axes(covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (..., D, D), the longest axis in the first column, and variances (..., D) along them."""
    values, vectors = np.linalg.eigh(covariances)
    axes = np.ascontiguousarray(vectors[..., ::-1])
    axes[..., -1] *= np.linalg.det(axes)[..., None]
    return axes, values[..., ::-1]
