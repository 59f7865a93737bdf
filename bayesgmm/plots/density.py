"""The picture of a density over the data, with how uncertain it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from arviz_plots import PlotCollection

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.plots import density_curves, density_pairs, density_surface
from bayesgmm.plots.asked import Asked, choose_features, known_keys
from bayesgmm.plots.picture import open_picture
from bayesgmm.posterior.datatree import FEATURE, view
from bayesgmm.posterior.intervals import check_ci_prob
from bayesgmm.tools.integers import check_integer

FOLLOWED = {"components": ["color"]}
MOST_PAIRED = 6


def plot_density(
    dt: "xr.DataTree | GaussianMixture",
    X: Any = None,
    *,
    features: str | Sequence[str] | None = None,
    pairs: bool = False,
    ci_prob: float | None = None,
    n_points: int | None = None,
    plot_collection: PlotCollection | None = None,
    backend: str | None = None,
    labeller: Any = None,
    aes_by_visuals: Mapping[str, Sequence[str]] | None = None,
    visuals: Mapping[str, Any] | None = None,
    stats: Mapping[str, Any] | None = None,
    **pc_kwargs: Any,
) -> PlotCollection:
    """Plot the posterior mean density over the data, with its pointwise band.

    One feature: the mean density, its band and the weighted components over a histogram of all rows. Two features:
    contours of the mean density, each holding a stated share of it, and beside them the width of the band (upper minus
    lower) on the same axes. More: the marginal density of each feature; with ``pairs=True`` a grid of panels, each
    feature on the diagonal and contours of each pair below it. Where the mixture has noise, its density is a grey
    curve, and rows that are most probably noise are grey crosses.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is no band).
    X : table, optional
        Rows to show; those fitted by default. A GaussianMixture keeps none, and needs them.
    features : str or sequence of str, optional
        Which features, by name; all by default. The density is that of their marginal.
    pairs : bool
        Draw the grid of pairs, of the first six features by default. Ignored where there is one feature.
    ci_prob : float, optional
        Probability of the band; ``az.rcParams["stats.ci_prob"]`` by default.
    n_points : int, optional
        Points of the grid along each axis: 400 in one dimension, 64 in two and 48 in a grid of pairs, by default. Time
        is O(S K) per point for S draws: 64 x 64 points, 4000 draws and two components take about a second.
    plot_collection : PlotCollection, optional
        Panels to draw into, as an earlier call returned them.
    backend : {"matplotlib", "bokeh", "plotly"}, optional
        ``az.rcParams["plot.backend"]`` by default. The scale of colours and the names of the contours are drawn by
        matplotlib only.
    labeller : Labeller, optional
        Writes the names of components and features.
    aes_by_visuals : mapping, optional
        {visual: aesthetics it follows}. By default ``components`` follows ``color``.
    visuals : mapping, optional
        {visual: properties, or False to leave it out}. One feature: histogram, rug (up to 500 rows), band, mean,
        components, noise_density and noise_rug, legend; two: points, noise, contour, width, colorbar, title, legend
        (where there is noise); pairs: those of one feature, points, noise, contour, title; always xlabel and ylabel.
    stats : mapping, optional
        One feature or many: ``histogram``, keyword arguments of `numpy.histogram`, with a number of ``bins``. Two:
        ``regions``, the shares that contours hold. Pairs: both.
    **pc_kwargs
        Passed to `PlotCollection.wrap`; ``figure_kwargs={"figsize": (width, height)}``, for example.

    Returns
    -------
    PlotCollection
        Panels along ``feature``; for two features along ``quantity`` ("mean", "width"); of pairs along ``panel``
        ("a" for a feature, "a, b" for a pair).

    Raises
    ------
    ValueError
        For an unknown feature, visual or panel, or a GaussianMixture without `X`; for single features of a mixture
        whose noise is uniform in a hull of several.

    Notes
    -----
    At most 5000 points are drawn, chosen at random with a fixed seed; the picture then says so. The histogram counts
    every row.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("galaxies")
    >>> gm = bg.GaussianMixture(3, random_state=0).fit(X)
    >>> pc = bg.plot_density(gm, X, backend="none")
    >>> sorted(pc.viz.children)
    ['components', 'histogram', 'mean', 'rug', 'xlabel', 'ylabel']
    """
    mixture = view(dt)
    chosen = choose_features(mixture, features, most=MOST_PAIRED if pairs else None)
    observations = mixture.observe(X)
    prob = check_ci_prob(ci_prob)
    pairs = pairs and len(chosen) > 1
    surface = len(chosen) == 2 and not pairs
    kind = density_pairs if pairs else density_surface if surface else density_curves
    stats = known_keys("stats", stats, kind.STATS)
    usual = 48 if pairs else 64 if surface else density_pairs.CURVE_POINTS
    n_points = check_integer("n_points", usual if n_points is None else n_points, least=2)
    names = [mixture.feature_names[j] for j in chosen]
    if pairs:
        panel, panels = density_pairs.PANEL, density_pairs.cells(names)
        size, n_columns = (2.7, 2.3), len(chosen)
    elif surface:
        panel, panels = density_surface.QUANTITY, ["mean", "width"] if mixture.has_draws else ["mean"]
        size, n_columns = (4.6, 3.7), 2
    else:
        panel, panels = FEATURE, names
        size, n_columns = ((5.6, 3.4), 1) if len(chosen) == 1 else ((4.0, 2.7), 2 if len(chosen) in (3, 4) else 3)
    asked = Asked(plot_collection, backend, labeller, aes_by_visuals, visuals, pc_kwargs)
    K = mixture.parameters.n_components
    picture = open_picture(panel, panels, K, asked, kind.VISUALS, FOLLOWED, panel_size=size, n_columns=n_columns)
    kind.draw(picture, density_curves.Subject(dt, mixture, observations, chosen, prob, n_points, stats))
    return picture.collection
