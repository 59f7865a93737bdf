"""What one mixture says of each row: its component, memberships, the chance of noise, its density.

May import NumPy and the modules below it only. Parameters are those of one mixture, in the units of the data.
"""

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters


def most_probable(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """Most probable component of each row, (N,); -1 where noise is."""
    labels = map_rows(lambda log_joint: log_joint.argmax(axis=0), observations, parameters, dtype=np.intp)
    labels[labels == parameters.n_components] = NOISE_LABEL
    return labels


def memberships(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """r_nk = P(z_n = k | x_n), (N, K); with noise each row sums to one less what noise takes."""
    K = parameters.n_components

    def responsibilities(log_joint: np.ndarray) -> np.ndarray:
        normalise(log_joint)
        return log_joint[:K].T

    return map_rows(responsibilities, observations, parameters, trailing=(K,))


def noise_probability(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """Probability of each row to be noise, (N,); zero for a mixture without."""
    K = parameters.n_components
    if parameters.noise is None:
        return np.zeros(observations.n_rows)

    def of_noise(log_joint: np.ndarray) -> np.ndarray:
        normalise(log_joint)
        return log_joint[K]

    return map_rows(of_noise, observations, parameters)


def log_density(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """Log p(x_n), natural logarithm, (N,)."""
    return map_rows(normalise, observations, parameters)
