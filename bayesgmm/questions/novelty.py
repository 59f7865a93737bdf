"""Is a row like the data at all: how rarely the mixture itself makes a row of less density."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import predictive_rows, singular_root
from bayesgmm.questions.summaries import summarise_memberships

MOST_KINDS = 64
"""Kinds of incomplete rows that are simulated, each by itself; where there are more, none is."""

FEWEST_SIMULATED = 500
"""Rows simulated for each kind at least, or all that are asked for."""


def tail_probabilities(
    observations: Observations,
    parameters: MixtureParameters,
    log_density: np.ndarray,
    n_simulated: int,
    rng: np.random.Generator,
    *,
    compiled: bool,
) -> tuple[np.ndarray, int]:
    """Estimate P(p(x~) <= p(x_n)) for x~ from the mixture, seen as row n is: small for a row unlike any it makes.

    p is the mean density over the S mixtures. Estimated by M rows simulated from it as (1 + m_n) / (M + 1), m_n of them
    having no more density than row n (Davison & Hinkley 1997, section 4.2): never zero, with a standard error of
    sqrt(P (1 - P) / M). One minus it is the probability content of the smallest highest-density region that holds the
    row; with one component it is the upper tail of chi-square with D degrees of freedom at the squared Mahalanobis
    distance.

    Parameters
    ----------
    observations : Observations
        Rows that miss the same values, and have the same errors, are of one kind: compared among themselves alone.
    parameters : MixtureParameters
        Batch shape (S,).
    log_density : (N,) float64
        log p(x_n), in the units of the data.
    n_simulated : int
        In all; where rows are of several kinds each has its share of them.
    compiled : bool
        Whether `log_density` came from the compiled sweep: what is compared comes the same way.

    Returns
    -------
    tail : (N,) float64
        NaN for the incomplete rows where these are of more than `MOST_KINDS` kinds.
    n_each : int
        M.
    """
    kinds = kinds_of_rows(observations)
    if len(kinds) > MOST_KINDS:
        kinds = [kind for kind in kinds if kind.missing is None and kind.error is None]
    n_each = max(n_simulated // max(len(kinds), 1), min(FEWEST_SIMULATED, n_simulated))
    names = tuple(f"x{j}" for j in range(parameters.n_features))
    tail = np.full(observations.n_rows, np.nan)
    for kind in kinds:
        simulated = as_new_observations(predictive_rows(rng, parameters, n_each), parameters, names)
        alike = summarise_memberships(seen_like(simulated, kind, rng), parameters, None, compiled=compiled)
        no_denser = np.searchsorted(np.sort(alike.log_density), log_density[kind.rows], side="right")
        tail[kind.rows] = (1 + no_denser) / (n_each + 1)
    return tail, n_each


class Kind(NamedTuple):
    """Rows (positions) whose same values are missing, (D,) bool, and whose errors are the same, (D,) or (D, D)."""

    rows: np.ndarray
    missing: np.ndarray | None
    error: np.ndarray | None


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
        root = singular_root(np.diag(kind.error) if kind.error.ndim == 1 else kind.error)
        values = values + rng.standard_normal((N, D)) @ root.T
        errors = np.repeat(kind.error[None], N, axis=0)
    if kind.missing is not None:
        values = np.where(kind.missing, np.nan, values)
        missing = np.repeat(kind.missing[None], N, axis=0)
    return replace(simulated, values=values, missing=missing, errors=errors)
