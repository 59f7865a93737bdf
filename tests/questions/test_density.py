"""Densities integrate to one, and one draw's is the fit's."""

import dataclasses
import sys

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import bayesgmm as bg
from bayesgmm.mixture.noise import BackgroundError
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.posterior.intervals import COMPILED_FROM
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.density import density
from bayesgmm.questions.grid_axes import grid_axes
from tests.questions.test_membership import draws_of
from tests.support import noisy, oracle
from tests.support.posteriors import fake_posterior, one_draw


def grid(X, points, margin=0.8):
    """An even grid over the data and well beyond, and the volume of one cell."""
    low, high = X.min(axis=0), X.max(axis=0)
    axes = [np.linspace(a - margin * (b - a), b + margin * (b - a), points) for a, b in zip(low, high, strict=True)]
    volume = np.prod([axis[1] - axis[0] for axis in axes])
    return np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1), volume


@pytest.mark.parametrize(("name", "points"), [("faithful", 90), ("galaxies", 2000)])
def test_integrates_to_one(name, points):
    """In two dimensions and in one; the rule is exact to far less than the tails left out."""
    gm, dt, X = fake_posterior(name)
    nodes, volume = grid(X.values, points)
    for source in (gm, dt):
        assert_allclose(density(source, nodes)["density"].sum() * volume, 1.0, atol=1e-4)


def test_is_the_mean_and_the_quantiles_over_draws():
    _, dt, X = fake_posterior()
    posterior = dt["posterior"].to_dataset().stack(s=("chain", "draw"), create_index=False)
    values = []
    for s in range(posterior.sizes["s"]):
        one = posterior.isel(s=s)
        p = oracle.MixtureParameters.from_covariances(*(one[v].values for v in ("weights", "means", "covariances")))
        values.append(np.exp(oracle.log_density(X.values[:20], p)))
    found = density(dt, X[:20], ci_prob=0.8)
    assert_allclose(found["density"], np.mean(values, axis=0), rtol=1e-9)
    assert_allclose(found["density_lower"], np.quantile(values, 0.1, axis=0), rtol=1e-9)
    assert_allclose(found["density_upper"], np.quantile(values, 0.9, axis=0), rtol=1e-9)
    assert found.attrs["ci_prob"] == 0.8
    assert draws_of(dt).shape[0] == len(values)


@pytest.mark.parametrize("name", ["faithful", "galaxies"])
def test_one_draw_is_the_fit(name):
    gm, dt, X = one_draw(name)
    bayes, fit = density(dt, X), density(gm, X)
    assert_allclose(fit["density"], np.exp(gm.score_samples(X)), rtol=1e-12)
    for variable in ("density", "density_lower", "density_upper"):
        assert_allclose(bayes[variable], fit["density"], rtol=1e-9)
    assert set(fit.data_vars) == {"density", "point"}


def test_keeps_the_points_it_belongs_to():
    _, dt, X = fake_posterior()
    found = density(dt, X[5:8])
    assert found["density"].dims == ("obs_id",)
    assert found["point"].dims == ("obs_id", "feature")
    assert_array_equal(found["point"], X[5:8])
    assert found["feature"].values.tolist() == ["eruptions", "waiting"]


def test_far_away_there_is_none():
    gm, dt, _ = fake_posterior()
    for source in (gm, dt):
        assert density(source, [[1e6, 1e6]])["density"].item() == 0.0


def test_points_are_checked():
    gm, dt, X = fake_posterior()
    for source in (gm, dt):
        with pytest.raises(ValueError, match="3 features"):
            density(source, np.zeros((2, 3)))
        with pytest.raises(ValueError, match="missing values in"):
            density(source, [[np.nan, 1.0]])
        with pytest.raises(ValueError, match="same order"):
            density(source, X[:, ::-1])
    with pytest.raises(ValueError, match="`ci_prob`"):
        density(dt, X, ci_prob=2)


def test_integrates_to_one_in_every_draw():
    """By quadrature in two dimensions; the tails beyond the grid hold at most 2e-6 of any draw."""
    _, dt, _ = fake_posterior()
    axes = grid_axes(dt, n_points=120, tail=1e-7)
    for draw in (0, 17, 63):
        single = dt.isel(chain=[1], draw=[draw])
        surface = density(single, axes, intervals=False)["density"]
        assert surface.integrate(list(axes)).item() == pytest.approx(1, abs=1e-5)


def test_integrates_to_one_in_four_dimensions():
    """By importance sampling from the fit with wider components: k = 5 standard errors."""
    gm, dt, _ = fake_posterior("iris", 3)
    wide = bg.from_parameters(gm.weights_, gm.means_, 2 * gm.covariances_)
    points = draw_rows(np.random.default_rng(0), wide.parameters_, 20_000)[0]
    for source in (gm, dt.isel(chain=[0], draw=[5]), dt.isel(chain=[1], draw=[40])):
        ratio = density(source, points, intervals=False)["density"].values / density(wide, points)["density"].values
        assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))


def test_a_grid_has_the_features_as_dimensions():
    _, dt, _ = fake_posterior()
    axes = {"waiting": [50.0, 60.0, 70.0], "eruptions": [2.0, 4.0]}
    found = density(dt, axes, ci_prob=0.8)
    assert found["density"].dims == ("waiting", "eruptions") and found["density"].shape == (3, 2)
    at = density(dt, [[4.0, 60.0]], ci_prob=0.8)
    for name in ("density", "density_lower", "density_upper"):
        assert_allclose(found[name].sel(waiting=60, eruptions=4), at[name].item(), rtol=1e-12)
    assert found["waiting"].attrs["units"] == "min"


def test_a_grid_over_some_features_is_of_their_marginal():
    _, dt, _ = fake_posterior()
    found = density(dt, {"waiting": [55.0, 80.0]})
    expected = density(marginal(dt, "waiting"), [[55.0], [80.0]])
    for name in ("density", "density_lower", "density_upper"):
        assert_allclose(found[name], expected[name].values, rtol=1e-12)


def test_intervals_are_left_out_on_request_and_the_mean_is_the_same():
    _, dt, X = fake_posterior()
    bare, full = density(dt, X, intervals=False), density(dt, X)
    assert set(bare.data_vars) == {"density", "point"}
    assert_allclose(bare["density"], full["density"], rtol=1e-12)


def test_many_points_have_the_intervals_of_few():
    """Above `COMPILED_FROM` numbers the ends are found by compiled code: the same numbers."""
    _, dt, X = fake_posterior()
    S = dt["posterior"].sizes["chain"] * dt["posterior"].sizes["draw"]
    times = -(-int(COMPILED_FROM) // (S * len(X)))
    many = density(dt, np.tile(X.values, (times, 1)), progressbar=False)
    few = density(dt, X)
    for name in ("density", "density_lower", "density_upper"):
        assert_allclose(many[name].values[-len(X) :], few[name], rtol=1e-11)


def test_wrong_grids_are_named():
    gm, _, _ = fake_posterior()
    with pytest.raises(ValueError, match="grid of 'waiting' must be one or more finite numbers"):
        density(gm, {"waiting": [1.0, np.nan]})
    with pytest.raises(ValueError, match="no feature 'height'"):
        density(gm, {"height": [1.0]})
    clash = bg.from_parameters([1.0], [[0.0, 0.0]], [np.eye(2)], feature_names=["density", "x"])
    with pytest.raises(ValueError, match="cannot be an axis of a grid"):
        density(clash, {"density": [0.0]})


@pytest.mark.parametrize("least", [0.0, np.inf])
def test_the_density_of_noise_counts(monkeypatch, least):
    monkeypatch.setattr(sys.modules["bayesgmm.questions.summaries"], "COMPILED_FROM", least)
    _, dt, draws, X = noisy.noisy_posterior()
    points = np.concatenate([X.values[::20], [[100.0, 500.0], [5.0, 60.0]]])
    p = noisy.over_draws(noisy.density, points, draws)
    found = density(dt, points)
    assert_allclose(found["density"], p.mean(axis=0), rtol=1e-9)
    for end, q in (("lower", 0.055), ("upper", 0.945)):
        assert_allclose(found[f"density_{end}"], np.quantile(p, q, axis=0), rtol=1e-9)
    bare = density(dt, points, intervals=False)
    assert_allclose(bare["density"], found["density"], rtol=1e-12)


def test_a_density_with_noise_integrates_to_one():
    fit, dt, _, _ = noisy.noisy_posterior(draws=5)
    for source, near in ((fit, 1e-3), (dt, 1e-3)):
        surface = density(source, grid_axes(source, n_points=400), intervals=False)["density"]
        # trapezia lose half a cell of the noise at each of two edges in two features
        box = fit.parameters_.noise.background
        width = [float(surface[name][1] - surface[name][0]) for name in surface.dims]
        lost = 0.1 * sum(w / side for w, side in zip(width, box.upper - box.lower, strict=True))
        assert abs(surface.integrate(list(surface.dims)).item() - 1) < near + lost


def test_a_grid_over_some_features_has_the_box_of_these():
    fit, _, _, _ = noisy.noisy_posterior()
    along = density(fit, {"waiting": [45.0, 70.0, 500.0]})["density"]
    assert_allclose(along, noisy.density(np.array([[45.0], [70.0], [500.0]]), fit.parameters_.marginal([1])), rtol=1e-9)


def test_one_draw_with_noise_is_the_density_of_the_fit():
    gm, dt, X = noisy.one_noisy_draw()
    of_draw = density(dt, X)
    assert_allclose(density(gm, X)["density"], of_draw["density"], rtol=1e-12)
    assert_allclose(of_draw["density_lower"], of_draw["density_upper"], rtol=1e-12)
    assert_allclose(np.log(of_draw["density"]), np.log(noisy.density(X.values, gm.parameters_)), atol=1e-9)


def test_noise_in_a_hull_has_a_density_of_all_features_alone():
    fit, dt, _, X = noisy.noisy_posterior(hull=True, draws=10)
    hull = fit.parameters_.noise.background
    middle = X.values[-1:]
    bare = density(noisy.as_mixture(dataclasses.replace(fit.parameters_, noise=None), fit), middle)["density"]
    assert_allclose(density(fit, middle)["density"], 0.9 * bare + 0.1 * np.exp(-hull.log_volume), rtol=1e-9)
    with pytest.raises(BackgroundError, match="hull"):
        density(dt, {"waiting": [60.0, 70.0]})


def normal_mixture(gm, x, added):
    """Return sum_k w_k N(x | mu_k, Sigma_k + added) by SciPy."""
    parts = zip(gm.weights_, gm.means_, gm.covariances_, strict=True)
    return sum(w * stats.multivariate_normal(m, S + added).pdf(x) for w, m, S in parts)


def test_the_density_of_measured_values_has_the_errors_in_its_covariances():
    gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    points = np.array([[2.0, 50.0], [3.0, 65.0], [4.5, 80.0]])
    variances = np.array([0.3, 25.0])
    found = density(gm, points, measurement_errors=variances)["density"].values
    assert_allclose(found, normal_mixture(gm, points, np.diag(variances)), rtol=1e-10)
    covariances = np.array([np.diag(variances), [[0.5, 1.0], [1.0, 9.0]], np.zeros((2, 2))])
    found = density(gm, points, measurement_errors=covariances)["density"].values
    expected = [normal_mixture(gm, point, error) for point, error in zip(points, covariances, strict=True)]
    assert_allclose(found, expected, rtol=1e-10)
    # a grid over one feature takes that feature's errors
    found = density(gm, {"waiting": [50.0, 70.0]}, measurement_errors=variances)["density"].values
    one = [stats.norm(gm.means_[k, 1], np.sqrt(gm.covariances_[k, 1, 1] + 25.0)).pdf([50.0, 70.0]) for k in (0, 1)]
    assert_allclose(found, gm.weights_ @ one, rtol=1e-10)


def test_errors_like_those_of_the_rows_are_averaged_over_them():
    _, dt, _ = fake_posterior("faithful", 2)
    points = np.array([[2.0, 50.0], [4.5, 80.0]])
    with pytest.raises(ValueError, match="`measurement_errors` is True, and the rows"):
        density(dt, points, measurement_errors=True)
    errors = np.tile([[0.0, 0.0], [0.2, 16.0], [0.2, 16.0], [1.0, 4.0]], (68, 1))
    dt = dt.copy()
    dt["constant_data"] = xr.Dataset({"errors": (("obs_id", "feature"), errors)})
    found = density(dt, points, measurement_errors=True)
    each = [density(dt, points, measurement_errors=error, intervals=False)["density"] for error in errors[:4]]
    # 200 of the 272 rows, evenly spread: about a quarter of them have each of the errors
    chosen = np.linspace(0, 271, 200).round().astype(int) % 4
    expected = sum(np.mean(chosen == n) * each[n].values for n in range(4))
    assert_allclose(found["density"].values, expected, rtol=1e-10)
    assert (found["density_lower"] < found["density"]).all() and (found["density"] < found["density_upper"]).all()
