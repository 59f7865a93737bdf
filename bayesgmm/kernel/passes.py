"""The verbs of the kernel over all rows: the expected statistics, and the log joint density block by block.

Rows that hide no more of the complete data than their component go through `complete`; rows with missing values,
measurement errors or known components through `incomplete`. The data is cut into the same pieces whatever the number
of threads, so that the same data gives the same numbers on one core and on many.
"""

from collections.abc import Callable

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.kernel import complete, incomplete
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.parameters import MixtureParameters


def expected_statistics(
    observations: Observations,
    parameters: MixtureParameters,
    moments: Moments = Moments.FULL,
    *,
    n_threads: int | None = None,
) -> SufficientStatistics:
    """One E-step: the expected sufficient statistics of the complete data, memory constant in N.

    Parameters
    ----------
    observations : Observations
    parameters : MixtureParameters
        One mixture, in the standard coordinates of `observations`.
    moments : Moments
        What is needed of S2, by the form of the covariances; what is not needed says nothing in what is returned.
    n_threads : int, optional
        All available cores by default. The numbers do not depend on it.
    """
    if observations.incomplete:
        return incomplete.expected_statistics(observations, parameters, moments)
    return complete.expected_statistics(observations, parameters, moments, n_threads=n_threads)


def for_each_block(
    function: Callable[[slice | np.ndarray, np.ndarray], None],
    observations: Observations,
    parameters: MixtureParameters,
    *,
    n_threads: int | None = None,
) -> None:
    """Call `function(rows, log_joint)` on every block, from several threads.

    Parameters
    ----------
    function : callable
        Receives the rows, a slice or an array of indices, and log weights_k + log N(x_n | mu_k, Sigma_k), (..., K, B),
        in the units of the data: leading dimensions are those of `parameters`. With noise it is (..., K + 1, B), the
        noise last. Where a component is known, the others are at minus infinity. It may overwrite the array, must not
        keep it, and writes what it makes of it where no other block writes.
    parameters : MixtureParameters
        In the units of the data; leading batch dimensions are allowed.
    """
    if observations.incomplete:
        incomplete.for_each_block(function, observations, parameters)
    else:
        complete.for_each_block(function, observations, parameters, n_threads=n_threads)


def map_rows(
    function: Callable[[np.ndarray], np.ndarray],
    observations: Observations,
    parameters: MixtureParameters,
    *,
    trailing: tuple[int, ...] = (),
    dtype: type = np.float64,
) -> np.ndarray:
    """Return an array (N, *trailing) of `function(log_joint)`, which turns (..., K, B) into (B, *trailing).

    See `for_each_block`, which this calls; with noise the array has K + 1 components.
    """
    out: np.ndarray = np.empty((observations.n_rows, *trailing), dtype=dtype)

    def keep(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
        out[rows] = function(log_joint)

    for_each_block(keep, observations, parameters)
    return out
