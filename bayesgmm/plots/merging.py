"""The picture of merging components into clusters: the entropy at each step, and where it bends."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import line_xy, scatter_xy, set_xlim, set_xticks, set_ylim, vline

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.asked import Asked, known_answer
from bayesgmm.plots.panels import COMPONENT_COLORS
from bayesgmm.plots.picture import INK, MUTED, PALE, open_picture
from bayesgmm.posterior.datatree import OBS
from bayesgmm.questions.merge import N_CLUSTERS, merge

VISUALS = ("line", "step", "lines_fitted", "suggested", "name", "xlim", "ylim", "xticks", "xlabel", "ylabel", "title")
PANEL = "against"
NUMBER, ROWS = PANELS = ("number", "rows")


def plot_merging(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    stats: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot the entropy of the memberships as components are merged into clusters.

    On the left against the number of clusters; on the right against the rows in the clusters merged, summed over the
    merges so far, where the slope is what a merge takes from the entropy for each of them. Beside each step stand the
    components merged. Merges to the right of the bend join components that share rows; those to the left join clusters
    that are apart. Dashed: the two straight lines that fit best, and the number of clusters where they meet.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    X : table, optional
        Rows whose memberships are judged; those fitted by default. A GaussianMixture keeps none, and needs them.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default.
    labeller : Labeller, optional
        For a signature like the other pictures'; nothing here is labelled by it.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}; none by default.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: line, step, lines_fitted, suggested, name, xlim, ylim,
        xticks, xlabel, ylabel, title.
    stats : mapping, optional
        ``merging``: what `merge` returned, if known.
    **pc_kwargs
        Passed to `PlotCollection.wrap`.

    Returns
    -------
    PlotCollection
        Panels along ``against``: "number" and "rows".

    References
    ----------
    Baudry, Raftery, Celeux, Lo & Gottardo (2010), J. Comput. Graph. Stat. 19, 332-353, figures 4 and 7.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(4, random_state=0).fit(X)
    >>> pc = bg.plot_merging(gm, X, backend="none")
    >>> sorted(pc.viz.children)
    ['line', 'lines_fitted', 'name', 'step', 'suggested', 'title', 'xlabel', 'ylabel']
    """
    known = known_answer(stats, "merging")
    merged = merge(dt, X, memberships=False) if known is None else known
    asked = Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs)
    picture = open_picture(PANEL, PANELS, 1, asked, VISUALS, {}, panel_size=(4.4, 3.6), n_columns=2)
    counts = merged[N_CLUSTERS].values
    entropy = merged["entropy"].values
    across = {NUMBER: counts.astype(np.float64), ROWS: merged["n_merged_so_far"].values.astype(np.float64)}
    suggested = {NUMBER: merged.attrs["suggested"], ROWS: merged.attrs["suggested_per_row"]}
    points = picture.lay(PANELS, [[x, entropy] for x in across.values()], "plot_axis", OBS)
    if len(counts) > 2:
        bends = {panel: int(np.flatnonzero(counts == suggested[panel])[0]) for panel in PANELS}
        # one after the other, NaN between them
        fitted = [_two_lines(across[panel], entropy, bends[panel]) for panel in PANELS]
        lines = picture.lay(PANELS, fitted, "plot_axis", OBS)
        picture.draw("lines_fitted", line_xy, lines, color=MUTED, width=1.0, linestyle=picture.dashes)
        at = picture.lay(PANELS, [across[panel][bends[panel]] for panel in PANELS])
        picture.draw("suggested", vline, at, color=PALE, width=3.0, alpha=0.7)
    picture.draw("line", line_xy, points, color=COMPONENT_COLORS[0], width=1.4)
    picture.draw("step", scatter_xy, points, color=COMPONENT_COLORS[0], size=picture.marker_size(30))
    if names := _names(merged):
        small = picture.only_matplotlib(fontsize="small")
        picture.draw("name", _write, points, backend=picture.backend, names=names, **small)
    for panel, beyond in ((NUMBER, 0.15), (ROWS, 0.05)):
        x, width = across[panel], max(float(np.ptp(across[panel])), 1.0)
        picture.set_axis("xlim", set_xlim, [panel], limits=(x.min() - beyond * width, x.max() + 0.1 * width))
    height = max(float(np.ptp(entropy)), 1e-9)
    limits = (entropy.min() - 0.15 * height, entropy.max() + 0.1 * height)
    picture.set_axis("ylim", set_ylim, PANELS, limits=limits)
    picture.set_axis("xticks", set_xticks, [NUMBER], values=counts, labels=[str(count) for count in counts])
    picture.write("xlabel", {NUMBER: "number of clusters", ROWS: "rows in merged clusters, summed"})
    picture.write_all("ylabel", "entropy of the memberships [nat]", PANELS)
    said = {panel: f"bends at {number} clusters" if len(counts) > 2 else "" for panel, number in suggested.items()}
    picture.write("title", said)
    return picture.collection


def _write(da: xr.DataArray, target: Any, *, backend: ModuleType, names: Mapping[int, str], **properties: Any) -> Any:
    """Write a name beside each step, where the curve does not run; the last one below it."""
    x, y = (da.sel(plot_axis=axis).values for axis in ("x", "y"))
    rises, away = x[0] > x[-1], 0.025 * float(np.ptp(y))
    artist = None
    for step, text in names.items():
        last = step == len(x) - 1
        artist = backend.text(
            x[step],
            y[step] - away if last else y[step] + away,
            text,
            target,
            **{
                "color": INK,
                "horizontal_align": "right" if rises != last else "left",
                "vertical_align": "top" if last else "bottom",
                **properties,
            },
        )
    return artist


def _two_lines(x: np.ndarray, y: np.ndarray, at: int) -> np.ndarray:
    """Two least-squares lines, to point `at` and from it, with a gap of NaN between: x and y, (2, K + 2)."""
    parts = []
    for part in (slice(None, at + 1), slice(at, None)):
        centred = x[part] - x[part].mean()
        spread = float(centred @ centred)
        slope = float(centred @ y[part]) / spread if spread > 0 else 0.0
        parts.append(np.stack([x[part], y[part].mean() + slope * centred]))
    return np.concatenate([parts[0], np.full((2, 1), np.nan), parts[1]], axis=1)


def _names(merged: xr.Dataset) -> dict[int, str]:
    """Components joined at each merge, by its position."""
    said = {}
    cluster = merged["cluster"].values
    for step in range(1, merged.sizes[N_CLUSTERS]):
        parts = [np.flatnonzero(cluster[step - 1] == c) for c in merged["merged"].values[step]]
        said[step] = " + ".join(
            "{" + ", ".join(map(str, part)) + "}" if len(part) > 1 else str(part[0]) for part in parts
        )
    return said
