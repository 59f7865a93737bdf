"""Features independent within a component: a variance each, VVI ("diag"), or those of all components alike, EEI."""

from functools import partial

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates import bartlett, lkj
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import LKJ, InverseWishart


def precision_cholesky(prior: InverseWishart | LKJ, K: int, D: int, *, own: bool = True) -> TensorVariable:
    """Draw diagonal U_k, (K, D, D); free variables are (component, feature), or (feature,) when they are common."""
    batch, dims = ((K, D), ("component", "feature")) if own else ((D,), ("feature",))
    if isinstance(prior, LKJ):
        inverse_sd = 1.0 / lkj.standard_deviations(prior, batch, dims)
    else:
        inverse_sd = bartlett.variance_factors(prior, batch, dims)
    return inverse_sd[:, :, None] * np.eye(D) if own else pt.ones((K, 1, 1)) * inverse_sd[None, :, None] * np.eye(D)


def start(prior: InverseWishart | LKJ, covariances: np.ndarray, *, own: bool = True) -> dict[str, np.ndarray]:
    """Values of the free variables at diagonal covariances (..., K, D, D)."""
    variances = np.diagonal(covariances, axis1=-2, axis2=-1)
    variances = variances if own else variances.mean(axis=-2)
    if isinstance(prior, LKJ):
        return {lkj.STANDARD_DEVIATIONS: np.sqrt(variances)}
    return bartlett.start_variances(prior, variances)


DIAG = Parametrisation("diag", precision_cholesky, start)
EEI = Parametrisation("EEI", partial(precision_cholesky, own=False), partial(start, own=False))
