"""One free covariance for each component: VVV, "full"."""

import numpy as np
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.coordinates import bartlett, lkj
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.priors import LKJ, InverseWishart


def precision_cholesky(prior: InverseWishart | LKJ, K: int, D: int) -> TensorVariable:
    """Draw U_k, (K, D, D), independent over components; free variables have a component dimension."""
    if isinstance(prior, LKJ):
        return lkj.matrix_factors(prior, D, (K,), ("component",))
    return bartlett.matrix_factors(prior, D, (K,), ("component",))


def start(prior: InverseWishart | LKJ, covariances: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the free variables at covariances (..., K, D, D)."""
    if isinstance(prior, LKJ):
        return lkj.start_matrices(prior, covariances)
    return bartlett.start_matrices(prior, covariances)


FULL = Parametrisation("full", precision_cholesky, start)
