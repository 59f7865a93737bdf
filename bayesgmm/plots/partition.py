"""The picture of the best clustering, and of how different it may still be: its credible ball."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import set_ylim

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.asked import Asked, known_answer, map_features
from bayesgmm.plots.picture import Picture, open_picture
from bayesgmm.plots.rows import draw_dots, draw_noise, shown
from bayesgmm.posterior.datatree import COMPONENT, OBS, view
from bayesgmm.questions.partition import partition

VISUALS = ("row", "stayed", "moved", "noise", "noise_moved", "ylim", "xlabel", "ylabel", "title", "legend")
FOLLOWED = {name: ["color", "marker"] for name in ("row", "stayed", "moved")}
PANEL = "clustering"
BEST = "best"
TITLES = {
    "vertical_upper": "fewest clusters in the ball",
    "vertical_lower": "most clusters in the ball",
    "horizontal": "furthest in the ball",
}


def plot_partition(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    features: Sequence[str] | None = None,
    loss: str = "vi",
    ci_prob: float | None = None,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    stats: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot the clustering of least expected loss, and the edges of its credible ball.

    A panel for the best clustering and one for each bound of the ball; bounds that are the same draw share a panel.
    Rows are drawn on a map of two features, in the colour of their cluster; in a bound, those that the best clustering
    puts elsewhere are drawn large, and the others small and pale. With one feature the map's other axis is the
    cohesion, the mean probability of being together with another row of the cluster.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    X : table, optional
        Rows to cluster; those fitted by default. A GaussianMixture keeps none, and needs them.
    features : two str, optional
        Axes of the map; the first two by default. The clustering is always that of all features.
    loss : {"vi", "binder"}
        As in `partition`.
    ci_prob : float, optional
        Probability of the ball; ``az.rcParams["stats.ci_prob"]`` by default.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default.
    labeller : Labeller, optional
        Writes the names of features.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}; by default rows follow ``color`` and ``marker``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: row (of the best), stayed and moved (of bounds), noise and
        noise_moved (crosses), ylim (with one feature), xlabel, ylabel, title, legend.
    stats : mapping, optional
        ``partition``: what `partition` returned for these rows, if known.
    **pc_kwargs
        Passed to `PlotCollection.wrap`.

    Returns
    -------
    PlotCollection
        Panels along ``clustering``: "best", and the bounds that differ from each other.

    Raises
    ------
    ValueError
        For an unknown feature or visual, or another number of rows in `stats`.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> pc = bg.plot_partition(gm, X, backend="none")
    >>> sorted(pc.viz.children)
    ['moved', 'row', 'stayed', 'title', 'xlabel', 'ylabel']
    """
    mixture = view(dt)
    chosen = map_features(mixture, features)
    observations = mixture.observe(X)
    clustering = known_answer(stats, "partition", observations.n_rows)
    if clustering is None:
        clustering = partition(dt, observations, loss=loss, ci_prob=ci_prob)
    rows = choose_rows(observations)
    panels, bounds = _panels(clustering)
    labels = np.stack(
        [clustering["label"].values, *(clustering["bound_label"].sel(bound=bound[0]).values for bound in bounds)]
    )
    C = int(labels.max()) + 1
    asked = Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs)
    picture = open_picture(PANEL, panels, C, asked, VISUALS, FOLLOWED, panel_size=(3.9, 3.5), n_columns=2)
    columns = list(np.asarray(observations.values[rows], dtype=np.float64)[:, chosen].T)
    axes = picture.feature_labels(mixture, chosen)
    if len(chosen) == 1:
        columns.append(clustering["cohesion"].values[rows])
        axes.append("cohesion")
        picture.set_axis("ylim", set_ylim, panels, limits=(-0.03, 1.03))
    labels = labels[:, rows]
    clusters = np.arange(C)
    points = xr.DataArray(np.stack(columns), dims=("plot_axis", OBS), coords={"plot_axis": ["x", "y"]})
    own = xr.DataArray(
        labels[:, None] == clusters[:, None], dims=(PANEL, COMPONENT, OBS), coords={PANEL: panels, COMPONENT: clusters}
    )
    moved = xr.DataArray(labels != labels[0], dims=(PANEL, OBS), coords={PANEL: panels})
    shrink = min(1.0, 1000 / len(rows))
    stayed, elsewhere = points.where(own & ~moved), points.where(own & moved)
    draw_dots(picture, "row", stayed.sel({PANEL: panels[:1]}), 22 * max(shrink, 0.3), alpha=0.8)
    draw_dots(picture, "stayed", stayed.sel({PANEL: panels[1:]}), 10 * max(shrink, 0.3), alpha=0.3)
    draw_dots(picture, "moved", elsewhere.sel({PANEL: panels[1:]}), 60 * max(shrink, 0.2), alpha=0.9)
    of_panel = picture.lay(panels, labels, OBS)
    cross = 22 * max(shrink, 0.3)
    draw_noise(picture, points, of_panel.where(~moved, 0), area=cross, alpha=0.8)
    draw_noise(picture, points, of_panel.where(moved, 0), name="noise_moved", area=3 * cross, alpha=0.9)
    picture.write_all("xlabel", axes[0], panels)
    picture.write_all("ylabel", axes[1], panels)
    picture.write("title", _titles(picture, clustering, panels, bounds, len(rows)))
    entries = [(f"cluster {c}", line) for c, (_, line) in enumerate(picture.component_entries(C, width=2))]
    picture.legend([*entries, *picture.noise_entries(labels), picture.mark_entry("elsewhere in the best", area=60)])
    return picture.collection


def _panels(clustering: xr.Dataset) -> tuple[list[str], list[list[str]]]:
    """Names of the panels, and the bounds that each but the first shows: equal ones together."""
    groups: list[list[str]] = []
    for name in map(str, clustering["bound"].values):
        label = clustering["bound_label"].sel(bound=name).values
        for group in groups:
            if (clustering["bound_label"].sel(bound=group[0]).values == label).all():
                group.append(name)
                break
        else:
            groups.append([name])
    return [BEST, *(group[0] for group in groups)], groups


def _titles(
    picture: Picture, clustering: xr.Dataset, panels: list[str], bounds: list[list[str]], n_drawn: int
) -> dict[str, str]:
    unit = " bit" if clustering.attrs["loss"] == "vi" else ""
    count = int(clustering["n_clusters"])
    titles = {
        BEST: picture.line_break.join(
            [
                f"best: {count} cluster{'s' * (count != 1)}, {shown(n_drawn, clustering.sizes[OBS])}",
                f"expected loss {float(clustering['expected_loss']):.3g}{unit}",
            ]
        )
    }
    for panel, group in zip(panels[1:], bounds, strict=True):
        edge = clustering.sel(bound=panel)
        moved = int((edge["bound_label"].values != clustering["label"].values).sum())
        if len(group) == len(TITLES):
            name = f"edge of the {100 * clustering.attrs['ci_prob']:g} % ball"
        else:
            name = ", ".join(TITLES[bound] for bound in group)
        away = float(edge["bound_distance"])
        elsewhere = f"{moved} {'row' if moved == 1 else 'rows'} elsewhere, {away:.3g}{unit} away"
        titles[panel] = picture.line_break.join([f"{name}: {int(edge['bound_n_clusters'])} clusters", elsewhere])
    return titles
