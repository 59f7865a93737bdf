"""The background that `noise=` asks for, in the units of the data.

May import NumPy and the modules below it only.
"""

from typing import Any

import numpy as np

from bayesgmm.data.checks import row_slices
from bayesgmm.data.observations import MOST_BLOCK_ROWS, Observations
from bayesgmm.mixture.noise import Background, BackgroundError


def check_noise(noise: Any) -> None:
    """Refuse what no data could make a background of.

    Raises
    ------
    ValueError
        With what `noise` may be, and what came.
    """
    if noise is None or isinstance(noise, Background):
        return
    if isinstance(noise, str):
        if noise in ("box", "hull"):
            return
    else:
        try:
            edges = np.asarray(noise, dtype=np.float64)
        except (TypeError, ValueError):
            edges = np.empty(0)
        if edges.ndim == 2 and len(edges) == 2:
            return
    received = f"an array of shape {np.shape(noise)}" if isinstance(noise, np.ndarray | list | tuple) else repr(noise)
    raise ValueError(
        "`noise` must be None, 'box' (of the data), 'hull' (convex, of the data) or the edges of a box, lower and "
        f"upper, an array of shape (2, D) in the units of the data; received {received}."
    )


def background_of(noise: Any, observations: Observations) -> Background | None:
    """Make the background that `noise` asks for.

    Parameters
    ----------
    noise : None, "box", "hull", (2, D) array or Background
        Box or convex hull of the rows that have a weight; the edges of a box, lower and upper, in the units of the
        data; or a background as it is. Rows outside given edges are never noise.
    observations : Observations

    Returns
    -------
    Background or None
        The same object for the same observations and the same word.

    Raises
    ------
    ValueError
        When `noise` is none of these, or has edges of other features than the data.
    BackgroundError
        When the region has no volume, or no row is inside given edges; naming the feature.
    """
    check_noise(noise)
    if noise is None:
        return None
    if isinstance(noise, str):
        # one object for each word: what is known of rows inside is remembered by it
        return observations.remember(("background", noise), lambda: _around(observations, noise))
    D = observations.n_features
    background = noise
    if not isinstance(noise, Background):
        edges = np.asarray(noise, dtype=np.float64)
        if edges.shape != (2, D):
            raise ValueError(
                f"`noise` has edges for {edges.shape[1]} features, and the data has {D} "
                f"({', '.join(observations.feature_names)}): give lower and upper edges, an array of shape (2, {D})."
            )
        background = observations.remember(("background", edges.tobytes()), lambda: Background.box(*edges))
    if background.n_features != D:
        raise ValueError(f"`noise` is a background of {background.n_features} features, and the data has {D}.")
    _check_overlap(background, observations)
    return background


def _around(observations: Observations, kind: str) -> Background:
    values = observations.values
    if observations.weights is not None and not (observations.weights > 0).all():
        values = values[observations.weights > 0]
    return Background.around(values) if kind == "box" else Background.hull(values)


def _check_overlap(background: Background, observations: Observations) -> None:
    """Refuse a box that leaves all rows outside in some feature: it is in other units, or in another order."""
    lower, upper = background.lower, background.upper
    with np.errstate(invalid="ignore"):
        inside = ((observations.values >= lower) & (observations.values <= upper)).any(axis=0)
    if not inside.all():
        j = int(np.argmin(inside))
        raise BackgroundError(
            f"no row is inside the edges that `noise` gives feature {observations.feature_names[j]!r}, {lower[j]:g} to "
            f"{upper[j]:g}: give them in the units of the data, in the order of its columns."
        )


def background_density(observations: Observations, background: Background) -> np.ndarray:
    """Log density of a background at each of complete rows, in the units of the data.

    Returns
    -------
    () or (N,) float64
        One number where all rows are inside, which is what rows that it was made from are; looked at once for the
        life of the observations. Minus infinity outside.
    """

    def density() -> np.ndarray:
        inside = np.empty(observations.n_rows, dtype=bool)
        for rows in row_slices(observations.n_rows, MOST_BLOCK_ROWS):
            inside[rows] = background.contains(observations.values[rows])
        return np.where(np.True_ if inside.all() else inside, -background.log_volume, -np.inf)

    return observations.remember(("background density", background), density)
