"""The picture of who belongs where: how sure each row is, and where the unsure ones are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import ci_line_y, fill_between_y, hline, line_xy, set_xticks, set_ylim

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots.asked import Asked, known_answer, map_features
from bayesgmm.plots.curves import curve_grid
from bayesgmm.plots.picture import MUTED, PALE, Entry, Picture, open_picture
from bayesgmm.plots.rows import complete, draw_dots, draw_noise, draw_rug, own_rows, shown
from bayesgmm.posterior.datatree import COMPONENT, OBS, view
from bayesgmm.posterior.intervals import check_ci_prob
from bayesgmm.questions.membership import membership

RANKS = ("probability", "interval", "half", "xticks", "ylim", "xlabel", "ylabel", "title", "legend")
OF_NOISE = ("noise_probability", "noise_interval")
ON_MAP = (*RANKS, *OF_NOISE, "map", "noise")
ALONG_CURVE = (*RANKS, *OF_NOISE, "curve", "curve_band", "rug", "noise_curve", "noise_rug")
FOLLOWED = {
    "probability": ["color", "marker"],
    "interval": ["color"],
    "map": ["color", "marker", "size"],
    "curve": ["color"],
    "curve_band": ["color"],
    "rug": ["color"],
    "noise": ["size"],
}
PANEL, CERTAINTY = "panel", "certainty"
RANK, MAP, CURVE = "rank", "map", "curve"
"""Panels: the first, and one of the two others beside it."""

MOST_RANKS = 300

CLASSES = (0.0, 0.5, 0.7, 0.9, 0.99)
"""Lower ends of the classes of the largest membership probability that the map tells apart."""
AREAS = (150.0, 95.0, 50.0, 22.0, 6.0)
"""Marker area of each class, in square points: the less certain, the larger. Beyond 1000 rows all shrink alike."""


def plot_membership(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    features: Sequence[str] | None = None,
    ci_prob: float | None = None,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    stats: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot how sure the membership of each row is, and how sure that probability is.

    On the left each row, the least certain first, on a logarithmic scale that gives them the room: the probability of
    its most probable component, in the colour of that component, with its interval. On the right a map of the rows of
    two features where the less certain a row is, the larger it is drawn; or, where the mixture has one feature, the
    probability of each component along it, with its band. Rows that are most probably noise are grey crosses, and
    noise is a grey curve.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there are no intervals).
    X : table, optional
        Rows to judge; those fitted by default. A GaussianMixture keeps none, and needs them.
    features : two str, optional
        Axes of the map, by name; the first two by default. The memberships are always those in all features.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default. Sizes appear in the legend with matplotlib only.
    labeller : Labeller, optional
        Writes the names of components and features.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default ``probability`` and ``map`` follow ``color`` and ``marker``, ``map``
        ``size`` too, as does ``noise``, and interval, curve, curve_band and rug ``color``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: probability, interval, half (the line at one half), map, xticks,
        ylim, xlabel, ylabel, title, legend; for one feature curve, curve_band and rug in place of map. Of the rows of
        noise noise_probability, noise_interval and noise; for one feature noise_curve and noise_rug in its place.
    stats : mapping, optional
        ``membership``: what `membership` says of these rows, if known, so that it is not computed again.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``panel``: "rank", and "map" or "curve".

    Raises
    ------
    ValueError
        For an unknown feature, visual or panel, or a GaussianMixture without `X`.

    Notes
    -----
    The membership of every row is computed, at the cost of `membership`. Of more than 300 rows, those at 300 ranks
    evenly spaced on the logarithmic scale are drawn on the left: all of the least certain, fewer of the others. On the
    right at most 5000 are drawn, chosen at random with a fixed seed; the picture then says so.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> pc = bg.plot_membership(gm, X, backend="none")
    >>> sorted(pc.viz.children)
    ['half', 'map', 'probability', 'title', 'xlabel', 'ylabel']
    """
    mixture = view(dt)
    K, one = mixture.parameters.n_components, len(mixture.feature_names) == 1
    chosen = map_features(mixture, features)
    observations = mixture.observe(X)
    prob = check_ci_prob(ci_prob)
    memberships = known_answer(stats, "membership", observations.n_rows)
    rows = choose_rows(observations)
    areas = [area * min(1.0, 1000 / len(rows)) for area in AREAS]
    asked = Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs)
    right = CURVE if one else MAP
    picture = open_picture(
        PANEL,
        [RANK, right],
        K,
        asked,
        ALONG_CURVE if one else ON_MAP,
        FOLLOWED,
        panel_size=(4.6, 3.6),
        n_columns=2,
        more_aes={"size": (CERTAINTY, range(len(CLASSES)), areas)},
    )
    if memberships is None:
        memberships = membership(dt, observations, ci_prob=prob)
    prob = float(memberships.attrs.get("ci_prob", prob))
    drawn, values = memberships.isel({OBS: rows}), np.asarray(observations.values[rows], dtype=np.float64)
    _draw_ranks(picture, memberships)
    if one:
        x = curve_grid(values[:, 0], 300, mixture.parameters, 0)
        _draw_curve(picture, x, membership(dt, x[:, None], ci_prob=prob))
        draw_rug(picture, [CURVE], values.T, drawn["label"].values, K, at=-0.05, noise="noise_rug")
    else:
        _draw_map(picture, values[:, chosen], drawn)

    axes = picture.feature_labels(mixture, chosen)
    picture.write("xlabel", {RANK: "rank of the row, the least certain first", right: axes[0]})
    picture.write("ylabel", {RANK: "probability of its component", right: "probability" if one else axes[1]})
    uncertain = int((_largest(memberships) < CLASSES[-1]).sum())
    interval = f", {100 * prob:g} % intervals" if mixture.has_draws else ""
    left = f"{uncertain} of {observations.n_rows} rows below {CLASSES[-1]:g}{interval}"
    count = shown(len(rows), observations.n_rows)
    curves = f"mean and {100 * prob:g} % band" if mixture.has_draws else "along the feature"
    picture.write("title", {RANK: left, right: curves if one else f"{count}: larger is less certain"})
    more = [picture.mark_entry(count, marker="|", area=50)] if one else _size_entries(picture, memberships, areas)
    noise = picture.noise_entries(memberships["label"].values)
    picture.legend([*picture.component_entries(K, width=2), *noise, *more])
    return picture.collection


def _with_noise(memberships: xr.Dataset, name: str) -> np.ndarray:
    """Probabilities of rows, (N, K), and where the mixture has noise, (N, K + 1), noise last."""
    of_noise = [memberships[f"noise_{name}"].values[:, None]] if f"noise_{name}" in memberships else []
    return np.concatenate([memberships[name].values, *of_noise], axis=1)


def _largest(memberships: xr.Dataset) -> np.ndarray:
    """Probability of the most probable component of each row, or of noise, (N,)."""
    return _with_noise(memberships, "probability").max(axis=1)


def _draw_ranks(picture: Picture, memberships: xr.Dataset) -> None:
    """Rows by increasing probability of their own component."""
    label = memberships["label"].values
    N = len(label)
    names = [n for n in ("probability", "probability_lower", "probability_upper") if n in memberships]
    # label -1 is the last column, of noise
    own = {name: _with_noise(memberships, name)[np.arange(N), label] for name in names}
    order = np.argsort(own["probability"], kind="stable")
    ranks = np.arange(N) if N <= MOST_RANKS else np.unique(np.geomspace(1, N, MOST_RANKS).round().astype(int)) - 1
    kept = order[ranks]
    columns = {"x": np.log10(ranks + 1), "y": own["probability"][kept]}
    if "probability_lower" in own:
        columns |= {"y_bottom": own["probability_lower"][kept], "y_top": own["probability_upper"][kept]}
    every = picture.lay([RANK], [list(columns.values())], "plot_axis", OBS, plot_axis=list(columns))
    of_components = every.where(own_rows(label[kept], memberships.sizes[COMPONENT]))
    picture.draw("half", hline, picture.lay([RANK], [0.5]), color=PALE, width=1.0, linestyle=picture.dashes)
    if "y_bottom" in columns:
        line: dict[str, Any] = {"width": 1.0, "alpha": 0.5}
        picture.draw("interval", complete(ci_line_y), of_components, **line)
        draw_noise(picture, every, label[kept], name="noise_interval", function=ci_line_y, **line)
    draw_dots(picture, "probability", of_components, 12, **picture.only_matplotlib(zorder=3))
    draw_noise(picture, every, label[kept], name="noise_probability", area=16)
    picture.set_axis("ylim", set_ylim, [RANK], limits=(-0.03, 1.03))
    steps = (1, 2, 5) if N <= 500 else (1,)
    ticks = [step * 10**power for power in range(9) for step in steps if step * 10**power <= N]
    picture.set_axis("xticks", set_xticks, [RANK], values=np.log10(ticks), labels=[str(tick) for tick in ticks])


def _draw_map(picture: Picture, values: np.ndarray, memberships: xr.Dataset) -> None:
    """Rows at their place, the larger the less certain; the certain ones underneath."""
    label = memberships["label"].values
    certainty = np.searchsorted(CLASSES, _largest(memberships), side="right") - 1
    classes = np.arange(len(CLASSES))
    same = xr.DataArray(certainty == classes[:, None], dims=(CERTAINTY, OBS), coords={CERTAINTY: classes})
    points = picture.lay([MAP], values.T[None], "plot_axis", OBS).where(same).isel({CERTAINTY: slice(None, None, -1)})
    draw_dots(picture, "map", points.where(own_rows(label, memberships.sizes[COMPONENT])), alpha=0.6)
    draw_noise(picture, points, label)


def _draw_curve(picture: Picture, x: np.ndarray, along: xr.Dataset) -> None:
    """Membership probabilities along the one feature."""
    K = along.sizes[COMPONENT]

    def layers(part: str, *names: str) -> xr.DataArray:
        columns = [np.broadcast_to(x, (K, len(x))), *(along[name].values.T for name in names)]
        return picture.lay([CURVE], np.stack(columns, axis=1)[None], COMPONENT, part, "point")

    if "probability_lower" in along:
        band = layers("kwarg", "probability_lower", "probability_upper")
        picture.draw("curve_band", fill_between_y, band, alpha=min(0.25, 0.75 / K))
    picture.draw("curve", line_xy, layers("plot_axis", "probability"), width=1.6)
    if "noise_probability" in along:
        noise = picture.lay([CURVE], [[x, along["noise_probability"].values]], "plot_axis", "point")
        picture.draw("noise_curve", line_xy, noise, color=MUTED, width=1.6)


def _size_entries(picture: Picture, memberships: xr.Dataset, areas: Sequence[float]) -> list[Entry]:
    """Say what the sizes on the map mean; the other backends' legends know lines only."""
    if picture.collection.backend != "matplotlib":
        return []
    largest = _largest(memberships)
    entries: list[Entry] = []
    for low, high, area in zip(CLASSES, [*CLASSES[1:], 1.0], areas, strict=True):
        if ((largest >= low) & (largest <= high)).any():
            text = f"{low:g} to {high:g}" if entries else f"probability {low:g} to {high:g}"
            entries.append(picture.mark_entry(text, area=area))
    return entries
