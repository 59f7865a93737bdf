"""Densities of pairs of features: contours over the data below the diagonal, single features on it."""

from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots.visuals import scatter_xy

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.plots import density_curves, density_surface
from bayesgmm.plots.picture import INK, MUTED, Picture, complete
from bayesgmm.plots.rows import grid, labels_of_rows, point_style
from bayesgmm.posterior.datatree import OBS, MixtureView
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.density import density

VISUALS = (*density_curves.VISUALS, "points", "noise", "contour", "empty", "title")
STATS = (*density_curves.STATS, *density_surface.STATS)
PANEL = "panel"
CURVE_POINTS = 400


def cells(names: list[str]) -> list[str]:
    """Names of the D x D panels, row by row: "a" on the diagonal, "a, b" below it, and an empty one above it."""
    D = len(names)
    return [
        names[j] if i == j else f"{names[j]}, {names[i]}" if j < i else f"no {names[j]}, {names[i]}"
        for i in range(D)
        for j in range(D)
    ]


def draw(
    picture: Picture,
    dt: "xr.DataTree | GaussianMixture",
    mixture: MixtureView,
    observations: Observations,
    chosen: list[int],
    prob: float,
    n_points: int,
    stats: dict[str, Any],
) -> None:
    """Draw single features on the diagonal, and the mean density of each pair of features below it.

    Parameters are those of `density_curves.draw`; `n_points` is that of pairs.
    """
    D = len(chosen)
    panels = cells([mixture.feature_names[j] for j in chosen])
    histogram = {key: value for key, value in stats.items() if key in density_curves.STATS}
    pairs = [(i, j) for i in range(D) for j in range(i)]
    below = [panels[i * D + j] for i, j in pairs]
    above = [panels[j * D + i] for i, j in pairs]
    empty = xr.DataArray(np.zeros(len(above)), dims=PANEL, coords={PANEL: above})
    picture.draw("empty", _without_axes, empty, backend=picture.backend, store_artist=False)
    density_curves.draw_panels(picture, dt, mixture, observations, chosen, prob, CURVE_POINTS, histogram, panel=PANEL)

    shares = stats.get("regions", density_surface.REGIONS)
    rows = choose_rows(observations)
    data = np.asarray(observations.values[rows][:, chosen], dtype=np.float64)
    area, alpha = point_style(len(rows), 7, 0.5)
    every = xr.DataArray(
        np.stack([data[:, [j, i]].T for i, j in pairs]),
        dims=(PANEL, "plot_axis", OBS),
        coords={PANEL: below, "plot_axis": ["x", "y"]},
    )
    label = labels_of_rows(dt, mixture, observations.take(rows))
    picture.draw(
        "points",
        complete(scatter_xy),
        every.where(xr.DataArray(label != NOISE_LABEL, dims=OBS)),
        color=MUTED,
        alpha=alpha,
        size=picture.marker_size(area),
        **picture.only_matplotlib(rasterized=len(rows) > 1000, linewidths=0),
    )
    picture.draw_noise(every, label, name="noise", alpha=alpha, size=picture.marker_size(2 * area))
    axes = [grid(column, n_points) for column in data.T]
    means = [_mean_density(marginal(dt, [chosen[j], chosen[i]]), axes[j], axes[i], prob) for i, j in pairs]
    picture.draw(
        "contour",
        _contours,
        xr.DataArray(
            np.array([[*axes[j], *axes[i], *mean.ravel()] for (i, j), mean in zip(pairs, means, strict=True)]),
            dims=(PANEL, "number"),
            coords={PANEL: below},
        ),
        n_points=n_points,
        shares=shares,
        color=INK,
        backend=picture.backend,
        **picture.only_matplotlib(linewidths=1.0),
    )
    x_labels, y_labels = density_curves.labels(picture, mixture, chosen)
    axis = list(x_labels.values())
    x_below = {name: axis[j] for name, (_, j) in zip(below, pairs, strict=True)}
    y_below = {name: axis[i] for name, (i, _) in zip(below, pairs, strict=True)}
    for name, texts in (("xlabel", {**x_labels, **x_below}), ("ylabel", {**y_labels, **y_below})):
        picture.write(name, name, {cell: texts.get(cell, "") for cell in panels})
    density_curves.write_legend(picture, mixture, observations, prob, picture.noise_entries(label))
    which = "posterior mean" if mixture.has_draws else "fitted"
    picture.head(f"Contours hold {', '.join(f'{100 * share:g}' for share in sorted(shares))} % of the {which} density")


def _mean_density(two: "xr.DataTree | GaussianMixture", x: np.ndarray, y: np.ndarray, prob: float) -> np.ndarray:
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return density(two, points, ci_prob=prob, intervals=False)["density"].values.reshape(len(x), len(y))


def _contours(
    da: xr.DataArray, target: Any, *, backend: ModuleType, n_points: int, shares: Any, **properties: Any
) -> Any:
    """Contours of one pair, its axes and its densities packed in one array, because each panel has its own."""
    x, y, mean = np.split(da.values, [n_points, 2 * n_points])
    mean = mean.reshape(n_points, n_points)
    levels = np.array(list(density_surface.region_levels(mean, shares)))
    lines = backend.contour(x, y, mean, target, levels=levels, **properties)
    return lines[0] if isinstance(lines, list) else lines


def _without_axes(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> Any:
    return backend.remove_axis(target, axis="both")
