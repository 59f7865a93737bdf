"""Label switching: one permutation per draw, with a measure of how identifiable the labels are.

May import NumPy, SciPy and the modules below it only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesgmm.mixture.parameters import MixtureParameters

CHUNK = 65_536

GRID = np.linspace(0.0, 0.995, 200)
"""Centres of the margin tried, as fractions of its root mean square: 0.995 is ten standard deviations from zero."""


class Alignment(NamedTuple):
    """How draws were relabelled.

    Attributes
    ----------
    permutation : (..., K) int
        Component of the draw that takes label k.
    cost : (...) float64
        Sum over k of the cost of giving label k to the component that takes it.
    margin : (..., K) float64
        How much the cost rises when label k must go to another component; near zero, label k is a matter of chance.
        Infinite where there is no other: for K = 1, and for labels that keep their component.
    """

    permutation: np.ndarray
    cost: np.ndarray
    margin: np.ndarray


def align(draws: MixtureParameters, reference: MixtureParameters, *, fixed: Sequence[int] = ()) -> Alignment:
    """Permutation of each draw that brings its components nearest to those of one reference mixture.

    The cost of giving label k to component j is the Bhattacharyya distance of the two normal distributions,
    1/8 d^T M^-1 d + 1/2 log(det M / sqrt(det Sigma_j det Sigma_k)), M = (Sigma_j + Sigma_k) / 2, d the difference of
    means (Bhattacharyya 1943). It does not depend on units. Weights need not enter: any cost that is a sum of a term
    in weights_j and a term in weights_k is the same for every permutation.

    Parameters
    ----------
    draws : MixtureParameters
        Leading batch dimensions.
    reference : MixtureParameters
        One mixture, for instance the EM fit.
    fixed : sequence of int
        Labels that keep the component they have, because the data names it (`known_components`).
    """
    flat = draws.flat()
    S, K = flat.weights.shape
    costs = np.concatenate(
        [bhattacharyya(reference, flat[start : start + CHUNK // K**2 + 1]) for start in range(0, S, CHUNK // K**2 + 1)]
    )
    permutation, cost, margin = assign(costs, fixed)
    shape = draws.batch_shape
    return Alignment(permutation.reshape(*shape, K), cost.reshape(shape), margin.reshape(*shape, K))


def assign(costs: np.ndarray, fixed: Sequence[int] = ()) -> Alignment:
    """Cheapest permutation of each draw, and how much dearer the next one is that moves a label.

    Parameters
    ----------
    costs : (S, K, K) float64
        Cost of giving label k (rows) to component j (columns).
    fixed : sequence of int
        Labels that keep their component.
    """
    S, K = costs.shape[:2]
    if len(fixed):
        free = np.setdiff1d(np.arange(K), fixed)
        permutation, cost = np.tile(np.arange(K), (S, 1)), np.zeros(S)
        margin = np.full((S, K), np.inf)
        if len(free):
            among = assign(costs[:, free[:, None], free])
            permutation[:, free], cost, margin[:, free] = free[among.permutation], among.cost, among.margin
        kept = np.asarray(fixed)
        return Alignment(permutation, cost + costs[:, kept, kept].sum(axis=1), margin)
    permutation = cheapest(costs)
    assigned = np.take_along_axis(costs, permutation[:, None, :], axis=2)
    kept = np.diagonal(assigned, axis1=1, axis2=2)
    if K == 1:
        return Alignment(permutation, kept.sum(axis=1), np.full((S, K), np.inf))
    # Label k takes the component of label j for `dearer[:, k, j]` more. Any other permutation is made of cycles of such
    # moves, none cheaper than nothing: the margin is the shortest cycle through k (Floyd 1962, with no way to stay).
    dearer = assigned - kept[:, :, None]
    dearer[:, np.arange(K), np.arange(K)] = np.inf
    for j in range(K):
        dearer = np.minimum(dearer, dearer[:, :, j, None] + dearer[:, j, None, :])
    return Alignment(permutation, kept.sum(axis=1), np.maximum(np.diagonal(dearer, axis1=1, axis2=2), 0.0))


def cheapest(costs: np.ndarray, fixed: Sequence[int] = ()) -> np.ndarray:
    """Cheapest permutation of each draw, (S, K), of costs (S, K, K); labels `fixed` keep their component."""
    if len(fixed):
        return assign(costs, fixed).permutation
    return np.array([linear_sum_assignment(matrix)[1] for matrix in costs], dtype=np.int64)


def identifiability(margin: np.ndarray) -> np.ndarray:
    """How far each label can be told from the others: 1 when it is certain, 0 when it is a coin toss.

    A posterior of a mixture has a copy for each permutation of the labels, and the alignment keeps to one copy. Labels
    mean something where the copies are apart. The margin m of an aligned draw is how far it lies from the place where
    another permutation would be as good, and the copy beyond sees the same draw at -m. With a margin that is
    Normal(tau, s^2) in its own copy, the aligned draws show the folded normal |m|, a draw belongs to its copy with
    probability 1 / (1 + exp(-2 tau m / s^2)), and the measure is that probability less that of the contrary, averaged
    over draws: mean tanh(tau m / s^2), at the maximum-likelihood tau and s of the folded normal, for which
    tau^2 + s^2 = mean m^2.

    It does not depend on units, on the number of rows or on the scale of the margin: it compares the distance between
    the copies with their width. Copies whose centres are d standard deviations from the boundary give about 0.4 at
    d = 0.7, 0.84 at 1.4, 0.995 at 2.8. A margin with a long upper tail, as that of a component with few rows, reads
    lower than it should: the measure errs on the side of caution.

    Parameters
    ----------
    margin : (..., K) float64, non-negative
        As in `Alignment`, over all draws.

    Returns
    -------
    (K,) float64, in [0, 1]
        1 for K = 1. 0 where the margin is zero in every draw.

    References
    ----------
    Leone, Nelson & Nottingham (1961), Technometrics 3, 543-550 (the folded normal). Sperrin, Jaki & Wit (2010),
    Statistics and Computing 20, 357-366 (labels as unknowns with probabilities).
    """
    columns = np.asarray(margin, dtype=np.float64).reshape(-1, margin.shape[-1]).T
    return np.array([_fold(column) for column in columns])


def _fold(margin: np.ndarray) -> float:
    if not np.isfinite(margin).all():
        return 1.0
    root = np.sqrt((margin**2).mean())
    if not root > 0:
        return 0.0
    m, variance = margin / root, 1.0 - GRID[:, None] ** 2
    tau = GRID[:, None]
    log_density = -0.5 * (m - tau) ** 2 / variance - 0.5 * np.log(variance) + np.log1p(np.exp(-2 * tau * m / variance))
    best = int(log_density.sum(axis=1).argmax())
    return float(np.tanh(GRID[best] * m / variance[best]).mean())


def bhattacharyya(reference: MixtureParameters, draws: MixtureParameters) -> np.ndarray:
    """Distances (S, K, K): component k of the reference (rows) to component j (columns) of each of S draws.

    The reference is one mixture, or one for each draw.
    """
    reference = reference.flat()
    middle = 0.5 * (reference.covariances[:, :, None] + draws.covariances[:, None, :])
    difference = reference.means[:, :, None] - draws.means[:, None, :]
    log_det = np.linalg.slogdet(middle)[1]
    solved = np.linalg.solve(middle, difference[..., None])[..., 0]
    log_det_pair = -(reference.log_det_precision_cholesky[:, :, None] + draws.log_det_precision_cholesky[:, None, :])
    return 0.125 * (difference * solved).sum(axis=-1) + 0.5 * (log_det - log_det_pair)


def separations(draws: MixtureParameters) -> np.ndarray:
    """Bhattacharyya distances (S, K, K) between the components of each draw, of batch shape (S,)."""
    S, K = draws.weights.shape
    step = CHUNK // K**2 + 1
    return np.concatenate([bhattacharyya(draws[a : a + step], draws[a : a + step]) for a in range(0, S, step)])
