"""One mixture in place of many draws: of their mean parameters, or of all of their components.

May import NumPy, the noise and the parameters only.
"""

from dataclasses import replace

import numpy as np

from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters


def mean_mixture(draws: MixtureParameters) -> MixtureParameters:
    """Mean over draws of weights, means, covariances and the share of noise: one mixture, where labels agree.

    Parameters
    ----------
    draws : MixtureParameters
        Batch shape (S,).
    """
    mean = MixtureParameters.from_covariances(
        draws.weights.mean(axis=0), draws.means.mean(axis=0), draws.covariances.mean(axis=0)
    )
    noise = draws.noise
    return mean if noise is None else replace(mean, noise=Noise(noise.weight.mean(axis=0), noise.background))


def predictive_mixture(draws: MixtureParameters) -> MixtureParameters:
    """Mixture of the S K components of all draws, each draw counting alike: the distribution of a new row.

    Parameters
    ----------
    draws : MixtureParameters
        Batch shape (S,), K components.

    Returns
    -------
    MixtureParameters
        One mixture of S K components, and the mean share of noise.
    """
    S, K, D = draws.means.shape
    weights, noise = draws.weights, None
    if draws.noise is not None:
        noise = Noise(draws.noise.weight.mean(axis=0), draws.noise.background)
        # all of it noise: then any weights do
        rest = np.where(noise.weight < 1, (1 - draws.noise.weight) / np.maximum(1 - noise.weight, 1e-300), 1.0)
        weights = weights * rest[:, None]
    return MixtureParameters(
        weights.reshape(S * K) / S,
        draws.means.reshape(S * K, D),
        draws.covariances.reshape(S * K, D, D),
        draws.precision_cholesky.reshape(S * K, D, D),
        noise,
    )
