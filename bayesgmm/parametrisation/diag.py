"""Features independent within a component: VVI, "diag"."""

import numpy as np
from pytensor.tensor.variable import TensorVariable

from bayesgmm.parametrisation import bartlett, lkj
from bayesgmm.parametrisation.family import Parametrisation
from bayesgmm.priors import LKJ, InverseWishart


def precision_cholesky(prior: InverseWishart | LKJ, K: int, D: int) -> TensorVariable:
    """Draw diagonal U_k, (K, D, D); free variables are (component, feature)."""
    dims = ("component", "feature")
    if isinstance(prior, LKJ):
        inverse_sd = 1.0 / lkj.standard_deviations(prior, (K, D), dims)
    else:
        inverse_sd = bartlett.variance_factors(prior, (K, D), dims)
    return inverse_sd[:, :, None] * np.eye(D)


def start(prior: InverseWishart | LKJ, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables at diagonal covariances (K, D, D)."""
    variances = np.diagonal(covariances, axis1=-2, axis2=-1)
    if isinstance(prior, LKJ):
        return {lkj.STANDARD_DEVIATIONS: np.sqrt(variances)}
    return bartlett.start_variances(prior, variances)


DIAG = Parametrisation("diag", precision_cholesky, start)
