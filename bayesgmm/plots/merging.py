"""The picture of merging components into clusters: the entropy at each step, and where it bends."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import line_xy, scatter_xy, set_xlim, set_xticks, set_ylim, vline

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.picture import COMPONENT_COLORS, INK, MUTED, PALE, known_keys, open_picture
from bayesgmm.posterior.datatree import OBS
from bayesgmm.questions.merge import N_CLUSTERS, merge

VISUALS = ("line", "step", "lines_fitted", "suggested", "name", "xlim", "ylim", "xticks", "xlabel", "ylabel", "title")
PANEL = "against"
PANELS = ("number", "rows")


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
    found = known_keys("stats", stats, ["merging"]).get("merging")
    found = merge(dt, X, memberships=False) if found is None else found
    picture = open_picture(
        PANEL,
        PANELS,
        1,
        visual_names=VISUALS,
        panel_size=(4.4, 3.6),
        n_columns=2,
        plot_collection=plot_collection,
        backend=backend,
        labeller=labeller,
        aes_by_visuals=aes_by_visuals,
        visuals=visuals,
        pc_kwargs=pc_kwargs,
    )
    counts = found[N_CLUSTERS].values
    entropy = found["entropy"].values
    across = {"number": counts.astype(np.float64), "rows": found["n_merged_so_far"].values.astype(np.float64)}
    suggested = {"number": found.attrs["suggested"], "rows": found.attrs["suggested_per_row"]}
    coords = {PANEL: list(PANELS), "plot_axis": ["x", "y"]}
    points = xr.DataArray(
        np.stack([[x, entropy] for x in across.values()]), dims=(PANEL, "plot_axis", OBS), coords=coords
    )
    if len(counts) > 2:
        fits = [_two_lines(x, entropy, int(np.flatnonzero(counts == suggested[name])[0])) for name, x in across.items()]
        # one after the other, NaN between them
        fitted = xr.DataArray(np.stack(fits), dims=(PANEL, "plot_axis", OBS), coords=coords)
        picture.draw("lines_fitted", line_xy, fitted, color=MUTED, width=1.0, linestyle=picture.dashes)
        at = [float(across[name][counts == suggested[name]][0]) for name in PANELS]
        bend = xr.DataArray(at, dims=PANEL, coords={PANEL: list(PANELS)})
        picture.draw("suggested", vline, bend, color=PALE, width=3.0, alpha=0.7)
    picture.draw("line", line_xy, points, color=COMPONENT_COLORS[0], width=1.4)
    picture.draw("step", scatter_xy, points, color=COMPONENT_COLORS[0], size=picture.marker_size(30))
    names = _names(found)
    if names:
        picture.draw(
            "name", _write, points, backend=picture.backend, names=names, **picture.only_matplotlib(fontsize="small")
        )
    for panel in PANELS:
        width = max(float(np.ptp(across[panel])), 1.0)
        limits = (
            across[panel].min() - (0.15 if panel == "number" else 0.05) * width,
            across[panel].max() + 0.1 * width,
        )
        one = xr.DataArray(np.zeros(1), dims=PANEL, coords={PANEL: [panel]})
        picture.draw("xlim", set_xlim, one, limits=limits, store_artist=False)
    height = max(float(np.ptp(entropy)), 1e-9)
    both = xr.DataArray(np.zeros(2), dims=PANEL, coords={PANEL: list(PANELS)})
    limits = (entropy.min() - 0.15 * height, entropy.max() + 0.1 * height)
    picture.draw("ylim", set_ylim, both, limits=limits, store_artist=False)
    panels = xr.DataArray(np.zeros(1), dims=PANEL, coords={PANEL: ["number"]})
    picture.draw("xticks", set_xticks, panels, values=counts, labels=[str(c) for c in counts], store_artist=False)
    picture.write("xlabel", "xlabel", {"number": "number of clusters", "rows": "rows in merged clusters, summed"})
    picture.write("ylabel", "ylabel", dict.fromkeys(PANELS, "entropy of the memberships [nat]"))
    said = {name: f"bends at {number} clusters" if len(counts) > 2 else "" for name, number in suggested.items()}
    picture.write("title", "title", said)
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


def _names(found: xr.Dataset) -> dict[int, str]:
    """Components joined at each merge, by its position."""
    said = {}
    cluster = found["cluster"].values
    for step in range(1, found.sizes[N_CLUSTERS]):
        parts = [np.flatnonzero(cluster[step - 1] == c) for c in found["merged"].values[step]]
        said[step] = " + ".join(
            "{" + ", ".join(map(str, part)) + "}" if len(part) > 1 else str(part[0]) for part in parts
        )
    return said
