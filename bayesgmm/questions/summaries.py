"""One pass over rows and draws: what memberships and densities leave when the draws are summed up.

Each is written twice: in NumPy, and as a call of a compiled sweep where the numbers are so many that compiling it pays.
"""

import threading
from typing import NamedTuple

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.kernel.over_draws import sweep_blocks
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.intervals import COMPILED_FROM, equal_tailed, interval
from bayesgmm.tools.progress import progress


class Memberships(NamedTuple):
    """Memberships r_nk of N rows over S draws; with noise K is one more, the noise last.

    Attributes
    ----------
    mean : (N, K) float64
    lower, upper : (N, K) float64, or None
        Ends of the interval over draws, where one is asked for.
    agreement : (N,) float64
        Share of the draws in which the most probable component is that of the mean.
    log_density : (N,) float64
        Log of the mean density over draws, per unit of volume of the data.
    switched : (S,) float64
        Rows whose most probable component in the draw is another than that of the mean.
    """

    mean: np.ndarray
    lower: np.ndarray | None
    upper: np.ndarray | None
    agreement: np.ndarray
    log_density: np.ndarray
    switched: np.ndarray


def compiling_pays(observations: Observations, parameters: MixtureParameters) -> bool:
    """Whether a compiled sweep saves more time than its compilation takes."""
    many = float(observations.n_rows) * parameters.weights.size >= COMPILED_FROM
    return many and parameters.batch_shape[0] > 1


def summarise_memberships(
    observations: Observations,
    parameters: MixtureParameters,
    prob: float | None,
    *,
    compiled: bool,
    progressbar: bool = False,
) -> Memberships:
    """Sum r_nk of every row up over S draws; with intervals of probability `prob`, or without any."""
    N, (S, K) = observations.n_rows, parameters.weights.shape
    K += parameters.noise is not None
    mean, agreement, log_density = np.empty((N, K)), np.empty(N), np.empty(N)
    ends = np.empty((2, N if prob is not None else 0, K))
    switched, lock = np.zeros(S), threading.Lock()

    def count(elsewhere: np.ndarray) -> None:
        with lock:
            # whole numbers: the order of addition does not matter
            np.add(switched, elsewhere, out=switched)

    with progress("memberships of rows", N, show=progressbar) as advance:

        def plain(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
            block_mean, best, log_density[rows] = sweep(log_joint)
            elsewhere = best != block_mean.argmax(axis=0)
            mean[rows] = block_mean.T
            agreement[rows] = 1 - elsewhere.mean(axis=0)
            if prob is not None:
                ends[:, rows] = np.swapaxes(interval(log_joint, prob), 1, 2)
            count(elsewhere.sum(axis=1))
            advance(len(best[0]))

        def fast(rows: slice | np.ndarray, eta: np.ndarray, features: np.ndarray, log_joint: np.ndarray) -> None:
            from bayesgmm.kernel.compiled import over_draws

            B = features.shape[1] or log_joint.shape[2]
            tail = 0.0 if prob is None else (1 - prob) / 2
            block_mean, block_ends = np.empty((K, B)), np.empty((2, K, B if prob is not None else 0))
            block_agreement, block_density = np.empty(B), np.empty(B)
            elsewhere = np.zeros(S, dtype=np.int64)
            over_draws.memberships(
                eta, features, log_joint, tail, 1 - tail,
                block_mean, block_ends[0], block_ends[1], block_agreement, block_density, elsewhere,
            )  # fmt: skip
            mean[rows], agreement[rows], log_density[rows] = block_mean.T, block_agreement, block_density
            if prob is not None:
                ends[:, rows] = np.swapaxes(block_ends, 1, 2)
            count(elsewhere)
            advance(B)

        if compiled and (prob is None or equal_tailed()):
            sweep_blocks(fast, observations, parameters)
        else:
            for_each_block(plain, observations, parameters)
    lower, upper = ends if prob is not None else (None, None)
    return Memberships(mean, lower, upper, agreement, log_density, switched)


def summarise_densities(
    observations: Observations, parameters: MixtureParameters, prob: float | None, *, progressbar: bool = False
) -> np.ndarray:
    """Sum the densities of rows up over S draws: their mean, (1, N); with an interval also its ends, (3, N)."""
    S, N = parameters.batch_shape[0], observations.n_rows
    summary = np.empty((1 if prob is None else 3, N))
    with progress("density at points", N, show=progressbar) as advance:

        def plain(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
            B = log_joint.shape[-1]
            if S == 1:
                summary[:, rows] = np.exp(normalise(log_joint))
            else:
                # no largest term to take out first: a density that overflows would need a variance below 1e-300
                np.exp(log_joint, out=log_joint)
                if prob is None:
                    summary[0, rows] = np.full(log_joint.size // B, 1.0 / S) @ log_joint.reshape(-1, B)
                else:
                    # component by component: several times faster than a sum over the middle axis
                    values = log_joint[:, 0].copy()
                    for k in range(1, log_joint.shape[1]):
                        values += log_joint[:, k]
                    summary[0, rows] = np.full(S, 1.0 / S) @ values
                    summary[1:, rows] = interval(values, prob)
            advance(B)

        def fast(rows: slice | np.ndarray, eta: np.ndarray, features: np.ndarray, log_joint: np.ndarray) -> None:
            from bayesgmm.kernel.compiled import over_draws

            block = np.empty((len(summary), features.shape[1] or log_joint.shape[2]))
            tail = 0.0 if prob is None else (1 - prob) / 2
            over_draws.densities(eta, features, log_joint, S, tail, 1 - tail, block)
            summary[:, rows] = block
            advance(block.shape[1])

        if compiling_pays(observations, parameters) and (prob is None or equal_tailed()):
            sweep_blocks(fast, observations, parameters)
        else:
            for_each_block(plain, observations, parameters)
    return summary


def sweep(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn log joint densities (S, K, B), of noise too, into memberships, in place, and sum them up.

    Returns
    -------
    mean : (K, B) float64
        Mean of r_nk over draws.
    best : (S, B) int
        Most probable component in each draw.
    log_density : (B,) float64
        Log of the mean over draws of p(x_n).
    """
    best = log_joint.argmax(axis=1)
    log_density = _log_mean(normalise(log_joint))
    return log_joint.mean(axis=0), best, log_density


def _log_mean(logarithms: np.ndarray) -> np.ndarray:
    """Log of the mean of what logarithms (S, B) are of, over the first axis, without leaving the logarithmic scale."""
    largest = np.maximum(logarithms.max(axis=0), np.finfo(np.float64).min)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(logarithms - largest).mean(axis=0))
