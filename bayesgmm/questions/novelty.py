"""Is a row like the data at all: how rarely the mixture itself makes a row of less density.

May import NumPy and the modules below it only.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import predictive_rows

MOST_KINDS = 64
"""Kinds of incomplete rows that are simulated, each by itself; where there are more, none is."""

FEWEST_SIMULATED = 500
"""Rows simulated for each kind at least, or all that are asked for."""


class Kind(NamedTuple):
    """Rows (positions) whose same values are missing, (D,) bool, and whose errors are the same, (D,) or (D, D)."""

    rows: np.ndarray
    missing: np.ndarray | None
    error: np.ndarray | None


def mean_log_density(log_density: np.ndarray) -> np.ndarray:
    """Log of the mean density over the first axis, without leaving the logarithmic scale."""
    largest = np.maximum(log_density.max(axis=0), np.finfo(np.float64).min)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(log_density - largest).mean(axis=0))


def simulated_observations(parameters: MixtureParameters, n_rows: int, rng: np.random.Generator) -> Observations:
    """Rows of `predictive_rows`, as observations."""
    names = tuple(f"x{j}" for j in range(parameters.n_features))
    return as_new_observations(predictive_rows(rng, parameters, n_rows), parameters, names)


def kinds_of_rows(observations: Observations) -> list[Kind]:
    """Rows of each kind; their densities can be compared among themselves, not with those of other kinds."""
    N, D = observations.values.shape
    missing, errors = observations.missing, observations.errors
    if missing is None and errors is None:
        return [Kind(np.arange(N), None, None)]
    marks = np.zeros((N, D)) if missing is None else missing.astype(np.float64)
    if errors is not None:
        marks = np.concatenate([marks, errors.reshape(N, -1)], axis=1)
    _, first, which = np.unique(marks, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1])
    return [
        Kind(
            rows,
            missing[n] if missing is not None and missing[n].any() else None,
            errors[n] if errors is not None and errors[n].any() else None,
        )
        for rows, n in zip(groups, first, strict=True)
    ]


def seen_like(simulated: Observations, kind: Kind, rng: np.random.Generator) -> Observations:
    """See simulated rows as those of a kind are seen: with their errors, and without the values that they miss."""
    N, D = simulated.values.shape
    values, missing, errors = simulated.values, None, None
    if kind.error is not None:
        matrix = np.diag(kind.error) if kind.error.ndim == 1 else kind.error
        eigenvalues, vectors = np.linalg.eigh(matrix)
        root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
        values = values + rng.standard_normal((N, D)) @ root.T
        errors = np.repeat(kind.error[None], N, axis=0)
    if kind.missing is not None:
        values = np.where(kind.missing, np.nan, values)
        missing = np.repeat(kind.missing[None], N, axis=0)
    return replace(simulated, values=values, missing=missing, errors=errors)


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
