"""One variance for each component: VII, "spherical"."""

import numpy as np
from pytensor.tensor.variable import TensorVariable

from bayesgmm.parametrisation import bartlett, lkj
from bayesgmm.parametrisation.family import Parametrisation
from bayesgmm.priors import LKJ, InverseWishart


def precision_cholesky(prior: InverseWishart | LKJ, K: int, D: int) -> TensorVariable:
    """Draw U_k = I / sd_k, (K, D, D); the free variable is (component,)."""
    if isinstance(prior, LKJ):
        inverse_sd = 1.0 / lkj.standard_deviations(prior, (K,), ("component",))
    else:
        inverse_sd = bartlett.variance_factors(prior, (K,), ("component",))
    return inverse_sd[:, None, None] * np.eye(D)


def start(prior: InverseWishart | LKJ, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variable at covariances (K, D, D) that are multiples of the identity."""
    variances = np.diagonal(covariances, axis1=-2, axis2=-1).mean(axis=-1)
    if isinstance(prior, LKJ):
        return {lkj.STANDARD_DEVIATIONS: np.sqrt(variances)}
    return bartlett.start_variances(prior, variances)


SPHERICAL = Parametrisation("spherical", precision_cholesky, start)
