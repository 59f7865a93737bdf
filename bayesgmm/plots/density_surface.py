"""The density of two features: contours over the data, and the width of its band beside them."""

import numpy as np

from bayesgmm.data.samples import choose_rows
from bayesgmm.plots.contours import REGIONS, draw_contours, draw_filled, pack
from bayesgmm.plots.curves import density_label, grid
from bayesgmm.plots.density_curves import Subject
from bayesgmm.plots.picture import INK, Picture
from bayesgmm.plots.rows import draw_rows, labels_of_rows, point_style, shown
from bayesgmm.posterior.datatree import OBS
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.density import density

VISUALS = ("points", "noise", "contour", "width", "colorbar", "xlabel", "ylabel", "title", "legend")
STATS = ("regions",)
QUANTITY = "quantity"
MEAN, WIDTH = "mean", "width"


def draw(picture: Picture, subject: Subject) -> None:
    """Draw the density of two features into the panels "mean" and, for a posterior, "width"."""
    mixture, observations, chosen = subject.mixture, subject.observations, subject.features
    rows = choose_rows(observations)
    data = np.asarray(observations.values[rows][:, chosen], dtype=np.float64)
    x, y = (grid(column, subject.n_points) for column in data.T)
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    heights = density(marginal(subject.dt, chosen), points, ci_prob=subject.prob)
    panels = [MEAN, WIDTH] if mixture.has_draws else [MEAN]
    if mixture.has_draws:
        width = (heights["density_upper"] - heights["density_lower"]).values
        picture.draw(
            "width",
            draw_filled,
            picture.lay([WIDTH], pack(x, y, width)[None], "number"),
            backend=picture.backend,
            levels=_even_levels(float(width.max())),
            cmap="cividis" if picture.collection.backend == "bokeh" else "BuPu",
            **picture.only_matplotlib(vmin=0, vmax=1.3 * width.max()),
        )
    label = labels_of_rows(subject.dt, mixture, observations.take(rows))
    every = picture.lay([MEAN], data.T[None], "plot_axis", OBS)
    draw_rows(picture, "points", every, label, *point_style(len(rows), 9, 0.5))
    picture.draw(
        "contour",
        draw_contours,
        picture.lay(panels, [pack(x, y, heights["density"].values)] * len(panels), "number"),
        backend=picture.backend,
        shares=subject.stats.get("regions", REGIONS),
        named=picture.collection.backend == "matplotlib",
        color=INK,
        **picture.only_matplotlib(linewidths=1.0),
    )
    labels = picture.feature_labels(mixture, chosen)
    picture.write_all("xlabel", labels[0], panels)
    picture.write_all("ylabel", labels[1], panels)
    which = "posterior mean" if mixture.has_draws else "fitted"
    count = shown(len(rows), observations.n_rows)
    titles = {MEAN: f"{which} density, {count}", WIDTH: f"width of the {100 * subject.prob:g} % band"}
    picture.write("title", {panel: titles[panel] for panel in panels}, color=INK)
    if entries := picture.noise_entries(label):
        picture.legend([picture.mark_entry("row"), *entries])
    if mixture.has_draws:
        per_unit = density_label([mixture.units[j] for j in chosen])
        picture.add_colorbar("width", WIDTH, label=per_unit.replace("density", "width"))


def _even_levels(highest: float) -> np.ndarray:
    """Choose some ten round multiples of a step, from one step up to at least `highest`."""
    highest = highest or 1.0  # a single draw has no width
    power = 10.0 ** np.floor(np.log10(highest / 10))
    step = power * next(s for s in (1, 2, 2.5, 5, 10) if s * power >= highest / 10)
    return step * np.arange(1, np.ceil(highest / step) + 1)
