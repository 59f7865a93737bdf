"""Draws of values that are missing or blurred by errors, from their conditional posterior predictive distribution.

With what is seen of a row y, its features o, and T_k = Sigma_k,oo + E, one draw of the parameters gives

    P(k | y) proportional to weights_k N(y | mu_k,o, T_k),
    x | y, k ~ Normal(mu_k + A_k (y - mu_k,o), Sigma_k - A_k Sigma_k,o.),   A_k = Sigma_k,.o T_k^-1

(Little & Rubin 2019, section 11.2; Bovy, Hogg & Roweis 2011, equations 10 to 14). A component is drawn, then x: so each
draw is a table filled in jointly, relations between its cells included, and over draws the parameters vary too. Where
the component drawn is noise, missing values are uniform over the box, and measured ones are what was measured.
"""

from typing import NamedTuple

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.kernel.groups import Group, groups
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import singular_root


def hidden_cells(observations: Observations) -> np.ndarray:
    """Mask (N, D) of the values that are missing, or were measured with an error."""
    hidden = np.zeros(observations.values.shape, dtype=bool)
    if observations.missing is not None:
        hidden |= observations.missing
    if (errors := observations.errors) is not None:
        hidden |= (np.diagonal(errors, axis1=1, axis2=2) if errors.ndim == 3 else errors) > 0
    return hidden


class DrawnValues(NamedTuple):
    """Expectation and standard deviation of each cell, (M,), and draws of it, (n, M); in the units of the data."""

    mean: np.ndarray
    sd: np.ndarray
    values: np.ndarray


def draw_hidden(
    observations: Observations, hidden: np.ndarray, parameters: MixtureParameters, seed: int
) -> DrawnValues:
    """Draw the hidden cells once under each mixture of the batch (n,)."""
    some = np.flatnonzero(hidden.any(axis=1))
    rows, hidden = observations.take(some), hidden[some]
    n, M = len(parameters.weights), int(hidden.sum())
    cell = np.full(hidden.shape, -1)
    cell[hidden] = np.arange(M)
    mean, square, values = np.empty(M), np.empty(M), np.empty((n, M))
    seen_alike = groups(rows)
    whose, place = np.empty(len(some), dtype=int), np.empty(len(some), dtype=int)
    for g, group in enumerate(seen_alike):
        whose[group.rows], place[group.rows] = g, np.arange(len(group.rows))
    standard = rows.to_standard(parameters)
    edges = None
    if (noise := parameters.noise) is not None:
        edges = (np.array([noise.background.lower, noise.background.upper]) - rows.shift) / rows.scale

    def one_block(index: slice | np.ndarray, log_joint: np.ndarray) -> None:
        index = np.arange(len(some))[index]
        group = seen_alike[whose[index[0]]]
        # seeded by where the block begins: threads come to it in any order
        rng = np.random.default_rng([seed, int(index[0])])
        features = np.flatnonzero(hidden[index].any(axis=0))
        normalise(log_joint)
        first, second, drawn = _draw_block(group, place[index], features, standard, edges, log_joint, rng)
        mask = hidden[np.ix_(index, features)]
        chosen = cell[np.ix_(index, features)][mask]
        mean[chosen], square[chosen] = first[mask], second[mask]
        values[:, chosen] = drawn[:, mask]

    for_each_block(one_block, rows, parameters)
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    feature = np.nonzero(hidden)[1]
    scale, shift = rows.scale, rows.shift[feature]
    return DrawnValues(scale * mean + shift, scale * sd, scale * values + shift)


def _draw_block(
    group: Group,
    place: np.ndarray,
    features: np.ndarray,
    standard: MixtureParameters,
    edges: np.ndarray | None,
    responsibilities: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw some features of rows of one group: first and second moments (B, h), and draws (n, B, h).

    `edges` (2, D) are those of the box that noise is in, where there is noise; all in standard coordinates.
    """
    n, K, B = len(standard.weights), standard.n_components, responsibilities.shape[-1]
    h = len(features)
    y = group.observations.standard_block(slice(None), np.empty(group.observations.values.shape[::-1]))[:, place].T
    errors = None if group.errors is None else group.errors[place]
    first, second, drawn = np.zeros((B, h)), np.zeros((B, h)), np.empty((n, B, h))
    rows = np.arange(B)
    box = None if edges is None else _in_noise(group, y, edges, features)
    for s in range(n):
        r, in_noise = responsibilities[s, :K], responsibilities[s, K:]
        mean, covariance = _conditional(group, standard[s], y, errors, features)
        spread = np.diagonal(covariance, axis1=-2, axis2=-1)
        first += np.einsum("kb,kbi->bi", r, mean)
        second += np.einsum("kb,kbi->bi", r, mean**2 + spread)
        component = (np.cumsum(responsibilities[s], axis=0) < rng.random(B)).sum(axis=0)
        # all may round to less than the number drawn
        component = component.clip(max=len(responsibilities[s]) - 1)
        of_noise, component = component == K, component.clip(max=K - 1)
        # one covariance for each row, or for all of them
        root = singular_root(covariance)[component, rows if covariance.shape[1] > 1 else 0]
        drawn[s] = mean[component, rows] + np.einsum("bij,bj->bi", root, rng.standard_normal((B, h)))
        if box is not None:
            lower, width = box
            first += in_noise.T * (lower + width / 2)
            second += in_noise.T * (lower**2 + lower * width + width**2 / 3)
            drawn[s] = np.where(of_noise[:, None], lower + width * rng.random((B, h)), drawn[s])
    return first / n, second / n, drawn


def _in_noise(group: Group, y: np.ndarray, edges: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower end and width of what noise says of some features of rows y (B, P), (B, h) each.

    The box where a value is missing; nothing but the value, a width of zero, where it was measured.
    """
    seen = {feature: place for place, feature in enumerate(group.seen)}
    lower, width = np.empty((len(y), len(features))), np.zeros((len(y), len(features)))
    for j, feature in enumerate(features.tolist()):
        if feature in seen:
            lower[:, j] = y[:, seen[feature]]
        else:
            lower[:, j], width[:, j] = edges[0, feature], edges[1, feature] - edges[0, feature]
    return lower, width


def _conditional(
    group: Group, p: MixtureParameters, y: np.ndarray, errors: np.ndarray | None, features: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Moments of some features given y (B, P): means (K, B, h), covariances (K, B, h, h), or (K, 1, h, h) for all rows.

    Standard coordinates; of one mixture.
    """
    o = np.asarray(group.seen)
    T = p.covariances[:, None, o[:, None], o]
    if errors is not None:
        T = T + (errors if errors.ndim == 3 else errors[:, :, None] * np.eye(len(o)))
    elif group.error is not None:
        T = T + group.error
    cross = p.covariances[:, None, features[:, None], o]
    A = np.swapaxes(
        np.linalg.solve(T, np.swapaxes(np.broadcast_to(cross, (*T.shape[:2], *cross.shape[2:])), 2, 3)), 2, 3
    )
    residual = y - p.means[:, None, o]
    mean = p.means[:, None, features] + (A @ residual[..., None])[..., 0]
    covariance = p.covariances[:, None, features[:, None], features] - A @ np.swapaxes(cross, 2, 3)
    return mean, 0.5 * (covariance + np.swapaxes(covariance, 2, 3))
