"""The points of a density on a grid: even along each feature, and far into the tails."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.features import positions
from bayesgmm.mixture.quantiles import quantile
from bayesgmm.posterior.datatree import view
from bayesgmm.tools.integers import check_integer


def grid_axes(
    dt: "xr.DataTree | GaussianMixture",
    features: str | int | Sequence[Any] | None = None,
    n_points: int = 200,
    *,
    tail: float = 1e-4,
) -> dict[str, np.ndarray]:
    """Lay an even grid for `density` that reaches well into the tails.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
    features : str, int or sequence of them, optional
        Names or positions; all by default (a grid of D features has n_points^D points).
    n_points : int
        Coordinates along each feature, at least 2.
    tail : float
        The grid of each feature runs from its `tail` to its (1 - `tail`) quantile, the furthest of all draws; where
        noise is uniform in a hull, from the quantiles of the components or the edge of the hull, the further of them.

    Returns
    -------
    dict of (n_points,) float64
        By feature, in the units of the data.

    Raises
    ------
    ValueError
        When a feature is unknown, or a number out of range.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> surface = bg.density(gm, bg.grid_axes(gm, n_points=100))["density"]
    >>> round(surface.integrate(["eruptions", "waiting"]).item(), 2)
    1.0
    """
    mixture = view(dt)
    names = mixture.feature_names
    n_points = check_integer("n_points", n_points, 2)
    if not 0 < tail < 0.5:
        raise ValueError(f"`tail` must be strictly between 0 and 0.5; received {tail!r}.")
    asked = [features] if isinstance(features, str | int) else features
    chosen = range(len(names)) if asked is None else positions(names, list(asked))
    noise = mixture.parameters.noise
    # a hull has no density of one feature, and an extent all the same
    hull = noise.background if noise is not None and noise.background.facets is not None else None
    clusters = mixture.parameters if hull is None else replace(mixture.parameters, noise=None)
    axes = {}
    for j in chosen:
        ends = quantile(clusters.marginal([j]), np.array([tail, 1 - tail]))
        low, high = ends[:, 0].min(), ends[:, 1].max()
        if hull is not None:
            low, high = min(low, hull.lower[j]), max(high, hull.upper[j])
        axes[names[j]] = np.linspace(low, high, n_points)
    return axes
