"""Draw rows from a Gaussian mixture, and errors from covariances that may be singular.

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


def predictive_rows(rng: np.random.Generator, parameters: MixtureParameters, n_rows: int) -> np.ndarray:
    """Rows (n_rows, D) of the average of S mixtures: each from one of them, taken in turn.

    Parameters
    ----------
    parameters : MixtureParameters
        Batch shape (S,).
    """
    S, K, D = parameters.means.shape
    # evenly spread, so that rows represent every chain alike
    s = np.floor(np.arange(n_rows) * (S / n_rows) if n_rows < S else np.arange(n_rows) % S).astype(np.int64)
    edges = np.cumsum(parameters.weights, axis=1)[s]
    k = np.minimum((rng.random(n_rows)[:, None] > edges).sum(axis=1), K - 1)
    factors = np.linalg.cholesky(parameters.covariances[s, k])
    rows = parameters.means[s, k] + np.einsum("nij,nj->ni", factors, rng.standard_normal((n_rows, D)))
    if parameters.noise is not None:
        in_noise = rng.random(n_rows) < parameters.noise.weight[s]
        rows[in_noise] = parameters.noise.background.draw(int(in_noise.sum()), rng)
    return rows


def singular_root(covariances: np.ndarray) -> np.ndarray:
    """Square roots R (..., D, D), R R' = Sigma, of covariances that may be singular: what is exact has no spread."""
    values, vectors = np.linalg.eigh(covariances)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
