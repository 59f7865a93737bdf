"""The picture of which rows belong together: a heat map of co-clustering probabilities."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import scatter_xy
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.picture import INK, Picture, complete, known_keys, open_picture
from bayesgmm.plots.rows import own_rows, shown
from bayesgmm.posterior.datatree import OBS, view
from bayesgmm.questions.coclustering import coclustering
from bayesgmm.questions.membership import membership

VISUALS = ("heat", "label", "noise", "edge", "colorbar", "xlabel", "ylabel", "title", "legend")
FOLLOWED = {"label": ["color"]}
PANEL = "panel"
MOST_ROWS = 600
"""Rows drawn: more are narrower than a dot of the screen."""


def plot_coclustering(
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
    """Plot the probability that two rows belong together, as a heat map.

    Rows are sorted by their most probable component, and within it so that rows that go together are side by side
    (average linkage, optimal leaf ordering); so are columns. Clusters are dark squares, what is in doubt between two of
    them is pale off the diagonal. A bar in the colours of the components runs along the diagonal's left side; rows
    that are most probably noise come first, with grey crosses.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    X : table, optional
        Rows to judge; those fitted by default. A GaussianMixture keeps none, and needs them.
    plot_collection : PlotCollection, optional
        Panel to draw into, as an earlier call returned it.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default. Cells and their colour bar are drawn with matplotlib;
        the others draw filled contours.
    labeller : Labeller, optional
        Writes the names of components.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}; by default ``label`` follows ``color``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: heat, label (the bar), noise (its crosses), edge (lines
        between components), colorbar, xlabel, ylabel, title, legend.
    stats : mapping, optional
        ``coclustering``: the whole matrix that `coclustering` gave for these rows, if known.
    **pc_kwargs
        Passed to `PlotCollection.wrap`.

    Returns
    -------
    PlotCollection
        One panel along ``panel``: "heat".

    Notes
    -----
    Of more than 600 rows, 600 are drawn, chosen at random with a fixed seed; the picture then says so.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> pc = bg.plot_coclustering(gm, X, backend="none")
    >>> sorted(pc.viz.children)
    ['edge', 'heat', 'label', 'title', 'xlabel', 'ylabel']
    """
    mixture = view(dt)
    K = mixture.parameters.n_components
    observations = mixture.observe(X)
    rows = choose_rows(observations, MOST_ROWS)
    drawn = observations.take(rows)
    known = known_keys("stats", stats, ["coclustering"]).get("coclustering")
    if known is not None and known["probability"].shape != (observations.n_rows,) * 2:
        raise ValueError(
            f'stats["coclustering"] is {known["probability"].shape}, and the data has {observations.n_rows} rows: it '
            "must be the whole matrix of these rows."
        )
    picture = open_picture(
        PANEL,
        ["heat"],
        K,
        visual_names=VISUALS,
        panel_size=(4.9, 4.3),
        n_columns=1,
        plot_collection=plot_collection,
        backend=backend,
        labeller=labeller,
        aes_by_visuals={**FOLLOWED, **(aes_by_visuals or {})},
        visuals=visuals,
        pc_kwargs=pc_kwargs,
    )
    matrix = coclustering(dt, drawn)["probability"].values if known is None else known["probability"].values
    matrix = matrix if known is None else matrix[np.ix_(rows, rows)]
    label = membership(dt, drawn, intervals=False, n_simulated=0, progressbar=False)["label"].values
    order = _order(matrix, label)
    matrix, label = matrix[np.ix_(order, order)], label[order]
    n = len(label)
    coords = {PANEL: ["heat"]}
    heat = xr.DataArray(matrix[None], dims=(PANEL, "row", "column"), coords=coords)
    if picture.collection.backend == "matplotlib":
        picture.draw("heat", _image, heat)
    else:  # the other backends share no image, but filled contours
        picture.draw("heat", _filled_contours, heat, backend=picture.backend)
    bar = xr.DataArray(
        np.stack([np.full(n, -0.022 * n), np.arange(n)])[None],
        dims=(PANEL, "plot_axis", OBS),
        coords={**coords, "plot_axis": ["x", "y"]},
    )
    picture.draw(
        "label",
        complete(scatter_xy),
        bar.where(own_rows(label, K)),
        marker="|" if picture.collection.backend == "none" else "s",
        size=picture.marker_size(18),
        **picture.only_matplotlib(linewidths=0),
    )
    picture.draw_noise(bar, label, size=picture.marker_size(18))
    between = xr.DataArray((np.flatnonzero(np.diff(label)) + 0.5)[None], dims=(PANEL, "edge"), coords=coords)
    if between.sizes["edge"]:
        picture.draw("edge", _edges, between, backend=picture.backend, color=INK, width=0.5, alpha=0.6)
    which = shown(n, observations.n_rows)
    picture.write("xlabel", "xlabel", {"heat": "row, in the same order"})
    picture.write("ylabel", "ylabel", {"heat": f"{which}, by component"})
    unsure = matrix[(matrix > 0.05) & (matrix < 0.95)].size / max(n * n, 1)
    picture.write("title", "title", {"heat": f"{100 * unsure:.2g} % of pairs between 0.05 and 0.95"})
    if picture.wanted("colorbar") and picture.fresh:
        _colorbar(picture)
    picture.legend([*picture.component_entries(K, width=4), *picture.noise_entries(label)])
    return picture.collection


def _order(matrix: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Rows by component, and within it by an ordering of the leaves of its hierarchy."""
    order = []
    for k in np.unique(label):
        rows = np.flatnonzero(label == k)
        if len(rows) > 2:
            # rounding may make distances of 1e-17 below zero
            apart = squareform(np.maximum(1 - matrix[np.ix_(rows, rows)], 0.0), checks=False)
            rows = rows[leaves_list(optimal_leaf_ordering(linkage(apart, "average"), apart))]
        order.append(rows)
    return np.concatenate(order)


def _edges(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> Any:
    """Draw lines between components, across and along."""
    return [draw(edge, target, **properties) for edge in da.values for draw in (backend.hline, backend.vline)][-1]


def _image(da: xr.DataArray, target: Any, **properties: Any) -> Any:
    """Draw a symmetric matrix of probabilities, its first row at the bottom."""
    n = da.shape[0]
    # not aspect="equal": the layout would then cut the label of the vertical axis
    defaults = {"cmap": "Greys", "vmin": 0, "vmax": 1, "interpolation": "nearest", "origin": "lower"}
    image = target.imshow(da.values, **{**defaults, "aspect": "auto", **properties})
    target.set_xlim(-0.045 * n, n - 0.5)
    target.set_ylim(-0.5, n - 0.5)
    return image


def _filled_contours(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> Any:
    """Draw the same matrix as bands of probability."""
    at = np.arange(da.shape[0])
    return backend.contourf(at, at, da.values, target, **{"levels": np.linspace(0, 1, 11), **properties})


def _colorbar(picture: Picture) -> None:
    if picture.collection.backend != "matplotlib" or not picture.wanted("heat"):
        return
    asked = picture.visuals.get("colorbar", {})
    properties = {
        "label": "probability of being together",
        "shrink": 0.8,
        **(asked if isinstance(asked, Mapping) else {}),
    }
    image = picture.collection.get_viz("heat", "heat", {PANEL: "heat"})
    target = picture.collection.get_target(None, {PANEL: "heat"})
    bar = picture.collection.get_viz("figure").colorbar(image, ax=target, **properties)
    picture.collection.viz["colorbar"] = xr.DataArray(np.array(bar, dtype=object))
