"""One covariance for all components: EEE, "tied"."""

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates import bartlett, lkj
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import LKJ, InverseWishart


def precision_cholesky(prior: InverseWishart | LKJ, K: int, D: int) -> TensorVariable:
    """Draw one U and repeat it, (K, D, D); free variables have no component dimension."""
    U = lkj.matrix_factors(prior, D, (), ()) if isinstance(prior, LKJ) else bartlett.matrix_factors(prior, D, (), ())
    return U * pt.ones((K, 1, 1))


def start(prior: InverseWishart | LKJ, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables at covariances (..., K, D, D), all alike."""
    if isinstance(prior, LKJ):
        return lkj.start_matrices(prior, covariances[..., 0, :, :])
    return bartlett.start_matrices(prior, covariances[..., 0, :, :])


TIED = Parametrisation("tied", precision_cholesky, start)
