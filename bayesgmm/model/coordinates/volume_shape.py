"""Volumes and shapes of a `Decomposed` prior, apart from each other and from orientations.

With s_j the standard deviations (of features or along axes), the volume root is sqrt(lambda) = (prod_j s_j)^(1/D), and
the log shape l_j = log s_j - log sqrt(lambda) sums to zero. If log s_j ~ Normal(mu_j, sigma), independent, then

    l = centred mu + sigma H x,   x ~ Normal(0, 1), independent, D - 1 of them,

with H (D, D-1) of orthonormal columns that sum to zero: no Jacobian, and order one whatever the units.
"""

from math import lgamma, log, pi
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.transforms import Transform
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates import lkj
from bayesgmm.model.coordinates.matrices import product
from bayesgmm.priors import Decomposed, LogNormal

VOLUME = "volume_root"
SHAPE = "shape_contrasts"
GAPS = "axis_gaps"
SMALLEST_GAP = 1e-9


class LogVector(Transform):
    """The logarithm of each element of a positive vector whose elements are not independent."""

    name = "log"
    ndim_supp = 1

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Take the logarithm."""
        return pt.log(value)

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Go back."""
        return pt.exp(value)

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Give the sum of the logarithms."""
        return value.sum(axis=-1)


def volume_roots(prior: Decomposed, K: int, own: bool) -> TensorVariable:
    """Draw sqrt(lambda_k), (K,), or (1,) when it is common.

    Free variable: ``volume_root``, in the units of the data.
    """
    assert prior.volume is not None
    root = lkj.positive(VOLUME, prior.volume, (K,) if own else (), ("component",) if own else ())
    return root if own else root[None]


def shapes(prior: Decomposed, K: int, D: int, own: bool) -> TensorVariable:
    """Draw log shapes (K, D), or (1, D) when it is common; zero for one feature.

    Free variable: ``shape_contrasts``, the x above, (K, D-1) or (D-1,).
    """
    if D == 1:
        return pt.zeros((1, 1))
    location, spread = _numbers(prior, D)
    x = pm.Normal(SHAPE, 0.0, 1.0, shape=(K, D - 1) if own else (D - 1,), dims=_dims(D, own))
    x = x if own else x[None]
    return location + product(x[:, None, :], np.ascontiguousarray(spread * contrasts(D).T)[None])[:, 0, :]


def sorted_shape(prior: Decomposed, D: int) -> TensorVariable:
    """Draw one log shape (1, D), decreasing: the log shape of `shapes`, sorted.

    Free variable: ``axis_gaps``, (l_j - l_(j+1)) / sigma, (D-1,), positive. As spacings of D independent standard
    normals in order, which are D! sqrt(1/D) times as dense as the contrasts are where they are in order.
    """
    if D == 1:
        return pt.zeros((1, 1))
    _, spread = _numbers(prior, D)
    basis = from_gaps(D)
    gaps = pm.CustomDist(
        GAPS,
        basis,
        dist=_draw_gaps,
        logp=_gaps_logp,
        support_point=_unit_gaps,
        signature="(d,c)->(c)",
        transform=LogVector(),
        dims=_dims(D, own=False),
        shape=(D - 1,),
    )
    return product(gaps[None, None, :], np.ascontiguousarray(spread * basis.T)[None])[:, 0, :]


def contrasts(D: int) -> np.ndarray:
    """H, (D, D-1): orthonormal columns that sum to zero (Helmert's)."""
    H = np.triu(np.ones((D, D - 1)))
    j = np.arange(1, D)
    H[j, j - 1] = -j
    return H / np.sqrt(j * (j + 1.0))


def from_gaps(D: int) -> np.ndarray:
    """Matrix (D, D-1) from the gaps between neighbours to the decreasing vector that sums to zero."""
    B = np.triu(np.ones((D, D - 1)))
    return B - B.mean(axis=0)


def start_volumes(covariances: np.ndarray, own: bool) -> dict[str, np.ndarray]:
    """Value of ``volume_root`` at covariances (..., K, D, D)."""
    log_root = 0.5 * np.linalg.slogdet(covariances)[1] / covariances.shape[-1]
    return {VOLUME: np.exp(log_root) if own else np.exp(log_root.mean(axis=-1))}


def start_shapes(prior: Decomposed, variances: np.ndarray, own: bool) -> dict[str, np.ndarray]:
    """Value of ``shape_contrasts`` at variances (..., K, D), up to a factor."""
    D = variances.shape[-1]
    if D == 1:
        return {}
    location, spread = _numbers(prior, D)
    x = (_log_shapes(variances) - location) @ contrasts(D) / spread
    return {SHAPE: x if own else x.mean(axis=-2)}


def start_sorted_shape(prior: Decomposed, variances: np.ndarray) -> dict[str, np.ndarray]:
    """Value of ``axis_gaps`` at decreasing variances (K, D), up to a factor; gaps of zero are raised to 1e-9."""
    D = variances.shape[-1]
    if D == 1:
        return {}
    _, spread = _numbers(prior, D)
    return {GAPS: np.maximum(-np.diff(_log_shapes(variances).mean(axis=0)) / spread, SMALLEST_GAP)}


def _log_shapes(variances: np.ndarray) -> np.ndarray:
    log_sd = 0.5 * np.log(variances)
    return log_sd - log_sd.mean(axis=-1, keepdims=True)


def _numbers(prior: Decomposed, D: int) -> tuple[np.ndarray, float]:
    """Centred mu (D,) and sigma."""
    assert isinstance(prior.shape, LogNormal)
    mu = np.broadcast_to(np.asarray(prior.shape.mu), (D,))
    return mu - mu.mean(), float(np.asarray(prior.shape.sigma))


def _dims(D: int, own: bool) -> tuple[str, ...]:
    model = pm.modelcontext(None)
    if "contrast" not in model.coords:
        model.add_coord("contrast", range(1, D))
    return ("component", "contrast") if own else ("contrast",)


def _draw_gaps(basis: TensorVariable, size: TensorVariable) -> TensorVariable:
    z = pt.sort(pm.Normal.dist(0.0, 1.0, shape=(basis.shape[0],)))
    return pt.diff(z)[::-1]


def _gaps_logp(value: TensorVariable, basis: TensorVariable) -> TensorVariable:
    D = basis.type.shape[0]
    constant = lgamma(D + 1.0) - 0.5 * log(D) - 0.5 * (D - 1) * log(2.0 * pi)
    ordered = product(value[None, None, :], basis.T[None])
    return pt.switch(pt.all(value > 0), constant - 0.5 * (ordered**2).sum(), -np.inf)


def _unit_gaps(rv: TensorVariable, size: TensorVariable, basis: TensorVariable) -> TensorVariable:
    return pt.ones(basis.shape[1])
