"""What a reader can follow from draw to draw: numbers of each component, and numbers that need no labels.

May import NumPy and the modules below it only.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from hashlib import blake2b
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bayesgmm.data.checks import row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters

MOST_CORRELATIONS = 500
EVERY = "every component"

MOST_NUMBERS = 2**23
"""Responsibilities held at once (64 MB)."""


class LabelFree(NamedTuple):
    """Numbers of each draw that no relabelling changes, and the rows that each component holds.

    Attributes
    ----------
    log_likelihood : (S,) float64
        Sum over rows of log p(x_n); natural logarithm.
    entropy : (S,) float64
        Mean over rows of -sum_k r_nk log r_nk, in nats; 0 when every row is certain, log K when none is. Noise counts
        as a component.
    rows : (S, K) float64
        N_k = sum_n r_nk, without noise; this one follows the labels.
    """

    log_likelihood: np.ndarray
    entropy: np.ndarray
    rows: np.ndarray


def label_free(observations: Observations, draws: MixtureParameters) -> LabelFree:
    """One pass over the rows, with every draw; memory does not grow with the number of rows.

    Parameters
    ----------
    draws : MixtureParameters
        Batch shape (S,), in the units of the data.
    """
    S, K = draws.weights.shape
    log_likelihood, entropy, rows = np.zeros(S), np.zeros(S), np.zeros((S, K))
    for r, log_density, row_weights in memberships(observations, draws):
        log_likelihood += log_density @ row_weights
        rows += r[:, :K] @ row_weights
        entropy -= (plogp(r) @ row_weights).sum(axis=1)
    return LabelFree(log_likelihood, entropy / observations.total_weight, rows)


def memberships(
    observations: Observations, draws: MixtureParameters
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Responsibilities (S, K, B), log densities (S, B) and weights (B,) of some rows after others.

    With noise the responsibilities are (S, K + 1, B), noise last.
    """
    S, K = draws.weights.shape
    K += draws.noise is not None
    for rows in row_slices(observations.n_rows, max(1, MOST_NUMBERS // (S * K))):
        block = observations.take(np.arange(rows.start, rows.stop))
        r, log_density = np.empty((S, K, block.n_rows)), np.empty((S, block.n_rows))
        for_each_block(partial(_look, r, log_density), block, draws)
        yield r, log_density, block.counts


def _look(r: np.ndarray, log_density: np.ndarray, rows: slice, log_joint: np.ndarray) -> None:
    log_density[:, rows] = normalise(log_joint)
    r[:, :, rows] = log_joint


def plogp(probability: np.ndarray) -> np.ndarray:
    """Multiply each probability by its logarithm: 0 log 0 is 0."""
    product = np.maximum(probability, np.finfo(np.float64).tiny)
    np.log(product, out=product)
    product *= probability
    return product


def readable_parameters(
    parameters: MixtureParameters, feature_names: Sequence[str], units: Sequence[str]
) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Numbers a reader knows: weights, means, standard deviations and correlations.

    Correlations are left out where there are more than 500 of them.

    Returns
    -------
    names : list of P (component, parameter)
    values : (..., P) float64
        In the units of the data, component by component.
    """
    K, D = parameters.n_components, parameters.n_features
    titled = [f"{name} [{unit}]" if unit else name for name, unit in zip(feature_names, units, strict=True)]
    pairs = list(combinations(range(D), 2))
    pairs = pairs if K * len(pairs) <= MOST_CORRELATIONS else []
    sd = np.sqrt(np.diagonal(parameters.covariances, axis1=-2, axis2=-1))
    names: list[tuple[str, str]] = []
    values: list[np.ndarray] = []
    for k in range(K):
        kinds = ["weight", *(f"mean {t}" for t in titled), *(f"sd {t}" for t in titled)]
        kinds += [f"corr {feature_names[i]}, {feature_names[j]}" for i, j in pairs]
        names += [(f"component {k}", kind) for kind in kinds]
        values += [parameters.weights[..., k]]
        values += [part[..., k, j] for part in (parameters.means, sd) for j in range(D)]
        values += [parameters.covariances[..., k, i, j] / (sd[..., k, i] * sd[..., k, j]) for i, j in pairs]
    return names, np.stack(values, axis=-1)


def without_repetition(names: Sequence[tuple[str, str]], flat: np.ndarray) -> tuple[list[tuple[str, str]], list[int]]:
    """Drop what does not vary (the weight of K = 1, correlations held at zero); say once what a family shares.

    Looking at the draws rather than at the name of the family serves families that do not exist yet.
    """
    same: dict[bytes, list[int]] = {}
    for j, draws in enumerate(flat.T):
        if draws.min() < draws.max():
            same.setdefault(blake2b(np.ascontiguousarray(draws)).digest(), []).append(j)
    said = []
    for group in same.values():
        components, kinds = ({names[j][side]: None for j in group} for side in (0, 1))
        component = next(iter(components)) if len(components) == 1 else EVERY
        kind = next(iter(kinds)) if len(kinds) == 1 else f"{next(iter(kinds)).partition(' ')[0]} of every feature"
        said.append(((component, kind), group[0]))
    said.sort(key=lambda entry: entry[0][0] == EVERY)
    return [name for name, _ in said], [j for _, j in said]
