"""Incomplete rows laid out for the compiled pass: one array for each thing known, rows ordered by group.

May import NumPy and the groups of incomplete rows.
"""

from typing import NamedTuple

import numpy as np

from bayesgmm.data.background import background_density
from bayesgmm.data.checks import UNKNOWN
from bayesgmm.data.observations import Observations
from bayesgmm.kernel.groups import groups
from bayesgmm.mixture.noise import Background


class PackedRows(NamedTuple):
    """N rows in G groups, of D features; what belongs to the P features seen fills the first P places.

    Attributes
    ----------
    rows : (N, D) float64
        Values seen, in the units of the data; zero beyond.
    row_weights : (N,) float64
    starts : (G + 1,) int64
        Group g has the rows from ``starts[g]`` to ``starts[g + 1]``.
    seen : (G, D) int64
        Features seen, in their order; -1 beyond.
    components : (G,) int64
        Known component, or -1.
    errors : (G, D, D) float64
        Common error covariance; zero where there is none.
    own : (G,) int64
        Where the errors of a group whose rows have their own begin in `own_errors`; -1 for other groups.
    own_errors : (M, D, D) float64
        Error covariances of single rows; M is at least 1, so that no array is empty.
    background : (N,) or (1,) float64
        Log density of the noise at what is seen of each row, minus infinity outside of it; one zero where there is no
        noise.
    """

    rows: np.ndarray
    row_weights: np.ndarray
    starts: np.ndarray
    seen: np.ndarray
    components: np.ndarray
    errors: np.ndarray
    own: np.ndarray
    own_errors: np.ndarray
    background: np.ndarray


def pack(observations: Observations, background: Background | None = None) -> tuple[PackedRows, np.ndarray]:
    """Lay the rows out, and return with them the row of the observations at each place, (N,).

    Raises
    ------
    BackgroundError
        When the background is a hull, and some rows see a part of the features only.
    """
    found = groups(observations)
    N, D, G = observations.n_rows, observations.n_features, len(found)
    order = np.concatenate([group.rows for group in found])
    starts = np.concatenate([[0], np.cumsum([len(group.rows) for group in found])])
    rows, seen = np.zeros((N, D)), np.full((G, D), -1)
    errors, own, own_errors = np.zeros((G, D, D)), np.full(G, -1), []
    density = np.zeros(1 if background is None else N)
    filled = 0
    for g, group in enumerate(found):
        P = len(group.seen)
        rows[starts[g] : starts[g + 1], :P] = group.observations.values
        seen[g, :P] = group.seen
        if background is not None and group.component == UNKNOWN:
            density[starts[g] : starts[g + 1]] = background_density(group.observations, background.marginal(group.seen))
        if group.error is not None:
            errors[g, :P, :P] = group.error * observations.scale**2
        if group.errors is not None:
            matrices = np.zeros((len(group.rows), D, D))
            if group.errors.ndim == 2:
                matrices[:, np.arange(P), np.arange(P)] = group.errors * observations.scale**2
            else:
                matrices[:, :P, :P] = group.errors * observations.scale**2
            own[g], filled = filled, filled + len(matrices)
            own_errors.append(matrices)
    packed = PackedRows(
        rows=rows,
        row_weights=observations.counts[order],
        starts=starts.astype(np.int64),
        seen=seen.astype(np.int64),
        components=np.array([group.component for group in found], dtype=np.int64),
        errors=errors,
        own=own.astype(np.int64),
        own_errors=np.concatenate(own_errors) if own_errors else np.zeros((1, D, D)),
        background=density,
    )
    assert UNKNOWN == -1
    return packed, order
