"""Rows like those that were observed: simulated from a mixture, or the same rows with other weights.

May import NumPy and the modules below it only.
"""

from dataclasses import replace

import numpy as np

from bayesgmm.data.checks import UNKNOWN
from bayesgmm.data.observations import Observations, as_observations, known_components
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows, singular_root


def simulated_like(rng: np.random.Generator, parameters: MixtureParameters, observations: Observations) -> Observations:
    """Rows of a mixture, which hide what the observations hide.

    A row of weight w stands for w rows. Values are missing where they were, and errors of measurement are added (none
    to rows of the background, which is one of what is observed). Rows whose component is known have a known one again,
    drawn anew among the components that are known of some rows, by their weights.

    Parameters
    ----------
    rng : numpy.random.Generator
    parameters : MixtureParameters
        One mixture, in the units of the data.
    observations : Observations
        Weights that are not whole numbers are the probabilities to be stood for.
    """
    n_rows = max(2, round(observations.total_weight))
    if not observations.incomplete:
        return as_observations(draw_rows(rng, parameters, n_rows)[0])
    counts = observations.counts
    if observations.has_whole_weights:
        like = np.repeat(np.arange(observations.n_rows), counts.astype(np.int64))
    else:
        like = rng.choice(observations.n_rows, size=n_rows, p=counts / counts.sum())
    some = observations.take(like)
    labels = np.full(len(like), UNKNOWN) if some.known_labels is None else some.known_labels
    known = labels != UNKNOWN
    X = np.empty((len(like), observations.n_features))
    components = np.empty(len(like), dtype=np.int64)
    X[~known], components[~known] = draw_rows(rng, parameters, int((~known).sum()))
    if known.any():
        among = known_components(observations)
        X[known], components[known] = draw_rows(rng, _restricted(parameters, among), int(known.sum()))
    if some.errors is not None:
        X += _errors(rng, some.errors) * (components != NOISE_LABEL)[:, None]
    if some.missing is not None:
        X[some.missing] = np.nan
    return as_observations(
        X, errors=some.errors, known_labels=np.where(known, components, UNKNOWN) if known.any() else None
    )


def resampled(rng: np.random.Generator, observations: Observations, kind: str) -> Observations:
    """Return the same rows with other weights, and with their errors and known components.

    Parameters
    ----------
    rng : numpy.random.Generator
    observations : Observations
    kind : {"nonparametric", "weighted"}
        Counts of drawing with replacement; or independent exponential weights, times those the rows have.
    """
    weights, N = observations.weights, observations.n_rows
    if kind == "nonparametric":
        share = np.full(N, 1 / N) if weights is None else weights / observations.total_weight
        counts_anew = rng.multinomial(round(observations.total_weight), share).astype(np.float64)
    else:
        counts_anew = rng.exponential(size=N) * (1.0 if weights is None else weights)
    return as_observations(
        observations.values, weights=counts_anew, errors=observations.errors, known_labels=observations.known_labels
    )


def _restricted(parameters: MixtureParameters, among: tuple[int, ...]) -> MixtureParameters:
    """Return the mixture of some of the components, which keep their places; without noise."""
    weights = np.zeros_like(parameters.weights)
    weights[list(among)] = parameters.weights[list(among)]
    return replace(parameters, weights=weights / weights.sum(), noise=None)


def _errors(rng: np.random.Generator, covariances: np.ndarray) -> np.ndarray:
    """Draw an error (N, D) for each row, of variances (N, D) or covariances (N, D, D)."""
    standard = rng.standard_normal(covariances.shape[:2])
    if covariances.ndim == 2:
        return np.sqrt(covariances) * standard
    return np.einsum("nij,nj->ni", singular_root(covariances), standard)
