"""Densities of single features: mean, band and components over a histogram, a panel for each feature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots.visuals import fill_between_y, hist, line_xy, scatter_x

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.plots.picture import INK, MUTED, PALE, Picture, complete
from bayesgmm.plots.rows import (
    curve_grid,
    density_label,
    labels_of_rows,
    mean_component_densities,
    mean_noise_density,
    visible,
)
from bayesgmm.posterior.datatree import COMPONENT, FEATURE, OBS, MixtureView
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.density import density

VISUALS = ("histogram", "rug", "noise_rug", "band", "mean", "components", "noise_density", "xlabel", "ylabel", "legend")
STATS = ("histogram",)
RUG_ROWS = 500


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
    """Draw the density of each feature into its panel, its labels and the legend.

    Parameters
    ----------
    picture : Picture
    dt : DataTree or GaussianMixture
        What `mixture` is the view of.
    observations : Observations
        The rows to show.
    chosen : list of int
        Positions of the features.
    prob : float
        Probability of the band.
    n_points : int
        Points of the grid along each axis.
    stats : dict
    """
    draw_panels(picture, dt, mixture, observations, chosen, prob, n_points, stats, panel=FEATURE)
    x_labels, y_labels = labels(picture, mixture, chosen)
    picture.write("xlabel", "xlabel", x_labels)
    picture.write("ylabel", "ylabel", y_labels)
    noise = [] if mixture.parameters.noise is None else [("noise", {"color": MUTED, "width": 1.4})]
    write_legend(picture, mixture, observations, prob, noise if picture.wanted("noise_density") else [])


def draw_panels(
    picture: Picture,
    dt: "xr.DataTree | GaussianMixture",
    mixture: MixtureView,
    observations: Observations,
    chosen: list[int],
    prob: float,
    n_points: int,
    stats: dict[str, Any],
    *,
    panel: str,
) -> None:
    """Draw the density of each feature into its panel along `panel`; parameters are those of `draw`."""
    names = [mixture.feature_names[j] for j in chosen]
    rows = choose_rows(observations)
    histogram, band, mean, components, noise = [], [], [], [], []
    for j in chosen:
        values = np.asarray(observations.values[:, j], dtype=np.float64)
        points = curve_grid(values, n_points, mixture.parameters, j)
        found = density(marginal(dt, [j]), points[:, None], ci_prob=prob)
        mean.append([points, found["density"].values])
        if mixture.has_draws:
            band.append([points, found["density_lower"].values, found["density_upper"].values])
        parts = visible(mean_component_densities(mixture.parameters, j, points))
        components.append([[points, part] for part in parts.T])
        of_noise = mean_noise_density(mixture.parameters, j, points)
        if of_noise is not None:
            noise.append([points, of_noise])
        seen = values[~np.isnan(values)]
        # as many bins in every panel, however many values are missing
        bins = {"bins": _n_bins(len(values)), "density": True, **stats.get("histogram", {})}
        heights, edges = np.histogram(seen, **bins)
        histogram.append([heights, edges[:-1], edges[1:]])
    by_feature = {panel: names}
    picture.draw(
        "histogram",
        hist,
        xr.DataArray(
            np.array(histogram),
            dims=(panel, "plot_axis", "bin"),
            coords={**by_feature, "plot_axis": ["histogram", "left_edges", "right_edges"]},
        ),
        color=PALE,
        alpha=0.5,
        **picture.only_matplotlib(linewidth=0),
    )
    if observations.n_rows <= RUG_ROWS or picture.visuals.get("rug"):
        highest = [max(np.max(bars[0]), np.max(curve[1])) for bars, curve in zip(histogram, mean, strict=True)]
        label = labels_of_rows(dt, mixture, observations.take(rows))
        every = xr.DataArray(observations.values[rows][:, chosen].T, dims=(panel, OBS), coords=by_feature)
        below = xr.DataArray(-0.03 * np.array(highest), dims=panel, coords=by_feature)
        picture.draw_noise(every, label, name="noise_rug", function=scatter_x, y=below, size=picture.marker_size(14))
        picture.draw(
            "rug",
            complete(scatter_x),
            every.where(xr.DataArray(label != NOISE_LABEL, dims=OBS)),
            y=below,
            color=MUTED,
            marker="|",
            size=picture.marker_size(30),
            **picture.only_matplotlib(linewidths=0.7),
        )
    xy = {"plot_axis": ["x", "y"]}
    if mixture.has_draws:
        picture.draw(
            "band",
            fill_between_y,
            xr.DataArray(
                np.array(band),
                dims=(panel, "kwarg", "point"),
                coords={**by_feature, "kwarg": ["x", "y_bottom", "y_top"]},
            ),
            color=INK,
            alpha=0.25,
            **picture.only_matplotlib(zorder=2),
        )
    picture.draw(
        "mean",
        line_xy,
        xr.DataArray(np.array(mean), dims=(panel, "plot_axis", "point"), coords={**by_feature, **xy}),
        color=INK,
        width=2.6,
    )
    picture.draw(
        "components",
        line_xy,
        xr.DataArray(
            np.array(components),
            dims=(panel, COMPONENT, "plot_axis", "point"),
            coords={**by_feature, COMPONENT: np.arange(len(components[0])), **xy},
        ),
        width=1.4,
    )
    if noise:
        picture.draw(
            "noise_density",
            line_xy,
            xr.DataArray(np.array(noise), dims=(panel, "plot_axis", "point"), coords={**by_feature, **xy}),
            color=MUTED,
            width=1.4,
        )


def labels(picture: Picture, mixture: MixtureView, chosen: list[int]) -> tuple[dict[str, str], dict[str, str]]:
    """Labels of both axes of each feature's panel."""
    names, units = ([values[j] for j in chosen] for values in (mixture.feature_names, mixture.units))
    x_labels = {name: picture.feature_label(name, unit) for name, unit in zip(names, units, strict=True)}
    return x_labels, {name: density_label([unit]) for name, unit in zip(names, units, strict=True)}


def write_legend(
    picture: Picture,
    mixture: MixtureView,
    observations: Observations,
    prob: float,
    more: Sequence[tuple[str, dict[str, Any]]] = (),
) -> None:
    """Say what the curves and the bars are, and whatever `more`."""
    legend = {
        "mean": [("posterior mean" if mixture.has_draws else "fit", {"color": INK, "width": 2.6})],
        "band": [(f"{100 * prob:g} % band", {"color": INK, "width": 7, "alpha": 0.25})] * mixture.has_draws,
        "components": picture.component_entries(mixture.parameters.n_components, width=1.4),
        "histogram": [(f"{observations.n_rows} rows", {"color": PALE, "width": 7, "alpha": 0.5})],
    }
    picture.legend([*(entry for name, entries in legend.items() if picture.wanted(name) for entry in entries), *more])


def _n_bins(n_rows: int) -> int:
    """Bins fine enough to show modes: 4 N^(1/3), between 12 and 120."""
    return int(np.clip(np.ceil(4 * n_rows ** (1 / 3)), 12, 120))
