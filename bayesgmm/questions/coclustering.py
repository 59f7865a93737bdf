"""Which rows belong together, whatever the clusters are called: co-clustering probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.spatial import cKDTree

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.allocations import spread_over
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import OBS, netcdf_labels, view
from bayesgmm.tools.integers import check_integer

OBS_BIS, RANK = "obs_id_bis", "rank"

MOST_WHOLE = 3000
"""Rows of which the whole matrix is made."""

MOST_NUMBERS = 2e8
"""Numbers that chosen rows against all may make: 1.6 GB."""

BATCH_FLOATS = 2**24
"""Memberships kept at once, over rows and a batch of draws: 128 MiB."""

TOP_MEMBERSHIPS = 1000
"""Length of the membership vectors, over draws and components, that a search for partners compresses."""

MOST_DIRECTIONS = 24
SAMPLE_ROWS = 10_000


def coclustering(
    dt: "xr.DataTree | GaussianMixture", X: Any = None, *, rows: Sequence[Any] | None = None, top: int | None = None
) -> xr.Dataset:
    """Give the probability that two rows come from the same component.

    P(z_i = z_j | data) = mean over draws of sum_k r_ik r_jk for i != j, and 1 for i = j. It does not depend on how
    components are labelled, nor on whether labels switch between draws. Noise is no component: two rows of noise are
    not together, and the probabilities of a row with all others are small where it is probably noise.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    X : table, optional
        Rows to judge; the fitted rows by default.
    rows : sequence of row labels, optional
        Only these rows (values of ``obs_id``), against all rows. By default all, of which there may be 3000.
    top : int, optional
        For each row only so many others, those most probably together with it: for many rows. One of `rows`, `top`.

    Returns
    -------
    Dataset
        ``probability`` (obs_id, obs_id_bis). With `top`: ``partner`` (obs_id, rank), the row labels of the others, and
        ``probability`` (obs_id, rank), decreasing; attribute ``largest_error`` bounds what compression took from any of
        these, ``n_draws`` says how many draws were used.

    Raises
    ------
    ValueError
        When the whole matrix would be too large, a row is not there, or both `rows` and `top` are given.

    Notes
    -----
    The matrix takes O(S K N^2) time and O(N^2) memory. With `top`, draws are thinned to vectors of at most 1000
    memberships for each row; these are projected on the directions that they vary along, and partners are the
    nearest neighbours once a coordinate is added that gives all rows the same length (the largest inner product is then
    the least distance): about O(N log N). Rows far inside a cluster are together with all others of it with the same
    probability to many digits; which of them are listed is then a matter of rounding.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> bg.coclustering(gm, X, rows=[0])["probability"].sel(obs_id=0, obs_id_bis=[0, 1, 2]).values.round(3)
    array([1., 0., 1.])
    """
    if rows is not None and top is not None:
        raise ValueError("`rows` and `top` were both given: choose rows, or the partners of every row.")
    mixture = view(dt)
    observations = mixture.observe(X)
    N = observations.n_rows
    if top is not None:
        return _partners(observations, mixture.parameters, check_integer("top", top, 1, N - 1, "the other rows"))
    if rows is None:
        if N > MOST_WHOLE:
            raise ValueError(
                f"{N} rows make a matrix of {N}^2 probabilities; the whole is made of at most {MOST_WHOLE} rows. "
                "Choose some with `rows=`, or ask for the partners of every row with `top=10`."
            )
        chosen = np.arange(N)
    else:
        chosen = _positions(rows, observations.row_labels)
        if len(chosen) * N > MOST_NUMBERS:
            raise ValueError(
                f"{len(chosen)} rows against {N} make {len(chosen) * N:.1e} probabilities, more than "
                f"{MOST_NUMBERS:.0e}: choose fewer `rows`."
            )
    values = _similarity(observations, mixture.parameters, chosen)
    labels = netcdf_labels(observations.row_labels)
    return xr.Dataset(
        {"probability": ((OBS, OBS_BIS), values, {"long_name": "P(two rows come from the same component)"})},
        coords={OBS: labels[chosen], OBS_BIS: labels},
    )


def _similarity(observations: Observations, parameters: MixtureParameters, chosen: np.ndarray) -> np.ndarray:
    """Probabilities (len(chosen), N), draws by the batch."""
    N, (S, K) = observations.n_rows, parameters.weights.shape
    total = np.zeros((len(chosen), N))
    step = max(1, int(BATCH_FLOATS // (N * K)))
    for start in range(0, S, step):
        r = memberships(observations, parameters[start : start + step])
        total += r[chosen] @ r.T
    total /= S
    # rounding may leave 1 + 1e-16
    np.minimum(total, 1.0, out=total)
    total[np.arange(len(chosen)), chosen] = 1.0
    return total


def memberships(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """Return r_nk of each of S mixtures side by side, (N, S K); without noise."""

    def flat(log_joint: np.ndarray) -> np.ndarray:
        return _of_components(log_joint, parameters).T

    return map_rows(flat, observations, parameters, trailing=(parameters.weights.size,))


def _of_components(log_joint: np.ndarray, parameters: MixtureParameters) -> np.ndarray:
    """Log joint densities of a block into r_nk, (S K, B), overwriting them: noise takes its share, and goes."""
    normalise(log_joint)
    return log_joint[:, : parameters.n_components].reshape(-1, log_joint.shape[-1])


def _partners(observations: Observations, parameters: MixtureParameters, top: int) -> xr.Dataset:
    """For each row the `top` others with the largest probability, by nearest neighbours."""
    N, (S, K) = observations.n_rows, parameters.weights.shape
    n_draws = min(S, max(1, TOP_MEMBERSHIPS // K))
    used = parameters[spread_over(n_draws, S)]
    sample = np.unique(np.linspace(0, N - 1, min(N, SAMPLE_ROWS)).astype(int))
    vectors = memberships(observations.take(sample), used)
    _, basis = np.linalg.eigh(vectors.T @ vectors)
    basis = basis[:, ::-1][:, :MOST_DIRECTIONS]
    Q = basis.shape[1]

    def compress(log_joint: np.ndarray) -> np.ndarray:
        """Coordinates, and the squared length that they leave out."""
        r = _of_components(log_joint, used)
        coordinates = basis.T @ r
        lost = np.einsum("ib,ib->b", r, r) - np.einsum("qb,qb->b", coordinates, coordinates)
        return np.concatenate([coordinates, np.maximum(lost, 0.0)[None]]).T

    compressed = map_rows(compress, observations, used, trailing=(Q + 1,)) / [*[n_draws**0.5] * Q, n_draws]
    points, lost = compressed[:, :Q], compressed[:, Q]
    squared = np.einsum("nq,nq->n", points, points)
    added = np.sqrt(np.maximum(squared.max() - squared, 0.0))
    tree = cKDTree(np.column_stack([points, added]))
    _, neighbours = tree.query(np.column_stack([points, np.zeros(N)]), k=top + 1, workers=-1)
    neighbours = neighbours.reshape(N, -1)
    # a row is among its own neighbours, or was pushed out by others as near
    own = neighbours == np.arange(N)[:, None]
    own[~own.any(axis=1), -1] = True
    partner = neighbours[~own].reshape(N, top)
    values = np.stack([np.einsum("nq,nq->n", points, points[others]) for others in partner.T], axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    partner, values = (np.take_along_axis(a, order, axis=1) for a in (partner, values))
    labels = netcdf_labels(observations.row_labels)
    text = "P(the two rows come from the same component)"
    return xr.Dataset(
        {
            "partner": ((OBS, RANK), labels[partner], {"long_name": "row most probably together with this one"}),
            "probability": ((OBS, RANK), np.clip(values, 0.0, 1.0), {"long_name": text}),
        },
        coords={OBS: labels, RANK: np.arange(top)},
        attrs={"largest_error": float(lost.max()), "n_draws": n_draws},
    )


def _positions(rows: Sequence[Any], labels: pd.Index) -> np.ndarray:
    """Positions of the rows with these labels."""
    index = pd.Index(np.asarray(labels))
    asked = list(rows) if not isinstance(rows, str) else [rows]
    positions = index.get_indexer_for(asked)
    if not len(asked) or (positions < 0).any():
        missing = [label for label in asked if label not in index][:6]
        raise ValueError(f"`rows` must be labels of rows (values of obs_id); there is no {missing}.")
    return positions
