"""The picture of the components over the data: each posterior draw an ellipse."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from arviz_plots import PlotCollection
from scipy.stats import chi2

from bayesgmm.data.samples import choose_rows
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.plots.asked import Asked, choose_features, known_answer, pairs_of
from bayesgmm.plots.curves import component_densities, curve_grid, density_label, visible
from bayesgmm.plots.picture import INK, Picture, open_picture
from bayesgmm.plots.rows import draw_rows, draw_rug, point_style, shown
from bayesgmm.posterior.datatree import COMPONENT, DRAW, FEATURE, OBS, posterior_parameters, view
from bayesgmm.posterior.intervals import check_ci_prob
from bayesgmm.questions.membership import membership
from bayesgmm.tools.integers import check_integer

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
    n_draws = check_integer("n_draws", n_draws)
    if prob is not None and not 0 < prob < 1:
        raise ValueError(f"`prob` must be strictly between 0 and 1; received {prob!r}.")
    prob = check_ci_prob(prob)
    known = known_answer(stats, "membership", observations.n_rows)
    pairs = pairs_of(mixture, chosen)
    K, S = mixture.parameters.n_components, mixture.parameters.batch_shape[0]
    asked = Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs)
    picture = open_picture(
        PAIR if pairs else FEATURE,
        list(pairs) or [mixture.feature_names[chosen[0]]],
        K,
        asked,
        ELLIPSES if pairs else CURVES,
        FOLLOWED,
        panel_size=((5.4, 4.2) if len(pairs) == 1 else (3.3, 2.9)) if pairs else (5.6, 3.4),
        n_columns=3,
    )
    rows = choose_rows(observations)
    drawn = observations.take(rows)
    label = membership(dt, drawn)["label"].values if known is None else known["label"].values[rows]
    n_draws = min(n_draws, S)
    some = mixture.parameters[np.linspace(0, S - 1, n_draws).round().astype(int)]
    em = posterior_parameters(dt, "em").flat() if isinstance(dt, xr.DataTree) and "em" in dt.children else None
    data, axes = np.asarray(drawn.values, dtype=np.float64), picture.feature_labels(mixture, chosen)
    if pairs:
        _draw_ellipses(picture, pairs, data, label, some, em, prob)
        picture.write("xlabel", {name: axes[chosen.index(i)] for name, (i, _) in pairs.items()})
        picture.write("ylabel", {name: axes[chosen.index(j)] for name, (_, j) in pairs.items()})
    else:
        (feature,) = chosen
        name, points = mixture.feature_names[feature], curve_grid(data[:, feature], 400, mixture.parameters, feature)
        _draw_curves(picture, name, feature, points, data, label, some, em)
        picture.write("xlabel", {name: axes[0]})
        picture.write("ylabel", {name: density_label([mixture.units[feature]])})
    of = f" of {n_draws} posterior draws" if mixture.has_draws else ""
    picture.head(f"{f'{100 * prob:g} % ellipses' if pairs else 'Components'}{of}")
    mark: dict[str, Any] = {} if pairs else {"marker": "|", "area": 50}
    entries = picture.component_entries(K, width=2)
    if em is not None and picture.wanted("em"):
        entries.append(("EM fit", {"color": INK, "width": 1.4, "linestyle": picture.dashes}))
    entries += picture.noise_entries(label)
    picture.legend([*entries, picture.mark_entry(shown(len(rows), observations.n_rows), **mark)])
    return picture.collection


def _draw_ellipses(
    picture: Picture,
    pairs: Mapping[str, tuple[int, int]],
    data: np.ndarray,
    label: np.ndarray,
    some: MixtureParameters,
    em: MixtureParameters | None,
    prob: float,
) -> None:
    points = picture.lay(list(pairs), [data[:, pair].T for pair in pairs.values()], "plot_axis", OBS)
    area, alpha = point_style(len(data), 10, 0.7)
    draw_rows(picture, "points", points, label, area, alpha, n_components=some.n_components)

    def outlines(parameters: MixtureParameters) -> xr.DataArray:
        every = [ellipses(parameters, pair, prob) for pair in pairs.values()]
        return picture.lay(list(pairs), every, COMPONENT, DRAW, "plot_axis", "point")

    _draw_outlines(picture, "ellipses", outlines(some), None if em is None else outlines(em))


def _draw_curves(
    picture: Picture,
    name: str,
    feature: int,
    points: np.ndarray,
    data: np.ndarray,
    label: np.ndarray,
    some: MixtureParameters,
    em: MixtureParameters | None,
) -> None:
    def outlines(parameters: MixtureParameters) -> xr.DataArray:
        heights = visible(component_densities(parameters, feature, points)).T  # (K, S, M)
        both = np.stack(np.broadcast_arrays(points, heights), axis=-2)
        return picture.lay([name], both[None], COMPONENT, DRAW, "plot_axis", "point")

    drawn = outlines(some)
    below = -0.03 * float(drawn.sel(plot_axis="y").max())
    draw_rug(picture, [name], data[:, feature][None], label, some.n_components, at=below)
    _draw_outlines(picture, "curves", drawn, None if em is None else outlines(em))


def _draw_outlines(picture: Picture, name: str, of_draws: xr.DataArray, of_em: xr.DataArray | None) -> None:
    """Draw the lines of the draws, the fainter the more there are, and that of the EM fit over them."""
    n_draws, backend = of_draws.sizes[DRAW], {"backend": picture.backend}
    alpha = float(np.clip(10 / n_draws, 0.08, 1.0))
    picture.draw(name, _lines, of_draws, **backend, width=0.7 if n_draws > 1 else 2.0, alpha=alpha)
    if of_em is not None:
        picture.draw("em", _lines, of_em, **backend, color=INK, width=1.4, linestyle=picture.dashes)


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


def _lines(da: xr.DataArray, target: Any, *, backend: ModuleType, **properties: Any) -> np.ndarray:
    """Draw separate lines, so that their transparency adds up; the list of them, as one object."""
    lines = da.transpose(..., "plot_axis", "point").values.reshape(-1, 2, da.sizes["point"])
    artists = np.empty((), dtype=object)
    artists[()] = [backend.line(x, y, target, **properties) for x, y in lines]
    return artists
