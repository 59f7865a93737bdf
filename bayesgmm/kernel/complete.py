"""One pass over complete rows: a kernel verb on each block of them, over threads, added in a fixed order.

The data is cut into the same chunks whatever the number of threads, and chunks are added in their order, so the same
data gives the same numbers on one core and on many. Memory does not grow with the number of rows.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from bayesgmm.data.background import background_density
from bayesgmm.data.observations import MOST_BLOCK_ROWS, Observations
from bayesgmm.kernel.forms import CommonForm, Form, choose_form, enough
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import available_cores, over_threads

MOST_CHUNKS = 64
"""A pass is cut into at most this many chunks: enough to keep threads busy, few enough to add cheaply."""

BLOCK_FLOATS = 2**19
"""A block's features and log densities take about this many numbers (4 MiB): at D = 32 the fastest of 2^15 to 2^20."""


THREAD_FLOATS = 2**16
"""Below this many numbers in a whole pass, threads cost more than they save."""


def expected_statistics(
    observations: Observations,
    parameters: MixtureParameters,
    moments: Moments = Moments.FULL,
    *,
    n_threads: int | None = None,
) -> SufficientStatistics:
    """One E-step: the expected sufficient statistics of all rows, O(N K F) time, memory constant in N.

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
    noise = parameters.noise
    needed = enough(moments, parameters)
    # what the common form leaves out of the components' densities is not left out of the noise's
    pooled = needed.pooled and noise is None
    form = choose_form(parameters, needed, moments_of_all_rows(observations, needed) if pooled else None)
    found = statistics_by(form, observations, noise, n_threads=n_threads)
    if needed.diagonal or not moments.diagonal:
        return found
    return replace(found, S2=np.ascontiguousarray(np.diagonal(found.S2, axis1=1, axis2=2)))


def statistics_by(
    form: Form | CommonForm, observations: Observations, noise: Noise | None, *, n_threads: int | None = None
) -> SufficientStatistics:
    """One E-step in a form that was chosen, without what it says of noise; see `expected_statistics`."""
    if noise is not None:
        in_noise = (
            background_density(observations, noise.background) + float(noise.log_weight) + observations.log_jacobian
        )

    def one_block(rows: slice, workspace: np.ndarray) -> tuple[float, np.ndarray]:
        B = _load(observations, form, workspace, rows)
        weights = observations.block_weights(rows)
        if noise is None:
            return form.expected_statistics(workspace, B, weights)
        return form.expected_statistics(workspace, B, weights, in_noise[rows] if in_noise.ndim else float(in_noise))

    def chunk_sums(blocks: list[slice], workspace: np.ndarray) -> tuple[float, np.ndarray]:
        total, sums = one_block(blocks[0], workspace)
        for rows in blocks[1:]:
            log_likelihood, block_sums = one_block(rows, workspace)
            total += log_likelihood
            sums += block_sums
        return total, sums

    results = _over_chunks(chunk_sums, observations, form, n_threads)
    log_likelihood = sum(result[0] for result in results)
    sums = results[0][1]
    for _, more in results[1:]:
        sums += more
    N, S1, S2 = form.unpack(sums)
    if isinstance(form, CommonForm):
        log_likelihood += form.shared_log_likelihood
    log_likelihood -= observations.total_weight * observations.log_jacobian
    expected = 0.0 if noise is None else max(0.0, observations.total_weight - float(N.sum()))
    return SufficientStatistics(log_likelihood, N, S1, S2, observations.shift, observations.scale, expected)


def moments_of_all_rows(observations: Observations, moments: Moments) -> tuple[np.ndarray, float]:
    """Give what the common form reads of the rows: their second moments, and the sum of their weights."""
    return _second_moments(observations, moments.diagonal), observations.total_weight


def _second_moments(observations: Observations, diagonal: bool) -> np.ndarray:
    """sum_n w_n y_n y_n^T in standard coordinates, or its diagonal: one pass for the life of the observations."""

    def moments() -> np.ndarray:
        D = observations.n_features
        eye = np.eye(D)[None]
        anything = MixtureParameters(np.ones(1), np.zeros((1, D)), eye, eye)
        return expected_statistics(observations, anything, Moments.DIAGONAL if diagonal else Moments.FULL).S2[0]

    return observations.remember(("second moments", diagonal), moments)


def for_each_block(
    function: Callable[[slice, np.ndarray], None],
    observations: Observations,
    parameters: MixtureParameters,
    *,
    n_threads: int | None = None,
) -> None:
    """Call `function(rows, log_joint)` on every block, from several threads.

    Parameters
    ----------
    function : callable
        Receives the slice of rows and log weights_k + log N(x_n | mu_k, Sigma_k), (..., K, B), in the units of the
        data: leading dimensions are those of `parameters`. With noise it is (..., K + 1, B), the noise last. It may
        overwrite the array, must not keep it, and writes what it makes of it where no other block writes.
    parameters : MixtureParameters
        In the units of the data; leading batch dimensions are allowed.
    """
    for_each_block_of(function, observations, observations.to_standard(parameters), n_threads=n_threads)


def for_each_block_of(
    function: Callable[[slice, np.ndarray], None],
    observations: Observations,
    parameters: MixtureParameters,
    *,
    n_threads: int | None = None,
) -> None:
    """Do what `for_each_block` does, with parameters in the standard coordinates of `observations`."""
    form = choose_form(parameters)
    assert not isinstance(form, CommonForm), "it needs the moments, and has no density of one component alone"
    log_jacobian = observations.log_jacobian
    noise = parameters.noise
    if noise is not None:
        density = background_density(observations, noise.background)

    def chunk(blocks: list[slice], workspace: np.ndarray) -> None:
        for rows in blocks:
            log_joint = form.log_joint(workspace, _load(observations, form, workspace, rows))
            log_joint -= log_jacobian
            if noise is not None:
                log_joint = with_noise(log_joint, noise, density[rows] if density.ndim else density)
            function(rows, log_joint)

    _over_chunks(chunk, observations, form, n_threads)


def with_noise(log_joint: np.ndarray, noise: Noise, density: np.ndarray) -> np.ndarray:
    """Log joint densities (..., K, B) with those of the noise after them, (..., K + 1, B)."""
    *batch, K, B = log_joint.shape
    whole = np.empty((*batch, K + 1, B))
    whole[..., :K, :] = log_joint
    whole[..., K, :] = noise.log_weight[..., None] + density
    return whole


def _load(observations: Observations, form: Form | CommonForm, workspace: np.ndarray, rows: slice) -> int:
    """Put the rows, standardised, where the form wants them; how many they are."""
    B = rows.stop - rows.start
    observations.standard_block(rows, form.standard_rows(workspace, B))
    return B


def _over_chunks[T](
    function: Callable[[list[slice], np.ndarray], T],
    observations: Observations,
    form: Form | CommonForm,
    n_threads: int | None,
) -> list[T]:
    """Results of `function(blocks, workspace)` for each chunk of consecutive blocks, in order."""
    floats_per_row = len(form.workspace(1))
    block_rows = max(64, min(MOST_BLOCK_ROWS, BLOCK_FLOATS // floats_per_row))
    chunks = _chunks(observations.n_rows, block_rows)
    if len(chunks) == 1 or observations.n_rows * floats_per_row < THREAD_FLOATS:
        n_threads = 1
    n_threads = min(available_cores() if n_threads is None else n_threads, len(chunks))
    results: list[T | None] = [None] * len(chunks)
    positions = itertools.count()

    def in_one_workspace(_: int) -> None:
        workspace = form.workspace(min(block_rows, observations.n_rows))
        while (position := next(positions)) < len(chunks):
            results[position] = function(chunks[position], workspace)

    over_threads(in_one_workspace, range(n_threads), n_threads)
    return results  # type: ignore[return-value]


@lru_cache(maxsize=16)
def _chunks(n_rows: int, block_rows: int) -> list[list[slice]]:
    """Chunks of nearly equal length, each a list of nearly equal blocks."""
    n_chunks = min(MOST_CHUNKS, -(-n_rows // block_rows))
    edges = [n_rows * c // n_chunks for c in range(n_chunks + 1)]
    chunks = []
    for start, stop in itertools.pairwise(edges):
        n_blocks = -(-(stop - start) // block_rows)
        cuts = [start + (stop - start) * b // n_blocks for b in range(n_blocks + 1)]
        chunks.append([slice(a, b) for a, b in itertools.pairwise(cuts)])
    return chunks
