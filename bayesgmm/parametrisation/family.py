"""What a parametrisation is: the PyTensor half of a covariance family, as a value.

May import NumPy, PyTensor and the priors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pytensor.tensor.variable import TensorVariable

from bayesgmm.priors import LKJ, InverseWishart


@dataclass(frozen=True, slots=True)
class Parametrisation:
    """Free variables of a covariance family, with their prior, and the way to the precision Cholesky factors.

    Attributes
    ----------
    name : str
        The name of the family in `bayesgmm.covariance`.
    precision_cholesky : callable (prior, K, D) -> (K, D, D) tensor
        Creates the family's random variables in the model on the context stack and returns the upper triangular U_k,
        Sigma_k^-1 = U_k U_k^T. `prior` is resolved.
    start : callable (prior, covariances (K, D, D)) -> dict
        Values of those random variables, constrained, at given covariances of the family.
    """

    name: str
    precision_cholesky: Callable[[InverseWishart | LKJ, int, int], TensorVariable]
    start: Callable[[InverseWishart | LKJ, np.ndarray], dict[str, np.ndarray]]
