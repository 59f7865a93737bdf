"""Densities: what is drawn is the density, its band and its parts."""

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.mixture.noise import BackgroundError
from bayesgmm.plots.contours import region_levels
from bayesgmm.plots.curves import mean_component_densities
from bayesgmm.plots.density_surface import _even_levels
from bayesgmm.posterior.datatree import view
from bayesgmm.questions.density import density
from tests.support import noisy


def xy(pc, name, **sel):
    line = pc.viz[name][name].sel(sel).item()
    return np.array(line.get_xdata()), np.array(line.get_ydata())


def test_visuals_of_one_feature(one):
    pc = bg.plot_density(one.posterior)
    assert set(pc.viz.children) == {"histogram", "rug", "band", "mean", "components", "xlabel", "ylabel", "legend"}
    assert "band" not in bg.plot_density(one.fit, one.X).viz.children


def test_the_curve_is_the_density_and_integrates_to_one(one):
    x, y = xy(bg.plot_density(one.posterior), "mean")
    np.testing.assert_allclose(y, density(one.posterior, x[:, None])["density"], rtol=1e-12)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.01)


def test_the_components_add_up_to_the_curve(one):
    x = np.linspace(-5, 5, 50)
    parts = mean_component_densities(view(one.posterior).parameters, 0, x)
    np.testing.assert_allclose(parts.sum(axis=1), density(one.posterior, x[:, None])["density"], rtol=1e-10)


def test_a_narrow_component_is_not_missed():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=200), rng.normal(1.234, 1e-5, size=40)])[:, None]
    fit = bg.GaussianMixture.from_parameters([0.8, 0.2], [[0.0], [1.234]], [[[1.0]], [[1e-10]]])
    _, y = xy(bg.plot_density(fit, X), "mean")
    assert y.max() == pytest.approx(0.2 / np.sqrt(2 * np.pi * 1e-10), rel=0.01)


def test_the_histogram_counts_every_row(many):
    pc = bg.plot_density(many.posterior, features="feature_a", stats={"histogram": {"bins": 30}})
    outline = pc.viz["histogram"]["histogram"].item().get_paths()[0].vertices
    heights, edges = np.histogram(many.X["feature_a"], bins=30, density=True)
    assert outline[:, 1].max() == pytest.approx(heights.max())
    assert outline[:, 0].min() == pytest.approx(edges[0])
    assert "rug" not in pc.viz.children


def test_a_panel_for_each_feature(four):
    pc = bg.plot_density(four.posterior)
    assert list(pc.viz["plot"]["feature"].values) == list(four.X.columns)
    x, y = xy(pc, "mean", feature="feature_c")
    alone = four.posterior["posterior"].to_dataset().sel(feature=["feature_c"], feature_bis=["feature_c"])
    marginal = xr.DataTree.from_dict({"posterior": alone})
    np.testing.assert_allclose(y, density(marginal, x[:, None])["density"], rtol=1e-10)


def test_visuals_of_two_features(two, four):
    pc = bg.plot_density(two.posterior, n_points=20)
    assert list(pc.viz["plot"]["quantity"].values) == ["mean", "width"]
    assert set(pc.viz.children) == {"points", "contour", "width", "xlabel", "ylabel", "title"}
    assert "colorbar" in pc.viz
    assert pc.viz["plot"].sel(quantity="width").item().get_title() == "width of the 89 % band"
    fitted = bg.plot_density(two.fit, two.X, n_points=20)
    assert list(fitted.viz["plot"]["quantity"].values) == ["mean"]
    pair = bg.plot_density(four.posterior, features=["feature_d", "feature_b"], n_points=20)
    assert pair.viz["plot"].values[0].get_xlabel() == "feature_d"


def test_at_most_5000_points_are_drawn_and_the_picture_says_so(many):
    pc = bg.plot_density(many.fit, many.X, n_points=20)
    assert len(pc.viz["points"]["points"].sel(quantity="mean").item().get_offsets()) == 5000
    assert pc.viz["plot"].item().get_title() == "fitted density, 5000 of 6000 rows"


def test_regions_hold_their_share():
    x = np.linspace(-5, 5, 201)
    normal = np.exp(-0.5 * (x[:, None] ** 2 + x**2))
    levels = region_levels(normal, (0.5, 0.9))
    assert list(levels) == sorted(levels)
    # a standard normal holds 1 - exp(-r^2 / 2) within r; the grid is fine enough for 1 %
    for level, share in levels.items():
        assert level == pytest.approx(1 - share, rel=0.01)


@pytest.mark.parametrize("highest", [1e-9, 0.013, 1.0, 7.3, 2e5])
def test_levels_are_few_and_reach_the_top(highest):
    levels = _even_levels(highest)
    assert 4 <= len(levels) <= 11
    assert levels[-1] >= highest * (1 - 1e-12)


def test_bad_arguments(one, two):
    with pytest.raises(ValueError, match="`n_points` must be an integer of at least 2"):
        bg.plot_density(one.posterior, n_points=1)
    with pytest.raises(ValueError, match="`ci_prob` must be strictly between 0 and 1"):
        bg.plot_density(one.posterior, ci_prob=1.5)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        bg.plot_density(two.posterior, n_points=10, stats={"regions": (0.5, 2)})


def test_a_grid_of_pairs(four):
    features = ["feature_a", "feature_c", "feature_d"]
    pc = bg.plot_density(four.posterior, features=features, pairs=True, n_points=15)
    axes = {str(cell): pc.viz["plot"].sel(panel=cell).item() for cell in pc.viz["plot"]["panel"].values}
    shown = [cell for cell, axis in axes.items() if axis.axison]
    assert shown == ["feature_a", "feature_a, feature_c", "feature_c", *axes_of("feature_d", features)]
    assert axes["feature_c, feature_d"].get_xlabel() == "feature_c"
    assert axes["feature_c, feature_d"].get_ylabel() == "feature_d"
    alone, _ = xy(pc, "mean", panel="feature_c")
    np.testing.assert_allclose(alone, xy(bg.plot_density(four.posterior), "mean", feature="feature_c")[0])
    # along a contour the marginal density of the pair is the contour's level, up to the coarseness of the grid
    fine = bg.plot_density(four.posterior, features=features, pairs=True, n_points=80)
    lines = fine.viz["contour"]["contour"].sel(panel="feature_a, feature_d").item()
    pair = bg.marginal(four.posterior, ["feature_a", "feature_d"])
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        np.testing.assert_allclose(density(pair, path.vertices)["density"], level, rtol=0.05)


def axes_of(last: str, features: list[str]) -> list[str]:
    """Panels of the last row that are shown."""
    return [*(f"{name}, {last}" for name in features[:-1]), last]


def test_a_grid_of_pairs_without_matplotlib(two):
    pc = bg.plot_density(two.fit, two.X, pairs=True, n_points=10, backend="none")
    assert pc.viz["plot"].sizes["panel"] == 4


def test_noise_is_a_grey_curve_under_the_mean_density():
    _fit, dt, draws, X = noisy.noisy_posterior()
    pc = bg.plot_density(dt, features="waiting")
    x, y = pc.viz["noise_density"]["noise_density"].item().get_data()
    box = draws.noise.background
    inside = (x >= box.lower[1]) & (x <= box.upper[1])
    np.testing.assert_allclose(y, inside * draws.noise.weight.mean() / (box.upper[1] - box.lower[1]), rtol=1e-9)
    whole = pc.viz["mean"]["mean"].item().get_data()[1]
    parts = mean_component_densities(draws, 1, np.asarray(x)).sum(axis=1)
    np.testing.assert_allclose(whole, parts + y, rtol=1e-9)
    label = bg.membership(dt)["label"].values
    crosses = pc.viz["noise_rug"]["noise_rug"].item().get_offsets()[:, 0]
    np.testing.assert_allclose(crosses, X.values[label == -1, 1])


def test_rows_of_noise_are_crosses_in_maps_of_two_features():
    _, dt, _, X = noisy.noisy_posterior()
    label = bg.membership(dt)["label"].values
    for pc, panel in (
        (bg.plot_density(dt), {"quantity": "mean"}),
        (bg.plot_density(dt, pairs=True, n_points=10), {"panel": "eruptions, waiting"}),
    ):
        for visual, rows in (("noise", label == -1), ("points", label >= 0)):
            np.testing.assert_allclose(pc.viz[visual][visual].sel(panel).item().get_offsets(), X.values[rows])


def test_a_hull_has_a_surface_and_no_curves():
    _, dt, _, _ = noisy.noisy_posterior(hull=True, draws=10)
    assert "noise" in bg.plot_density(dt, n_points=10).viz.children
    with pytest.raises(BackgroundError, match="hull"):
        bg.plot_density(dt, features="waiting")


def test_missing_values_are_in_no_histogram():
    X = bg.load_dataset("iris")
    X[::3, 1] = np.nan
    gm = bg.GaussianMixture(2, random_state=0).fit(X)
    pc = bg.plot_density(gm, X, stats={"histogram": {"bins": 12, "density": False}}, backend="none")
    bars = pc.viz["histogram"]
    assert set(bars["feature"].values) == set(X["feature"].values)
    pc = bg.plot_density(gm, X, features=["sepal_length", "sepal_width"], pairs=True, n_points=10, backend="none")
    assert "histogram" in pc.viz.children
