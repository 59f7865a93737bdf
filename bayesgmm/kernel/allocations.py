"""Draws of the allocations z: which component each row comes from, in draws of the parameters.

May import NumPy and the modules below it only.
"""

from typing import Any

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters


def spread_over(n_draws: int, S: int) -> np.ndarray:
    """Return indices (n_draws,) of S draws, evenly spaced: every chain has its share."""
    return np.floor((np.arange(n_draws) + 0.5) * (S / n_draws)).astype(np.int64)


def draw_allocations(
    observations: Observations, parameters: MixtureParameters, n_draws: int, random_seed: int | None
) -> np.ndarray:
    """Draw z_n from (r_n1 ... r_nK) of each of `n_draws` mixtures; -1 is noise.

    Rows are independent given the parameters, so that draws of all rows are draws from P(z | data) when the mixtures
    are draws from the posterior.

    Parameters
    ----------
    observations : Observations
    parameters : MixtureParameters
        Batch shape (S,), in the units of the data.
    n_draws : int
        Mixtures evenly spaced among the S are used; some of them several times where S is smaller.
    random_seed : int or None
        The same seed gives the same draws on any number of cores.

    Returns
    -------
    (n_draws, N) int16
    """
    used, which = np.unique(spread_over(n_draws, parameters.batch_shape[0]), return_inverse=True)
    entropy: Any = np.random.SeedSequence(random_seed).entropy
    out = np.empty((n_draws, observations.n_rows), dtype=np.int16)
    K = parameters.n_components
    last = K - 1 if parameters.noise is None else K

    def keep(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
        normalise(log_joint)
        first = rows.start if isinstance(rows, slice) else int(rows[0])
        edges = np.cumsum(log_joint[:, :last], axis=1, out=log_joint[:, :last])
        # blocks are the same whatever the number of threads: their first row seeds them
        uniform = np.random.default_rng([entropy, first]).random((n_draws, log_joint.shape[-1]))
        chosen = (uniform[:, None] > edges[which]).sum(axis=1)
        out[:, rows] = np.where(chosen == K, NOISE_LABEL, chosen)

    for_each_block(keep, observations, parameters[used])
    return out
