"""Is a row like the data at all: how rarely the mixture itself makes a row of less density.

May import NumPy and the modules below it only.
"""

import numpy as np

from bayesgmm.observations import Observations, as_new_observations
from bayesgmm.parameters import MixtureParameters


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
    return parameters.means[s, k] + np.einsum("nij,nj->ni", factors, rng.standard_normal((n_rows, D)))


def mean_log_density(log_density: np.ndarray) -> np.ndarray:
    """Log of the mean density over the first axis, without leaving the logarithmic scale."""
    largest = np.maximum(log_density.max(axis=0), np.finfo(np.float64).min)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(log_density - largest).mean(axis=0))


def simulated_observations(parameters: MixtureParameters, n_rows: int, rng: np.random.Generator) -> Observations:
    """Rows of `predictive_rows`, as observations."""
    names = tuple(f"x{j}" for j in range(parameters.n_features))
    return as_new_observations(predictive_rows(rng, parameters, n_rows), parameters, names)


def tail_probability(log_density: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """P(p(x~) <= p(x_n)) for x~ from the mixture: small for a row unlike any that the mixture makes.

    p is the mean density over the S mixtures. Estimated by M rows simulated from it as (1 + m_n) / (M + 1), m_n of them
    having no more density than row n (Davison & Hinkley 1997, section 4.2): never zero, with a standard error of
    sqrt(P (1 - P) / M). One minus it is the probability content of the smallest highest-density region that holds the
    row; with one component it is the upper tail of chi-square with D degrees of freedom at the squared Mahalanobis
    distance.

    Parameters
    ----------
    log_density : (N,) float64
        log p(x_n), in the units of the data.
    simulated : (M,) float64
        log p of rows simulated from the mixture.
    """
    return (1 + np.searchsorted(np.sort(simulated), log_density, side="right")) / (len(simulated) + 1)
