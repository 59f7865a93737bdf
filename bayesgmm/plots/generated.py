"""The picture of generated data over the real: each feature's histogram, and pairs of features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import fill_between_y, line_xy

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.asked import Asked, choose_features, pairs_of
from bayesgmm.plots.curves import density_label, n_bins
from bayesgmm.plots.picture import INK, MUTED, Entry, Picture, open_picture
from bayesgmm.plots.rows import draw_dots, draw_rows, point_style, shown
from bayesgmm.posterior.datatree import OBS, view
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.generate import generate
from bayesgmm.tools.integers import check_integer

VISUALS = ("histogram", "band", "mean", "real", "generated", "noise", "xlabel", "ylabel", "legend")
FOLLOWED = {"generated": ["color", "marker"]}
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
    n_datasets = check_integer("n_datasets", n_datasets, least=2)
    names = [mixture.feature_names[j] for j in chosen]
    pairs = pairs_of(mixture, chosen)
    K, N = mixture.parameters.n_components, observations.n_rows
    picture = open_picture(
        PANEL,
        [*names, *pairs],
        K,
        Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs),
        VISUALS,
        FOLLOWED,
        panel_size=(5.6, 3.4) if len(names) == 1 else (3.5, 3.0),
        n_columns={1: 1, 2: 3, 3: 3}.get(len(names), 4),
    )
    n_datasets = max(2, min(n_datasets, MOST_GENERATED // (N * len(chosen))))
    some = marginal(dt, chosen)
    made = generate(some, N, n_datasets=n_datasets, random_seed=random_seed)["posterior_predictive"].to_dataset()
    real, generated = np.asarray(observations.values[:, chosen], dtype=np.float64), made["x"].values[0]
    _draw_histograms(picture, names, real, generated, prob)
    mean_line = {"color": MUTED, "width": 1.2, "linestyle": picture.dashes}
    entries: dict[str, list[Entry]] = {
        "histogram": [(f"{N} real rows", {"color": INK, "width": 1.8})],
        "mean": [(f"mean of {n_datasets} generated sets", mean_line)],
        "band": [(f"{100 * prob:g} % of them", {"color": MUTED, "width": 7, "alpha": 0.3})],
    }
    if pairs:
        rows, columns = choose_rows(observations), [(chosen.index(i), chosen.index(j)) for i, j in pairs.values()]
        label = made["component_label"].values[0, 0][rows]
        area, alpha = point_style(len(rows), 9, 0.7)
        of_real, of_one = (
            picture.lay(list(pairs), [values[rows][:, pair].T for pair in columns], "plot_axis", OBS)
            for values in (real, generated[0])
        )
        draw_dots(picture, "real", of_real, area, color=MUTED, alpha=0.8 * alpha)
        draw_rows(picture, "generated", of_one, label, area, alpha, n_components=K)
        entries["real"] = [picture.mark_entry(f"real, {shown(len(rows), N)}")]
        entries["generated"] = [(f"generated, {text}", of) for text, of in picture.component_entries(K, width=3)]
        entries["noise"] = [(f"generated, {text}", of) for text, of in picture.noise_entries(label)]
    axis = dict(zip(chosen, picture.feature_labels(mixture, chosen), strict=True))
    heights = {name: density_label([mixture.units[j]]) for name, j in zip(names, chosen, strict=True)}
    picture.write("xlabel", dict(zip(names, axis.values(), strict=True)) | {p: axis[i] for p, (i, _) in pairs.items()})
    picture.write("ylabel", heights | {p: axis[j] for p, (_, j) in pairs.items()})
    picture.legend(picture.entries_of(entries))
    return picture.collection


def _draw_histograms(
    picture: Picture, names: Sequence[str], real: np.ndarray, generated: np.ndarray, prob: float
) -> None:
    """Outline of the histogram of each real column, (N, D), over those of datasets (S, N, D): mean and interval."""
    N = len(real)
    bars, bands, means = [], [], []
    for j in range(len(names)):
        edges = np.histogram_bin_edges(np.concatenate([real[:, j], _inner(generated[:, :, j])]), n_bins(N))
        width = edges[1] - edges[0]
        heights = np.stack([np.histogram(one, edges)[0] for one in generated[:, :, j]]) / (N * width)
        # each end of a bar has the bar's height: a band of steps
        at = np.repeat(edges, 2)[1:-1]
        bars.append([at, np.repeat(np.histogram(real[:, j], edges)[0] / (N * width), 2)])
        bands.append([at, *(np.repeat(end, 2) for end in interval(heights, prob))])
        means.append([at, np.repeat(heights.mean(axis=0), 2)])
    no_edge = picture.only_matplotlib(linewidth=0)
    band = picture.lay(names, bands, "kwarg", "point")
    picture.draw("band", fill_between_y, band, color=MUTED, alpha=0.3, **no_edge)
    mean = picture.lay(names, means, "plot_axis", "point")
    picture.draw("mean", line_xy, mean, color=MUTED, width=1.2, linestyle=picture.dashes)
    picture.draw("histogram", line_xy, picture.lay(names, bars, "plot_axis", "point"), color=INK, width=1.8)


def _inner(values: np.ndarray) -> np.ndarray:
    """Find what nearly all generated values lie between: one far row must not stretch the axis."""
    return np.quantile(values, [0.001, 0.999])
