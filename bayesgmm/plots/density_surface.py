"""The density of two features: contours over the data, and the width of its band beside them."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots.visuals import scatter_xy

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.plots.picture import INK, MUTED, Picture, complete
from bayesgmm.plots.rows import density_label, grid, labels_of_rows, point_style, shown
from bayesgmm.posterior.datatree import OBS, MixtureView
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.density import density

VISUALS = ("points", "noise", "contour", "width", "colorbar", "xlabel", "ylabel", "title", "legend")
STATS = ("regions",)
QUANTITY = "quantity"
REGIONS = (0.5, 0.8, 0.95)


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
    """Draw the density of two features into the panels "mean" and, for a posterior, "width".

    Parameters are those of `density_curves.draw`.
    """
    rows = choose_rows(observations)
    data = np.asarray(observations.values[rows][:, chosen], dtype=np.float64)
    x, y = (grid(column, n_points) for column in data.T)
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    found = density(marginal(dt, chosen), points, ci_prob=prob)
    mean = found["density"].values.reshape(n_points, n_points)
    panels = ["mean", "width"] if mixture.has_draws else ["mean"]
    levels = region_levels(mean, stats.get("regions", REGIONS))
    surface = ("x", "y")
    area, alpha = point_style(len(rows), 9, 0.5)
    if mixture.has_draws:
        width = (found["density_upper"] - found["density_lower"]).values.reshape(n_points, n_points)
        picture.draw(
            "width",
            _filled_contours,
            xr.DataArray(width[None], dims=(QUANTITY, *surface), coords={QUANTITY: ["width"]}),
            x=x,
            y=y,
            levels=_even_levels(float(width.max())),
            backend=picture.backend,
            cmap="cividis" if picture.collection.backend == "bokeh" else "BuPu",
            **picture.only_matplotlib(vmin=0, vmax=1.3 * width.max()),
        )
    label = labels_of_rows(dt, mixture, observations.take(rows))
    every = xr.DataArray(
        data.T[None], dims=(QUANTITY, "plot_axis", OBS), coords={QUANTITY: ["mean"], "plot_axis": ["x", "y"]}
    )
    picture.draw(
        "points",
        complete(scatter_xy),
        every.where(xr.DataArray(label != NOISE_LABEL, dims=OBS)),
        color=MUTED,
        alpha=alpha,
        size=picture.marker_size(area),
        **picture.only_matplotlib(rasterized=len(rows) > 1000, linewidths=0),
    )
    picture.draw_noise(every, label, alpha=alpha, size=picture.marker_size(2 * area))
    picture.draw(
        "contour",
        _contours,
        xr.DataArray(
            np.broadcast_to(mean, (len(panels), *mean.shape)), dims=(QUANTITY, *surface), coords={QUANTITY: panels}
        ),
        x=x,
        y=y,
        levels=np.array(list(levels)),
        color=INK,
        backend=picture.backend,
        names=[f"{100 * share:g} %" for share in levels.values()]
        if picture.collection.backend == "matplotlib"
        else None,
        **picture.only_matplotlib(linewidths=1.0),
    )
    names, units = ([values[j] for j in chosen] for values in (mixture.feature_names, mixture.units))
    labels = [picture.feature_label(name, unit) for name, unit in zip(names, units, strict=True)]
    picture.write("xlabel", "xlabel", dict.fromkeys(panels, labels[0]))
    picture.write("ylabel", "ylabel", dict.fromkeys(panels, labels[1]))
    which = "posterior mean" if mixture.has_draws else "fitted"
    count = shown(len(rows), observations.n_rows)
    titles = {"mean": f"{which} density, {count}", "width": f"width of the {100 * prob:g} % band"}
    picture.write("title", "title", {p: titles[p] for p in panels}, color=INK)
    if entries := picture.noise_entries(label):
        picture.legend([picture.mark_entry("row"), *entries])
    if mixture.has_draws and picture.wanted("width") and picture.wanted("colorbar"):
        _colorbar(picture, density_label(units).replace("density", "width"))


def _filled_contours(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> Any:
    x, y = properties.pop("x"), properties.pop("y")
    return backend.contourf(x, y, da.values, target, **properties)


def _contours(
    da: xr.DataArray, target: Any, *, backend: ModuleType, names: Sequence[str] | None, **properties: Any
) -> Any:
    """Contour lines, named on the line where names are given."""
    x, y = properties.pop("x"), properties.pop("y")
    lines = backend.contour(x, y, da.values, target, **properties)
    if names is not None:
        target.clabel(lines, fmt=dict(zip(lines.levels, names, strict=True)), fontsize="x-small")
    return lines[0] if isinstance(lines, list) else lines


def _colorbar(picture: Picture, label: str) -> None:
    if picture.collection.backend != "matplotlib":
        return
    target = picture.collection.get_target(None, {QUANTITY: "width"})
    figure = picture.collection.get_viz("figure")
    asked = picture.visuals.get("colorbar", {})
    properties = {"label": label, **(asked if isinstance(asked, Mapping) else {})}
    bar = figure.colorbar(picture.collection.get_viz("width", "width", {QUANTITY: "width"}), ax=target, **properties)
    picture.collection.viz["colorbar"] = xr.DataArray(np.array(bar, dtype=object))


def region_levels(mean: np.ndarray, regions: Sequence[float]) -> dict[float, float]:
    """Find the densities above which the grid holds each share of its total (highest-density regions).

    Returns
    -------
    dict
        {density: share}, densities increasing; shares that one point of the grid holds together are kept once.
    """
    if not all(0 < share < 1 for share in regions):
        raise ValueError(f'stats["regions"] must be shares strictly between 0 and 1; received {regions!r}.')
    ordered = np.sort(mean, axis=None)[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    return {float(ordered[np.searchsorted(held, share)]): share for share in sorted(regions, reverse=True)}


def _even_levels(highest: float) -> np.ndarray:
    """Choose some ten round multiples of a step, from one step up to at least `highest`."""
    highest = highest or 1.0  # a single draw has no width
    power = 10.0 ** np.floor(np.log10(highest / 10))
    step = power * next(s for s in (1, 2, 2.5, 5, 10) if s * power >= highest / 10)
    return step * np.arange(1, np.ceil(highest / step) + 1)
