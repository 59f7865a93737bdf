"""Spheres: a variance for each component, VII ("spherical"), or one for all, EII."""

from functools import partial

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates import bartlett, lkj
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import LKJ, InverseWishart


def precision_cholesky(prior: InverseWishart | LKJ, K: int, D: int, *, own: bool = True) -> TensorVariable:
    """Draw U_k = I / sd_k, (K, D, D); the free variable is (component,), or () when it is common."""
    batch, dims = ((K,), ("component",)) if own else ((), ())
    if isinstance(prior, LKJ):
        inverse_sd = 1.0 / lkj.standard_deviations(prior, batch, dims)
    else:
        inverse_sd = bartlett.variance_factors(prior, batch, dims)
    return inverse_sd * pt.ones((K, 1, 1)) * np.eye(D) if not own else inverse_sd[:, None, None] * np.eye(D)


def start(prior: InverseWishart | LKJ, covariances: np.ndarray, *, own: bool = True) -> dict[str, np.ndarray]:
    """Values of the free variables at covariances (..., K, D, D) that are multiples of the identity."""
    variances = np.diagonal(covariances, axis1=-2, axis2=-1).mean(axis=-1)
    variances = variances if own else np.asarray(variances.mean(axis=-1))
    if isinstance(prior, LKJ):
        return {lkj.STANDARD_DEVIATIONS: np.sqrt(variances)}
    return bartlett.start_variances(prior, variances)


SPHERICAL = Parametrisation("spherical", precision_cholesky, start)
EII = Parametrisation("EII", partial(precision_cholesky, own=False), partial(start, own=False))
