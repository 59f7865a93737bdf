"""Densities of single features: mean, band and components over a histogram, a panel for each feature."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from arviz_plots.visuals import fill_between_y, hist, line_xy

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.curves import (
    curve_grid,
    density_label,
    mean_component_densities,
    mean_noise_density,
    n_bins,
    visible,
)
from bayesgmm.plots.picture import INK, MUTED, PALE, Entry, Picture
from bayesgmm.plots.rows import draw_rug, labels_of_rows
from bayesgmm.posterior.datatree import COMPONENT, MixtureView
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.density import density

VISUALS = ("histogram", "rug", "noise_rug", "band", "mean", "components", "noise_density", "xlabel", "ylabel", "legend")
STATS = ("histogram",)
RUG_ROWS = 500


class Subject(NamedTuple):
    """What is drawn of which density.

    Attributes
    ----------
    dt : DataTree or GaussianMixture
    mixture : MixtureView
        The view of it.
    observations : Observations
        The rows to show.
    features : list of int
        Positions.
    prob : float
        Probability of the band.
    n_points : int
        Points of the grid along each axis.
    stats : dict
        As the caller gave it.
    """

    dt: "xr.DataTree | GaussianMixture"
    mixture: MixtureView
    observations: Observations
    features: list[int]
    prob: float
    n_points: int
    stats: dict[str, Any]


def draw(picture: Picture, subject: Subject) -> None:
    """Draw the density of each feature into its panel, its labels and the legend."""
    draw_panels(picture, subject)
    x_labels, y_labels = labels(picture, subject.mixture, subject.features)
    picture.write("xlabel", x_labels)
    picture.write("ylabel", y_labels)
    noise: list[Entry] = []
    if subject.mixture.parameters.noise is not None and picture.wanted("noise_density"):
        noise.append(("noise", {"color": MUTED, "width": 1.4}))
    write_legend(picture, subject, noise)


def draw_panels(picture: Picture, subject: Subject) -> None:
    """Draw the density of each feature into the panel of its name."""
    mixture, observations = subject.mixture, subject.observations
    names = [mixture.feature_names[j] for j in subject.features]
    histogram, band, mean, components, noise = [], [], [], [], []
    for j in subject.features:
        values = np.asarray(observations.values[:, j], dtype=np.float64)
        points = curve_grid(values, subject.n_points, mixture.parameters, j)
        heights = density(marginal(subject.dt, [j]), points[:, None], ci_prob=subject.prob)
        mean.append([points, heights["density"].values])
        if mixture.has_draws:
            band.append([points, heights["density_lower"].values, heights["density_upper"].values])
        parts = visible(mean_component_densities(mixture.parameters, j, points))
        components.append([[points, part] for part in parts.T])
        of_noise = mean_noise_density(mixture.parameters, j, points)
        if of_noise is not None:
            noise.append([points, of_noise])
        seen = values[~np.isnan(values)]
        # as many bins in every panel, however many values are missing
        bins = {"bins": n_bins(len(values)), "density": True, **subject.stats.get("histogram", {})}
        counted, edges = np.histogram(seen, **bins)
        histogram.append([counted, edges[:-1], edges[1:]])
    bars = picture.lay(names, histogram, "plot_axis", "bin", plot_axis=["histogram", "left_edges", "right_edges"])
    picture.draw("histogram", hist, bars, color=PALE, alpha=0.5, **picture.only_matplotlib(linewidth=0))
    if observations.n_rows <= RUG_ROWS or picture.visuals.get("rug"):
        highest = [max(np.max(bar[0]), np.max(curve[1])) for bar, curve in zip(histogram, mean, strict=True)]
        rows = choose_rows(observations)
        label = labels_of_rows(subject.dt, mixture, observations.take(rows))
        below = picture.lay(names, -0.03 * np.array(highest))
        values = observations.values[rows][:, subject.features].T
        draw_rug(picture, names, values, label, None, at=below, noise="noise_rug", areas=(30, 14), width=0.7)
    if mixture.has_draws:
        ends = picture.lay(names, band, "kwarg", "point")
        picture.draw("band", fill_between_y, ends, color=INK, alpha=0.25, **picture.only_matplotlib(zorder=2))

    def curves(name: str, lines: list[Any], *dims: str, **properties: Any) -> None:
        picture.draw(name, line_xy, picture.lay(names, lines, *dims, "plot_axis", "point"), **properties)

    curves("mean", mean, color=INK, width=2.6)
    curves("components", components, COMPONENT, width=1.4)
    if noise:
        curves("noise_density", noise, color=MUTED, width=1.4)


def labels(picture: Picture, mixture: MixtureView, features: Sequence[int]) -> tuple[dict[str, str], dict[str, str]]:
    """Labels of both axes of each feature's panel."""
    names = [mixture.feature_names[j] for j in features]
    along, above = picture.feature_labels(mixture, features), [density_label([mixture.units[j]]) for j in features]
    return dict(zip(names, along, strict=True)), dict(zip(names, above, strict=True))


def write_legend(picture: Picture, subject: Subject, more: Sequence[Entry] = ()) -> None:
    """Say what the curves and the bars are, and whatever `more`."""
    mixture = subject.mixture
    entries = {
        "mean": [("posterior mean" if mixture.has_draws else "fit", {"color": INK, "width": 2.6})],
        "band": [(f"{100 * subject.prob:g} % band", {"color": INK, "width": 7, "alpha": 0.25})] * mixture.has_draws,
        "components": picture.component_entries(mixture.parameters.n_components, width=1.4),
        "histogram": [(f"{subject.observations.n_rows} rows", {"color": PALE, "width": 7, "alpha": 0.5})],
    }
    picture.legend([*picture.entries_of(entries), *more])
