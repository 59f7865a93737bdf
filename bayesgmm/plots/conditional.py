"""The picture of one feature given another: expected value and new values, over the data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import fill_between_y, line_xy

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.conditioning import regressions
from bayesgmm.mixture.features import positions
from bayesgmm.plots.asked import Asked, choose_features
from bayesgmm.plots.curves import grid, mean_component_densities
from bayesgmm.plots.picture import INK, MUTED, open_picture
from bayesgmm.plots.rows import draw_dots, point_style, shown
from bayesgmm.posterior.datatree import COMPONENT, FEATURE, OBS, MixtureView, view
from bayesgmm.posterior.intervals import check_ci_prob
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.conditional_mean import conditional_mean
from bayesgmm.tools.integers import check_integer

VISUALS = ("points", "predictive", "band", "mean", "components", "xlabel", "ylabel", "legend")
FOLLOWED = {"components": ["color"]}

LEAST_SHARE = 0.05
"""A component's own line is drawn where its membership probability, given the one feature, is more than this."""


def plot_conditional(
    dt: "xr.DataTree | GaussianMixture",
    given: str | int,
    X: Any = None,
    *,
    features: str | Sequence[str] | None = None,
    ci_prob: float | None = None,
    n_points: int = 200,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot what features are expected to be, given another, over the data.

    A panel for each feature: the posterior mean of E[y | x] with its pointwise interval (how well the curve is known),
    and a wider, paler band where new values lie (equal-tailed, parameter uncertainty included). Thin lines are the
    regressions within components, where a component has a membership probability above 5 %. Both come from
    `conditional_mean`; features not named are integrated out.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then the curve has no interval).
    given : str or int
        The feature along the horizontal axis, by name or position.
    X : table, optional
        Rows to show; those fitted by default. A GaussianMixture keeps none, and needs them.
    features : str or sequence of str, optional
        Features to predict, by name; all others by default.
    ci_prob : float, optional
        Probability of both bands; ``az.rcParams["stats.ci_prob"]`` by default.
    n_points : int
        Points of the curve.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default.
    labeller : Labeller, optional
        Writes the names of components and features.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default ``components`` follows ``color``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: points, predictive, band, mean, components, xlabel, ylabel,
        legend.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``feature``, the predicted ones.

    Raises
    ------
    ValueError
        For an unknown feature, visual or panel, a mixture in one feature, or a GaussianMixture without `X`.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> pc = bg.plot_conditional(gm, "waiting", X, backend="none")
    >>> sorted(pc.viz.children)
    ['components', 'mean', 'points', 'predictive', 'xlabel', 'ylabel']
    """
    mixture = view(dt)
    observations = mixture.observe(X)
    names = mixture.feature_names
    (x_feature,) = positions(names, [given])
    if features is None:
        features = [name for j, name in enumerate(names) if j != x_feature]
    if not features:
        raise ValueError(f"the mixture has one feature, {names[0]!r}: there is none to predict from it.")
    chosen = choose_features(mixture, features)
    if x_feature in chosen:
        raise ValueError(f"`features` holds {names[x_feature]!r}, which is given: leave it out.")
    prob = check_ci_prob(ci_prob)
    n_points = check_integer("n_points", n_points, least=2)
    panels = [names[j] for j in chosen]
    P, K = len(panels), mixture.parameters.n_components
    picture = open_picture(
        FEATURE,
        panels,
        K,
        Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs),
        VISUALS,
        FOLLOWED,
        panel_size=(5.4, 4.0) if P == 1 else (3.9, 3.2),
        n_columns=1 if P == 1 else 2 if P in (2, 4) else 3,
    )
    rows = choose_rows(observations)
    data = np.asarray(observations.values[rows], dtype=np.float64)
    x = grid(np.asarray(observations.values[:, x_feature], dtype=np.float64), n_points, margin=0.05)
    some = marginal(dt, [x_feature, *chosen])
    predicted = conditional_mean(some, {names[x_feature]: x}, ci_prob=prob).sel({FEATURE: panels})

    def along(*variables: str) -> np.ndarray:
        """(panel, 1 + variables, point)."""
        return np.stack([np.broadcast_to(x, (P, n_points)), *(predicted[v].values.T for v in variables)], axis=1)

    def band(name: str, of: str, alpha: float) -> None:
        ends = picture.lay(panels, along(f"{of}_lower", f"{of}_upper"), "kwarg", "point")
        picture.draw(name, fill_between_y, ends, color=INK, alpha=alpha, **picture.only_matplotlib(linewidth=0))

    band("predictive", "predictive", 0.12)
    points = np.stack([np.broadcast_to(data[:, x_feature], (P, len(data))), data[:, chosen].T], axis=1)
    area, alpha = point_style(len(rows), 12, 0.6)
    draw_dots(picture, "points", picture.lay(panels, points, "plot_axis", OBS), area, color=MUTED, alpha=alpha)
    if mixture.has_draws:
        band("band", "mean", 0.35)
    picture.draw("mean", line_xy, picture.lay(panels, along("mean"), "plot_axis", "point"), color=INK, width=2.8)
    lines = picture.lay(panels, component_lines(view(some), x), COMPONENT, "plot_axis", "point")
    picture.draw("components", line_xy, lines, width=1.2)
    picture.write_all("xlabel", picture.feature_labels(mixture, [x_feature])[0], panels)
    picture.write("ylabel", dict(zip(panels, picture.feature_labels(mixture, chosen), strict=True)))
    percent = f"{100 * prob:g} %"
    entries = {
        "mean": [("expected value", {"color": INK, "width": 2.8})],
        "band": [(f"its {percent} band", {"color": INK, "width": 7, "alpha": 0.35})] * mixture.has_draws,
        "predictive": [(f"{percent} of new values", {"color": INK, "width": 7, "alpha": 0.12})],
        "components": picture.component_entries(K, width=1.2),
        "points": [picture.mark_entry(shown(len(rows), observations.n_rows))],
    }
    picture.legend(picture.entries_of(entries))
    return picture.collection


def component_lines(mixture: MixtureView, x: np.ndarray) -> np.ndarray:
    """Regression lines within components on the first feature, averaged over draws: (D - 1, K, 2, M), x and y.

    NaN where a component has hardly any share of the rows there.
    """
    slopes, means, _ = regressions(mixture.parameters, [0])
    centre = mixture.parameters.means[..., 0].mean(axis=0)
    away = (centre - mixture.parameters.means[..., 0])[..., None]
    level = (means + slopes[..., 0] * away).mean(axis=0)
    slope = slopes[..., 0].mean(axis=0)
    y = level[:, :, None] + slope[:, :, None] * (x - centre[:, None])[:, None]
    parts = mean_component_densities(mixture.parameters, 0, x)
    share = parts / np.maximum(parts.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    y = np.where((share.T > LEAST_SHARE)[:, None], y, np.nan)
    return np.stack([np.broadcast_to(x, y.shape), y], axis=-2).transpose(1, 0, 2, 3)
