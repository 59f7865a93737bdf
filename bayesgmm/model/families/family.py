"""What a parametrisation is: the PyTensor half of a covariance family, as a value.

May import NumPy, PyTensor and the priors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pytensor.tensor.variable import TensorVariable


def one_copy(D: int) -> int:
    """Say that the free variables are a function of the covariances."""
    return 1


@dataclass(frozen=True, slots=True)
class Parametrisation:
    """Free variables of a covariance family, with their prior, and the way to the precision Cholesky factors.

    Attributes
    ----------
    name : str
        The name of the family in `bayesgmm.em.families`.
    precision_cholesky : callable (prior, K, D[, centre]) -> (K, D, D) tensor
        Creates the family's random variables in the model on the context stack and returns the upper triangular U_k,
        Sigma_k^-1 = U_k U_k^T. `prior` is resolved.
    start : callable (prior, covariances (K, D, D)[, centre]) -> dict
        Values of those random variables, constrained, at given covariances of the family.
    centre : callable (covariances (K, D, D)) -> array, or None
        Where orientations are free: the rotations (K or 1, D, D) of given covariances, for the middle of the chart. The
        two callables above take them as their last argument, and without it the identity. The prior does not know
        the centre: it only says which point of the unconstrained space is which covariance.
    copies : callable (D) -> int
        How many points of the free variables give the same covariances, almost everywhere. A sampler that stays with
        one of them sees 1 / copies of the prior's mass; the evidence has all.
    starts_many : bool
        Whether `start` takes covariances (..., K, D, D) of many mixtures at once, if no scale is random.
    """

    name: str
    precision_cholesky: Callable[..., TensorVariable]
    start: Callable[..., dict[str, np.ndarray]]
    centre: Callable[[np.ndarray], np.ndarray] | None = None
    copies: Callable[[int], int] = one_copy
    starts_many: bool = True
