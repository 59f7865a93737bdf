"""Marginal and conditional mixtures recombine to the joint one, draw by draw, and are mixtures to every function."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import bayesgmm as bg
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.noise import BackgroundError
from bayesgmm.posterior.datatree import META, meta, parameter_dataset, posterior_parameters, save, view
from bayesgmm.questions.conditional import conditional, marginal
from bayesgmm.questions.density import density
from bayesgmm.questions.membership import membership
from tests.support import noisy, oracle
from tests.support.posteriors import as_datatree, fake_posterior, one_draw
from tests.support.strategies import random_mixture, seeds


def random_posterior(seed: int, K: int, D: int, draws: int = 3) -> xr.DataTree:
    """A posterior of random mixtures that were fitted to nothing."""
    batch = random_mixture(np.random.default_rng(seed), K, D, batch=(2, draws))
    names = tuple("abcde"[:D])
    return xr.DataTree.from_dict({"posterior": parameter_dataset(batch, names, ("",) * D)})


def log_densities(dt, x):
    """Log density of one point in every draw, by the oracle, (S,)."""
    flat = posterior_parameters(dt).flat()
    return np.array([oracle.log_density(np.atleast_2d(x), flat[s])[0] for s in range(len(flat.weights))])


@settings(max_examples=20)
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(2, 4), data=st.data())
def test_marginal_times_conditional_is_the_joint_in_every_draw(seed, K, D, data):
    dt = random_posterior(seed, K, D)
    b = data.draw(st.lists(st.integers(0, D - 1), min_size=1, max_size=D - 1, unique=True))
    rest = [j for j in range(D) if j not in b]
    x = np.random.default_rng(seed + 1).normal(scale=2.0, size=D)
    names = view(dt).feature_names
    of_given = log_densities(marginal(dt, [names[j] for j in b]), x[b])
    of_rest = log_densities(conditional(dt, {names[j]: x[j] for j in b}), x[rest])
    assert_allclose(of_given + of_rest, log_densities(dt, x), rtol=1e-10, atol=1e-10)


def test_what_follows_is_labelled_and_says_where_it_comes_from():
    gm, dt, X = fake_posterior()
    one, given_70 = marginal(dt, "waiting"), conditional(dt, {"waiting": 70})
    assert one["posterior"]["feature"].values.tolist() == ["waiting"]
    assert one["posterior"]["means"].attrs["units"] == "min"
    assert_array_equal(one["observed_data"]["x"].values[:, 0], X.values[:, 1])
    assert view(one).units == ("min",)
    assert given_70["posterior"]["feature"].values.tolist() == ["eruptions"]
    assert meta(given_70)["given"] == {"waiting": 70.0} and "prior" not in meta(given_70)
    assert meta(one)["marginal_of"] == ["eruptions", "waiting"]
    assert meta(one)["n_components"] == gm.n_components
    assert "log_likelihood" not in one.children and "observed_data" not in given_70.children
    assert set(one["sample_stats"].data_vars) == set(dt["sample_stats"].data_vars)


def test_features_come_in_the_order_asked_for():
    _, dt, _ = fake_posterior()
    turned = marginal(dt, ["waiting", "eruptions"])
    assert_array_equal(turned["posterior"]["means"].values, dt["posterior"]["means"].values[..., ::-1])
    assert turned["posterior"]["feature_bis"].values.tolist() == ["waiting", "eruptions"]


@pytest.mark.parametrize("derive", [lambda s: marginal(s, "eruptions"), lambda s: conditional(s, {"waiting": 70})])
def test_every_function_takes_it_and_so_does_a_file(derive, tmp_path):
    _, dt, _ = fake_posterior()
    found = derive(dt)
    stored = xr.load_datatree(save(found, tmp_path / "found.nc"), engine="h5netcdf")
    assert stored.attrs[META] == found.attrs[META]
    for source in (found, stored):
        assert bg.density(source, [[2.0], [4.0]])["density"].shape == (2,)
        assert bg.membership(source, [[2.0]])["probability"].sum() == pytest.approx(1)
        assert bg.generate(source, 5, random_seed=0)["posterior_predictive/x"].shape == (1, 1, 5, 1)
        assert bg.cdf(source, [3.0])["cdf"].item() == pytest.approx(bg.cdf(found, [3.0])["cdf"].item())
        assert_allclose(bg.marginal(source, [0])["posterior"]["weights"], source["posterior"]["weights"])


def test_one_draw_is_the_fit():
    gm, dt, _ = one_draw()
    for found, fit in (
        (marginal(dt, ["waiting"]), marginal(gm, ["waiting"])),
        (conditional(dt, {"waiting": 70}), conditional(gm, {"waiting": 70})),
    ):
        assert isinstance(fit, bg.GaussianMixture)
        for name in ("weights", "means", "covariances"):
            assert_allclose(found["posterior"][name].values[0, 0], getattr(fit.parameters_, name), rtol=1e-10)
            assert_allclose(found["em"][name].values, getattr(fit.parameters_, name), rtol=1e-10)


def test_coordinates_of_the_draws_are_kept():
    gm, dt, X = fake_posterior()
    later = as_datatree(gm, X, posterior_parameters(dt))
    later["posterior"] = xr.DataTree(dt["posterior"].to_dataset().assign_coords(draw=np.arange(500, 600)))
    later = xr.DataTree.from_dict({"posterior": later["posterior"].to_dataset()})
    assert marginal(later, 0)["posterior"]["draw"].values[0] == 500


def test_wrong_features_are_named():
    gm, dt, _ = fake_posterior()
    for source in (gm, dt):
        with pytest.raises(ValueError, match=r"no feature 'weight'.*eruptions, waiting"):
            marginal(source, ["weight"])
        with pytest.raises(ValueError, match="every feature is given"):
            conditional(source, {"waiting": 70, "eruptions": 3})
        with pytest.raises(ValueError, match="value of 'waiting' must be a finite number"):
            conditional(source, {"waiting": np.nan})
        with pytest.raises(ValueError, match="so far from every component"):
            conditional(source, {"waiting": 1e200})
    with pytest.raises(TypeError, match="expected a posterior"):
        marginal(X := np.zeros((2, 2)), [0])
    assert X.shape == (2, 2)


def test_a_conditional_posterior_has_noise_between_the_edges_of_the_rest():
    _, dt, draws, _ = noisy.noisy_posterior()
    given = conditional(dt, {"waiting": 70})
    found = view(given).parameters
    expected = condition(draws, [1], np.array([70.0]))
    assert_allclose(found.noise.weight, expected.noise.weight, rtol=1e-12)
    assert_array_equal(found.noise.background.upper, draws.noise.background.upper[:1])
    points = np.linspace(1.0, 6.0, 9)[:, None]
    p = noisy.over_draws(noisy.density, points, expected)
    assert_allclose(density(given, points)["density"], p.mean(axis=0), rtol=1e-9)


def test_a_marginal_posterior_keeps_its_noise():
    fit, dt, draws, X = noisy.noisy_posterior()
    one = marginal(dt, "waiting")
    assert_array_equal(view(one).parameters.noise.weight, draws.noise.weight)
    p = noisy.over_draws(noisy.memberships, X.values[:, 1:], draws.marginal([1])).mean(axis=0)
    assert_allclose(membership(one)["noise_probability"], p[:, 2], atol=1e-9)
    of_fit = marginal(fit, "waiting").parameters_
    assert of_fit.noise.weight == fit.parameters_.noise.weight
    turned = marginal(dt, ["waiting", "eruptions"])
    assert_array_equal(view(turned).parameters.noise.background.lower, draws.noise.background.lower[::-1])


def test_one_draw_with_noise_is_the_conditional_of_the_fit():
    gm, dt, _ = noisy.one_noisy_draw()
    of_fit, of_draw = conditional(gm, {"waiting": 70}), conditional(dt, {"waiting": 70})
    points = np.linspace(1.0, 6.0, 9)[:, None]
    assert_allclose(density(of_fit, points)["density"], density(of_draw, points)["density"], rtol=1e-12)
    again = conditional(marginal(gm, ["waiting", "eruptions"]), {"waiting": 70})
    assert_allclose(density(again, points)["density"], density(of_fit, points)["density"], rtol=1e-12)


def test_noise_in_a_hull_is_refused():
    fit, dt, _, _ = noisy.noisy_posterior(hull=True, draws=10)
    for source in (fit, dt):
        for ask in (lambda s: marginal(s, "waiting"), lambda s: conditional(s, {"waiting": 70})):
            with pytest.raises(BackgroundError, match="fit with the box"):
                ask(source)
