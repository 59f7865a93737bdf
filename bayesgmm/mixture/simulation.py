"""Draw rows from a Gaussian mixture.

May import NumPy and the modules below it only.
"""

import numpy as np

from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters


def draw_rows(rng: np.random.Generator, parameters: MixtureParameters, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Independent rows of one mixture, and the components they come from.

    Parameters
    ----------
    rng : numpy.random.Generator
    parameters : MixtureParameters
        One mixture.
    n_rows : int

    Returns
    -------
    X : (n_rows, D) float64, in the units of the parameters
    labels : (n_rows,) int
        -1 for rows from the background.
    """
    labels = rng.choice(parameters.n_components, size=n_rows, p=parameters.weights)
    noise = parameters.noise
    if noise is not None:
        labels[rng.random(n_rows) < noise.weight] = NOISE_LABEL
    standard = rng.standard_normal((n_rows, parameters.n_features))
    factors = np.linalg.cholesky(parameters.covariances)
    X = np.empty_like(standard)
    for k, factor in enumerate(factors):
        chosen = labels == k
        X[chosen] = standard[chosen] @ factor.T + parameters.means[k]
    if noise is not None:
        in_noise = labels == NOISE_LABEL
        X[in_noise] = noise.background.draw(int(in_noise.sum()), rng)
    return X, labels
