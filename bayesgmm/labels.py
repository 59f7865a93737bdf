"""Label switching: one permutation per draw, with a measure of how identifiable the labels are.

May import NumPy, SciPy and the modules below it only.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesgmm.parameters import MixtureParameters

CHUNK = 65_536


class Alignment(NamedTuple):
    """How draws were relabelled.

    Attributes
    ----------
    permutation : (..., K) int
        Component of the draw that takes label k.
    cost : (...) float64
        Sum over k of the Bhattacharyya distance between reference component k and the component that takes its label.
    margin : (..., K) float64
        How much the cost rises when label k must go to another component; near zero, label k is a matter of chance.
        Infinite for K = 1.
    """

    permutation: np.ndarray
    cost: np.ndarray
    margin: np.ndarray


def align(draws: MixtureParameters, reference: MixtureParameters) -> Alignment:
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
    """
    flat = draws.flat()
    S, K = flat.weights.shape
    costs = np.concatenate(
        [bhattacharyya(reference, flat[start : start + CHUNK // K**2 + 1]) for start in range(0, S, CHUNK // K**2 + 1)]
    )
    permutation = np.empty((S, K), dtype=np.int64)
    cost, margin = np.empty(S), np.full((S, K), np.inf)
    for s, matrix in enumerate(costs):
        permutation[s] = linear_sum_assignment(matrix)[1]
        cost[s] = matrix[np.arange(K), permutation[s]].sum()
        for k in range(K if K > 1 else 0):
            barred = matrix.copy()
            # finite, so that the assignment stays feasible, and larger than any other sum
            barred[k, permutation[s, k]] = 2 * matrix.sum() + 1
            margin[s, k] = barred[linear_sum_assignment(barred)].sum() - cost[s]
    shape = draws.batch_shape
    return Alignment(permutation.reshape(*shape, K), cost.reshape(shape), margin.reshape(*shape, K))


def bhattacharyya(reference: MixtureParameters, draws: MixtureParameters) -> np.ndarray:
    """Distances (S, K, K): reference component k (rows) to component j (columns) of each of S draws."""
    middle = 0.5 * (reference.covariances[None, :, None] + draws.covariances[:, None, :])
    difference = reference.means[None, :, None] - draws.means[:, None, :]
    log_det = np.linalg.slogdet(middle)[1]
    solved = np.linalg.solve(middle, difference[..., None])[..., 0]
    log_det_pair = -(reference.log_det_precision_cholesky[None, :, None] + draws.log_det_precision_cholesky[:, None, :])
    return 0.125 * (difference * solved).sum(axis=-1) + 0.5 * (log_det - log_det_pair)
