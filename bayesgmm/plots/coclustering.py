"""The picture of which rows belong together: a heat map of co-clustering probabilities."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.asked import Asked, known_answer
from bayesgmm.plots.picture import INK, open_picture
from bayesgmm.plots.rows import draw_dots, draw_noise, own_rows, shown
from bayesgmm.posterior.datatree import OBS, view
from bayesgmm.questions.coclustering import coclustering
from bayesgmm.questions.membership import membership

VISUALS = ("heat", "label", "noise", "edge", "colorbar", "xlabel", "ylabel", "title", "legend")
FOLLOWED = {"label": ["color"]}
PANEL, HEAT = "panel", ["heat"]
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
    known = known_answer(stats, "coclustering")
    if known is not None and known["probability"].shape != (observations.n_rows,) * 2:
        raise ValueError(
            f'stats["coclustering"] is {known["probability"].shape}, and the data has {observations.n_rows} rows: it '
            "must be the whole matrix of these rows."
        )
    asked = Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs)
    picture = open_picture(PANEL, HEAT, K, asked, VISUALS, FOLLOWED, panel_size=(4.9, 4.3), n_columns=1)
    if known is None:
        matrix = coclustering(dt, drawn)["probability"].values
    else:
        matrix = known["probability"].values[np.ix_(rows, rows)]
    label = membership(dt, drawn, intervals=False, n_simulated=0, progressbar=False)["label"].values
    order = _order(matrix, label)
    matrix, label = matrix[np.ix_(order, order)], label[order]
    n = len(label)
    heat = picture.lay(HEAT, matrix[None], "row", "column")
    if picture.collection.backend == "matplotlib":
        picture.draw("heat", _image, heat)
    else:  # the other backends share no image, but filled contours
        picture.draw("heat", _filled_contours, heat, backend=picture.backend)
    bar = picture.lay(HEAT, [[np.full(n, -0.022 * n), np.arange(n)]], "plot_axis", OBS)
    square = "|" if picture.collection.backend == "none" else "s"
    draw_dots(picture, "label", bar.where(own_rows(label, K)), 18, marker=square)
    draw_noise(picture, bar, label, area=18)
    between = picture.lay(HEAT, np.flatnonzero(np.diff(label))[None] + 0.5, "edge")
    if between.sizes["edge"]:
        picture.draw("edge", _edges, between, backend=picture.backend, color=INK, width=0.5, alpha=0.6)
    unsure = matrix[(matrix > 0.05) & (matrix < 0.95)].size / max(n * n, 1)
    picture.write_all("xlabel", "row, in the same order", HEAT)
    picture.write_all("ylabel", f"{shown(n, observations.n_rows)}, by component", HEAT)
    picture.write_all("title", f"{100 * unsure:.2g} % of pairs between 0.05 and 0.95", HEAT)
    picture.add_colorbar("heat", *HEAT, label="probability of being together", shrink=0.8)
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
