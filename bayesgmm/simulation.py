"""Draw rows from a Gaussian mixture.

May import NumPy only.
"""

import numpy as np

from bayesgmm.parameters import MixtureParameters


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
    """
    labels = rng.choice(parameters.n_components, size=n_rows, p=parameters.weights)
    standard = rng.standard_normal((n_rows, parameters.n_features))
    factors = np.linalg.cholesky(parameters.covariances)
    X = np.empty_like(standard)
    for k, factor in enumerate(factors):
        chosen = labels == k
        X[chosen] = standard[chosen] @ factor.T + parameters.means[k]
    return X, labels
