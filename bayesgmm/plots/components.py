"""The picture of the components over the data: each posterior draw an ellipse."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from arviz_plots.visuals import scatter_x, scatter_xy
from scipy.stats import chi2

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.plots.picture import INK, Picture, complete, open_picture
from bayesgmm.plots.rows import (
    check_count,
    choose_features,
    component_densities,
    curve_grid,
    density_label,
    known_membership,
    own_rows,
    point_style,
    shown,
    visible,
)
from bayesgmm.posterior.datatree import COMPONENT, DRAW, FEATURE, OBS, MixtureView, posterior_parameters, view
from bayesgmm.posterior.intervals import check_ci_prob
from bayesgmm.questions.membership import membership

ELLIPSES = ("points", "noise", "ellipses", "em", "xlabel", "ylabel", "title", "legend")
CURVES = ("rug", "noise", "curves", "em", "xlabel", "ylabel", "title", "legend")
FOLLOWED = {"points": ["color", "marker"], "rug": ["color"], "ellipses": ["color"], "curves": ["color"]}
PAIR = "pair"
MOST_FEATURES = 4
ELLIPSE_POINTS = 73


def plot_components(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    features: str | Sequence[str] | None = None,
    n_draws: int = 50,
    prob: float | None = None,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    stats: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot the components over the data, an ellipse for each of some posterior draws.

    The ellipse of a component holds `prob` of it: {x : (x - mu_k)' Sigma_k^-1 (x - mu_k) <= q}, q the `prob` quantile
    of chi-squared with two degrees of freedom, mu_k and Sigma_k those of the pair of features. How far the ellipses of
    the draws lie apart is how uncertain the component is. Points have the colour of their most probable component, and
    rows that are most probably noise are grey crosses. Of one feature, the weighted densities of the components are
    drawn over a rug instead.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is one ellipse for each component).
    X : table, optional
        Rows to show; those fitted by default. A GaussianMixture keeps none, and needs them.
    features : str or sequence of str, optional
        Which features, by name, with a panel for each pair of them; the first four by default.
    n_draws : int
        Posterior draws to show, evenly spaced over all chains.
    prob : float, optional
        Share of a component that its ellipse holds; ``az.rcParams["stats.ci_prob"]`` by default. This is no credible
        interval: the uncertainty is in the spread of the ellipses.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default.
    labeller : Labeller, optional
        Writes the names of components and features.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default ``points`` follow ``color`` and ``marker``; ``ellipses``, ``curves``
        and ``rug`` follow ``color``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}: points, noise, ellipses, em (dashed, where the DataTree keeps
        the EM fit), xlabel, ylabel, title, legend; for one feature rug and curves in place of points and ellipses.
    stats : mapping, optional
        ``membership``: what `membership` says of these rows, if known, so that it is not computed again.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``pair`` ("eruptions, waiting"), or ``feature`` where there is one.

    Raises
    ------
    ValueError
        For an unknown feature, visual or panel, or a GaussianMixture without `X`.

    Notes
    -----
    At most 5000 points are drawn, chosen at random with a fixed seed; the picture then says so.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(X)
    >>> pc = bg.plot_components(gm, X, backend="none")
    >>> sorted(pc.viz.children)
    ['ellipses', 'points', 'xlabel', 'ylabel']
    """
    mixture = view(dt)
    chosen = choose_features(mixture, features, most=MOST_FEATURES)
    observations = mixture.observe(X)
    n_draws = check_count("n_draws", n_draws)
    if prob is not None and not 0 < prob < 1:
        raise ValueError(f"`prob` must be strictly between 0 and 1; received {prob!r}.")
    prob = check_ci_prob(prob)
    known = known_membership(stats, observations.n_rows)
    names = [mixture.feature_names[j] for j in chosen]
    pairs = list(combinations(range(len(chosen)), 2))
    picture = open_picture(
        PAIR if pairs else FEATURE,
        [f"{names[a]}, {names[b]}" for a, b in pairs] or names,
        mixture.parameters.n_components,
        visual_names=ELLIPSES if pairs else CURVES,
        panel_size=((5.4, 4.2) if len(pairs) == 1 else (3.3, 2.9)) if pairs else (5.6, 3.4),
        n_columns=3,
        plot_collection=plot_collection,
        backend=backend,
        labeller=labeller,
        aes_by_visuals={
            **{k: v for k, v in FOLLOWED.items() if k in (ELLIPSES if pairs else CURVES)},
            **(aes_by_visuals or {}),
        },
        visuals=visuals,
        pc_kwargs=pc_kwargs,
    )
    rows = choose_rows(observations)
    drawn = observations.take(rows)
    label = membership(dt, drawn)["label"].values if known is None else known["label"].values[rows]
    S = mixture.parameters.batch_shape[0]
    n_draws = min(n_draws, S)
    some = mixture.parameters[np.linspace(0, S - 1, n_draws).round().astype(int)]
    em = posterior_parameters(dt, "em").flat() if isinstance(dt, xr.DataTree) and "em" in dt.children else None
    data = np.asarray(drawn.values, dtype=np.float64)
    draw = _draw_ellipses if pairs else _draw_curves
    draw(picture, mixture, chosen, data, label, some, em, prob)
    what = f"{100 * prob:g} % ellipses" if pairs else "Components"
    of = f" of {n_draws} posterior draws" if mixture.has_draws else ""
    picture.head(f"{what}{of}")
    mark: dict[str, Any] = {} if pairs else {"marker": "|", "area": 50}
    entries = picture.component_entries(mixture.parameters.n_components, width=2)
    if em is not None and picture.wanted("em"):
        entries.append(("EM fit", {"color": INK, "width": 1.4, "linestyle": picture.dashes}))
    entries += picture.noise_entries(label)
    picture.legend([*entries, picture.mark_entry(shown(len(rows), observations.n_rows), **mark)])
    return picture.collection


def _draw_ellipses(
    picture: Picture,
    mixture: MixtureView,
    chosen: list[int],
    data: np.ndarray,
    label: np.ndarray,
    some: MixtureParameters,
    em: MixtureParameters | None,
    prob: float,
) -> None:
    K = mixture.parameters.n_components
    pairs = list(combinations(chosen, 2))
    by_pair = {PAIR: [f"{mixture.feature_names[a]}, {mixture.feature_names[b]}" for a, b in pairs]}
    by_component = {**by_pair, COMPONENT: np.arange(K), "plot_axis": ["x", "y"]}
    points = xr.DataArray(
        np.stack([data[:, pair].T for pair in pairs]),
        dims=(PAIR, "plot_axis", OBS),
        coords={**by_pair, "plot_axis": ["x", "y"]},
    )
    area, alpha = point_style(len(data), 10, 0.7)
    picture.draw(
        "points",
        complete(scatter_xy),
        points.where(own_rows(label, K)),
        alpha=alpha,
        size=picture.marker_size(area),
        **picture.only_matplotlib(rasterized=len(data) > 1000, linewidths=0),
    )
    picture.draw_noise(points, label, alpha=alpha, size=picture.marker_size(2 * area))
    dims = (PAIR, COMPONENT, DRAW, "plot_axis", "point")
    outlines = xr.DataArray(np.stack([ellipses(some, pair, prob) for pair in pairs]), dims=dims, coords=by_component)
    n_draws = outlines.sizes[DRAW]
    picture.draw(
        "ellipses",
        _outlines,
        outlines,
        width=0.7 if n_draws > 1 else 2.0,
        alpha=float(np.clip(10 / n_draws, 0.08, 1.0)),
        backend=picture.backend,
    )
    if em is not None:
        outlines = xr.DataArray(np.stack([ellipses(em, pair, prob) for pair in pairs]), dims=dims, coords=by_component)
        picture.draw("em", _outlines, outlines, backend=picture.backend, color=INK, width=1.4, linestyle=picture.dashes)
    axis = [picture.feature_label(n, u) for n, u in zip(mixture.feature_names, mixture.units, strict=True)]
    picture.write("xlabel", "xlabel", {p: axis[a] for p, (a, _) in zip(by_pair[PAIR], pairs, strict=True)})
    picture.write("ylabel", "ylabel", {p: axis[b] for p, (_, b) in zip(by_pair[PAIR], pairs, strict=True)})


def _draw_curves(
    picture: Picture,
    mixture: MixtureView,
    chosen: list[int],
    data: np.ndarray,
    label: np.ndarray,
    some: MixtureParameters,
    em: MixtureParameters | None,
    prob: float,
) -> None:
    K, (feature,) = mixture.parameters.n_components, chosen
    name, unit = mixture.feature_names[feature], mixture.units[feature]
    points = curve_grid(data[:, feature], 400, mixture.parameters, feature)
    coords = {FEATURE: [name], COMPONENT: np.arange(K)}

    def curves(parameters: MixtureParameters) -> xr.DataArray:
        heights = visible(component_densities(parameters, feature, points)).T  # (K, S, M)
        both = np.stack(np.broadcast_arrays(points, heights), axis=-2)[None]
        dims = (FEATURE, COMPONENT, DRAW, "plot_axis", "point")
        return xr.DataArray(both, dims=dims, coords={**coords, "plot_axis": ["x", "y"]})

    drawn = curves(some)
    rug = xr.DataArray(data[:, feature][None], dims=(FEATURE, OBS), coords={FEATURE: [name]})
    highest = float(drawn.sel(plot_axis="y").max())
    picture.draw(
        "rug",
        complete(scatter_x),
        rug.where(own_rows(label, K)),
        y=-0.03 * highest,
        marker="|",
        size=picture.marker_size(50),
        **picture.only_matplotlib(linewidths=0.8, rasterized=len(data) > 1000),
    )
    picture.draw_noise(rug, label, function=scatter_x, y=-0.03 * highest, size=picture.marker_size(20))
    n_draws = drawn.sizes[DRAW]
    picture.draw(
        "curves",
        _outlines,
        drawn,
        width=0.7 if n_draws > 1 else 2.0,
        alpha=float(np.clip(10 / n_draws, 0.08, 1.0)),
        backend=picture.backend,
    )
    if em is not None:
        picture.draw(
            "em", _outlines, curves(em), backend=picture.backend, color=INK, width=1.4, linestyle=picture.dashes
        )
    picture.write("xlabel", "xlabel", {name: picture.feature_label(name, unit)})
    picture.write("ylabel", "ylabel", {name: density_label([unit])})


def ellipses(parameters: MixtureParameters, pair: Sequence[int], prob: float) -> np.ndarray:
    """Outlines of the ellipses that hold `prob` of each component in a pair of features.

    mu + sqrt(q) L (cos t, sin t)' for L L' = Sigma and q the quantile of chi-squared with two degrees of freedom.

    Returns
    -------
    (K, S, 2, ELLIPSE_POINTS) float64, in the units of the data
    """
    i, j = pair
    mean = parameters.means[..., [i, j]]
    covariance = parameters.covariances[..., [[i], [j]], [i, j]]
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS)
    circle = np.sqrt(chi2.ppf(prob, df=2)) * np.stack([np.cos(angles), np.sin(angles)])
    return (mean[..., None] + np.linalg.cholesky(covariance) @ circle).swapaxes(0, 1)


def _outlines(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> np.ndarray:
    """Draw separate lines, so that their transparency adds up; the list of them, as one object."""
    lines = da.transpose(..., "plot_axis", "point").values.reshape(-1, 2, da.sizes["point"])
    artists = np.empty((), dtype=object)
    artists[()] = [backend.line(x, y, target, **properties) for x, y in lines]
    return artists
