"""The mixture of a covariance family that is nearest to a given mixture.

May import NumPy and the modules below it only.
"""

import numpy as np

from bayesgmm.em.families import CovarianceFamily
from bayesgmm.mixture.parameters import MixtureParameters, inverse_cholesky


def within_family(
    mixture: MixtureParameters, family: CovarianceFamily, previous: np.ndarray | None = None
) -> MixtureParameters:
    """Return the mixture of the family nearest to another: the M-step of as many rows as the weights say.

    With scatter C_k = pi_k Sigma_k the M-step minimises sum_k pi_k KL(N(0, Sigma_k) || N(0, Sigma'_k)) over the family;
    `previous` are covariances (K, D, D) near the answer, from which an iterative M-step may begin; without them it
    begins at the mixture's own.

    Raises
    ------
    ParameterError
        When a covariance that comes out is not positive definite.
    """
    weights = np.maximum(mixture.weights, np.finfo(np.float64).eps)
    scatter = weights[:, None, None] * mixture.covariances
    if family.diagonal:
        scatter = np.diagonal(scatter, axis1=-2, axis2=-1)
    covariances = family.maximise(scatter, weights, mixture.covariances if previous is None else previous)
    return MixtureParameters(mixture.weights, mixture.means, covariances, inverse_cholesky(covariances), mixture.noise)
