"""Densities of pairs of features: contours over the data below the diagonal, single features on it."""

from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots import density_curves, density_surface
from bayesgmm.plots.contours import REGIONS, draw_contours, pack
from bayesgmm.plots.curves import grid
from bayesgmm.plots.density_curves import Subject
from bayesgmm.plots.picture import INK, Picture
from bayesgmm.plots.rows import draw_rows, labels_of_rows, point_style
from bayesgmm.posterior.datatree import OBS
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


def draw(picture: Picture, subject: Subject) -> None:
    """Draw single features on the diagonal, and the mean density of each pair of features below it."""
    mixture, observations, chosen = subject.mixture, subject.observations, subject.features
    D = len(chosen)
    panels = cells([mixture.feature_names[j] for j in chosen])
    pairs = [(i, j) for i in range(D) for j in range(i)]
    below = [panels[i * D + j] for i, j in pairs]
    above = [panels[j * D + i] for i, j in pairs]
    picture.set_axis("empty", _without_axes, above, backend=picture.backend)
    density_curves.draw_panels(picture, subject._replace(n_points=CURVE_POINTS))

    shares = subject.stats.get("regions", REGIONS)
    rows = choose_rows(observations)
    data = np.asarray(observations.values[rows][:, chosen], dtype=np.float64)
    every = picture.lay(below, [data[:, [j, i]].T for i, j in pairs], "plot_axis", OBS)
    label = labels_of_rows(subject.dt, mixture, observations.take(rows))
    draw_rows(picture, "points", every, label, *point_style(len(rows), 7, 0.5))
    axes = [grid(column, subject.n_points) for column in data.T]
    means = [_mean_density(marginal(subject.dt, [chosen[j], chosen[i]]), axes[j], axes[i]) for i, j in pairs]
    packed = [pack(axes[j], axes[i], mean) for (i, j), mean in zip(pairs, means, strict=True)]
    picture.draw(
        "contour",
        draw_contours,
        picture.lay(below, packed, "number"),
        backend=picture.backend,
        shares=shares,
        named=False,
        color=INK,
        **picture.only_matplotlib(linewidths=1.0),
    )
    x_labels, y_labels = density_curves.labels(picture, mixture, chosen)
    axis = list(x_labels.values())
    x_below = {name: axis[j] for name, (_, j) in zip(below, pairs, strict=True)}
    y_below = {name: axis[i] for name, (i, _) in zip(below, pairs, strict=True)}
    for name, texts in (("xlabel", {**x_labels, **x_below}), ("ylabel", {**y_labels, **y_below})):
        picture.write(name, {cell: texts.get(cell, "") for cell in panels})
    density_curves.write_legend(picture, subject, picture.noise_entries(label))
    which = "posterior mean" if mixture.has_draws else "fitted"
    picture.head(f"Contours hold {', '.join(f'{100 * share:g}' for share in sorted(shares))} % of the {which} density")


def _mean_density(two: "xr.DataTree | GaussianMixture", x: np.ndarray, y: np.ndarray) -> np.ndarray:
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return density(two, points, intervals=False)["density"].values


def _without_axes(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> Any:
    return backend.remove_axis(target, axis="both")
