"""The picture of generated data over the real: each feature's histogram, and pairs of features."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import fill_between_y, line_xy, scatter_xy

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.density_curves import _n_bins
from bayesgmm.plots.picture import INK, MUTED, complete, open_picture
from bayesgmm.plots.rows import check_count, choose_features, density_label, own_rows, point_style, shown
from bayesgmm.posterior.datatree import OBS, view
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.generate import generate

VISUALS = ("histogram", "band", "mean", "real", "generated", "noise", "xlabel", "ylabel", "legend")
PANEL = "panel"
MOST_FEATURES = 4
MOST_GENERATED = 5_000_000
"""Numbers in all generated datasets together; fewer datasets are drawn where they would be more."""


def plot_generated(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    features: str | Sequence[str] | None = None,
    n_datasets: int = 100,
    ci_prob: float | None = None,
    random_seed: int | None = None,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot generated data over the real, to see whether it looks alike.

    For each feature the outline of the histogram of the real rows, over the mean histogram of generated datasets of as
    many rows with the interval of each bar; about one bar in ten lies outside an 89 % interval by chance. For each
    pair of features one generated dataset over the real rows, generated rows in the colour of the component they come
    from, and generated noise as grey crosses.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    X : table, optional
        Real rows; those fitted by default. A GaussianMixture keeps none, and needs them.
    features : str or sequence of str, optional
        Which features, by name; the first four by default.
    n_datasets : int
        Datasets behind the histograms, at least 2.
    ci_prob : float, optional
        Probability of the interval of a bar; ``az.rcParams["stats.ci_prob"]`` by default.
    random_seed : int, optional
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default.
    labeller : Labeller, optional
        Writes the names of components and features.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default ``generated`` follows ``color`` and ``marker``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: histogram, band, mean, real, generated, noise, xlabel, ylabel,
        legend.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``panel``: the features, then their pairs ("eruptions, waiting").

    Raises
    ------
    ValueError
        For an unknown feature, visual or panel, or a GaussianMixture without `X`.

    Notes
    -----
    At most 5000 points are drawn, chosen at random with a fixed seed; the picture then says so. The histograms count
    every row. `goodness_of_fit` puts the comparison into numbers.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> pc = bg.plot_generated(gm, X, random_seed=0, backend="none")
    >>> pc.viz["plot"]["panel"].values.tolist()
    ['eruptions', 'waiting', 'eruptions, waiting']
    """
    mixture = view(dt)
    chosen = choose_features(mixture, features, most=MOST_FEATURES)
    observations = mixture.observe(X)
    prob = check_ci_prob(ci_prob)
    n_datasets = check_count("n_datasets", n_datasets, least=2)
    names = [mixture.feature_names[j] for j in chosen]
    pairs = list(combinations(range(len(chosen)), 2))
    pair_names = [f"{names[a]}, {names[b]}" for a, b in pairs]
    K, N = mixture.parameters.n_components, observations.n_rows
    picture = open_picture(
        PANEL,
        [*names, *pair_names],
        K,
        visual_names=VISUALS,
        panel_size=(5.6, 3.4) if len(names) == 1 else (3.5, 3.0),
        n_columns={1: 1, 2: 3, 3: 3}.get(len(names), 4),
        plot_collection=plot_collection,
        backend=backend,
        labeller=labeller,
        aes_by_visuals={"generated": ["color", "marker"], **(aes_by_visuals or {})},
        visuals=visuals,
        pc_kwargs=pc_kwargs,
    )
    some = marginal(dt, chosen)
    n_datasets = max(2, min(n_datasets, MOST_GENERATED // (N * len(chosen))))
    made = generate(some, N, n_datasets=n_datasets, random_seed=random_seed)["posterior_predictive"].to_dataset()
    x = made["x"].values[0]
    by_feature = {PANEL: names}
    bars, bands, means = [], [], []
    for j, feature in enumerate(chosen):
        real = np.asarray(observations.values[:, feature], dtype=np.float64)
        edges = np.histogram_bin_edges(np.concatenate([real, _inner(x[:, :, j])]), _n_bins(N))
        width = edges[1] - edges[0]
        heights = np.stack([np.histogram(one, edges)[0] for one in x[:, :, j]]) / (N * width)
        # each end of a bar has the bar's height: a band of steps
        at = np.repeat(edges, 2)[1:-1]
        bars.append([at, np.repeat(np.histogram(real, edges)[0] / (N * width), 2)])
        bands.append([at, *(np.repeat(end, 2) for end in interval(heights, prob))])
        means.append([at, np.repeat(heights.mean(axis=0), 2)])
    picture.draw(
        "band",
        fill_between_y,
        xr.DataArray(
            np.array(bands),
            dims=(PANEL, "kwarg", "point"),
            coords={**by_feature, "kwarg": ["x", "y_bottom", "y_top"]},
        ),
        color=MUTED,
        alpha=0.3,
        **picture.only_matplotlib(linewidth=0),
    )
    xy = {"plot_axis": ["x", "y"]}

    def steps(name: str, lines: list[Any], **properties: Any) -> None:
        da = xr.DataArray(np.array(lines), dims=(PANEL, "plot_axis", "point"), coords={**by_feature, **xy})
        picture.draw(name, line_xy, da, **properties)

    steps("mean", means, color=MUTED, width=1.2, linestyle=picture.dashes)
    steps("histogram", bars, color=INK, width=1.8)
    rows = choose_rows(observations)
    if pairs:
        by_pair = {PANEL: pair_names, **xy}
        dims = (PANEL, "plot_axis", OBS)
        data = np.asarray(observations.values[rows][:, chosen], dtype=np.float64)
        area, alpha = point_style(len(rows), 9, 0.7)
        point = {"size": picture.marker_size(area), **picture.only_matplotlib(linewidths=0)}
        drawn = xr.DataArray(np.stack([data[:, pair].T for pair in pairs]), dims=dims, coords=by_pair)
        picture.draw("real", scatter_xy, drawn, color=MUTED, alpha=0.8 * alpha, **point)
        one, label = x[0][rows], made["component_label"].values[0, 0][rows]
        drawn = xr.DataArray(np.stack([one[:, pair].T for pair in pairs]), dims=dims, coords=by_pair)
        picture.draw("generated", complete(scatter_xy), drawn.where(own_rows(label, K)), alpha=alpha, **point)
        picture.draw_noise(drawn, label, alpha=alpha, size=picture.marker_size(2 * area))
    axis = [picture.feature_label(mixture.feature_names[j], mixture.units[j]) for j in chosen]
    labels = [density_label([mixture.units[j]]) for j in chosen]
    picture.write(
        "xlabel", "xlabel", dict(zip([*names, *pair_names], [*axis, *(axis[a] for a, _ in pairs)], strict=True))
    )
    picture.write(
        "ylabel", "ylabel", dict(zip([*names, *pair_names], [*labels, *(axis[b] for _, b in pairs)], strict=True))
    )
    legend = {
        "histogram": [(f"{N} real rows", {"color": INK, "width": 1.8})],
        "mean": [(f"mean of {n_datasets} generated sets", {"color": MUTED, "width": 1.2, "linestyle": picture.dashes})],
        "band": [(f"{100 * prob:g} % of them", {"color": MUTED, "width": 7, "alpha": 0.3})],
    }
    if pairs:
        legend["real"] = [picture.mark_entry(f"real, {shown(len(rows), N)}")]
        of = [(f"generated, {text}", style) for text, style in picture.component_entries(K, width=3)]
        legend["generated"] = of
        legend["noise"] = [(f"generated, {text}", style) for text, style in picture.noise_entries(label)]
    picture.legend([entry for name, entries in legend.items() if picture.wanted(name) for entry in entries])
    return picture.collection


def _inner(values: np.ndarray) -> np.ndarray:
    """Find what nearly all generated values lie between: one far row must not stretch the axis."""
    return np.quantile(values, [0.001, 0.999])
