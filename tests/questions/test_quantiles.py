"""Distribution function and quantiles invert each other, with bands that are those over draws."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

import bayesgmm as bg
from bayesgmm.questions.conditional import marginal
from bayesgmm.questions.quantiles import cdf, quantile
from tests.support import noisy
from tests.support.posteriors import fake_posterior, one_draw


@pytest.fixture(scope="module")
def waiting():
    return marginal(fake_posterior()[1], "waiting")


def test_quantile_inverts_cdf(waiting):
    x = np.linspace(40, 100, 13)
    assert_allclose(quantile(waiting, cdf(waiting, x)["cdf"])["quantile"], x, rtol=1e-9)
    q = np.array([0.001, 0.3, 0.36, 0.9, 0.9999])
    assert_allclose(cdf(waiting, quantile(waiting, q)["quantile"])["cdf"], q, rtol=1e-9)


def test_cdf_is_the_integral_of_the_density(waiting):
    axis = np.linspace(0, 75, 20_001)
    area = np.trapezoid(bg.density(waiting, {"waiting": axis}, intervals=False)["density"], axis)
    assert_allclose(cdf(waiting, [75.0])["cdf"].item(), area, rtol=1e-6)


def test_bands_are_over_draws(waiting):
    of_draw = [
        bg.from_parameters(w, m, S)
        for w, m, S in zip(
            *(waiting["posterior"][n].values.reshape(200, 2, *t) for n, t in TRAILING.items()), strict=True
        )
    ]
    levels = np.array([one.cdf([60.0, 70.0]) for one in of_draw])
    places = np.array([one.quantile([0.2, 0.5]) for one in of_draw])
    found, inverse = cdf(waiting, [60.0, 70.0], ci_prob=0.8), quantile(waiting, [0.2, 0.5], ci_prob=0.8)
    assert_allclose(found["cdf"], levels.mean(axis=0), rtol=1e-10)
    assert_allclose(found["cdf_lower"], np.quantile(levels, 0.1, axis=0), rtol=1e-10)
    assert_allclose(found["cdf_upper"], np.quantile(levels, 0.9, axis=0), rtol=1e-10)
    assert_allclose(inverse["quantile_lower"], np.quantile(places, 0.1, axis=0), rtol=1e-10)
    assert_allclose(inverse["quantile_upper"], np.quantile(places, 0.9, axis=0), rtol=1e-10)


TRAILING = {"weights": (), "means": (1,), "covariances": (1, 1)}


def test_one_draw_is_the_fit():
    gm, dt, _ = one_draw("galaxies", 3)
    x = gm.means_.ravel()
    assert_allclose(cdf(dt, x)["cdf"], gm.cdf(x), rtol=1e-10)
    assert_allclose(cdf(dt, x)["cdf_lower"], gm.cdf(x), rtol=1e-10)
    assert_allclose(quantile(dt, [0.1, 0.8])["quantile"], gm.quantile([0.1, 0.8]), rtol=1e-10)
    assert set(quantile(gm, 0.5).data_vars) == {"quantile"}


def test_ends(waiting):
    found = quantile(waiting, [0, 1])
    for name in ("quantile", "quantile_lower", "quantile_upper"):
        assert_array_equal(found[name], [-np.inf, np.inf])
    assert_array_equal(cdf(waiting, [-np.inf, np.inf])["cdf"], [0, 1])
    assert found["quantile"].attrs == {"units": "min", "long_name": "waiting"}


def test_wrong_input_is_named(waiting):
    gm, dt, _ = fake_posterior()
    for source in (gm, dt):
        with pytest.raises(ValueError, match=r"`cdf` needs one feature.*marginal\(dt, 'eruptions'\)"):
            cdf(source, [1.0])
        with pytest.raises(ValueError, match="`quantile` needs one feature"):
            quantile(source, [0.5])
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]; received 1.5"):
        quantile(waiting, [0.5, 1.5])
    with pytest.raises(ValueError, match="holds NaN"):
        cdf(waiting, [np.nan])
    with pytest.raises(ValueError, match="must be numbers"):
        cdf(waiting, ["a"])
    with pytest.raises(ValueError, match=r"received shape \(0,\)"):
        cdf(waiting, [])


def test_the_distribution_function_and_quantiles_of_noise():
    _fit, dt, draws, _ = noisy.noisy_posterior()
    one = draws.marginal([1])
    box = one.noise.background
    x = np.array([40.0, 60.0, 90.0, 111.0, 200.0])
    sd = np.sqrt(one.covariances[..., 0, 0])
    clusters = (one.weights[:, None] * norm.cdf(x[:, None], one.means[:, None, :, 0], sd[:, None])).sum(axis=2)
    ramp = np.clip((x - box.lower) / (box.upper - box.lower), 0, 1)
    pi = one.noise.weight[:, None]
    expected = (1 - pi) * clusters + pi * ramp
    source = marginal(dt, "waiting")
    found = cdf(source, x)
    assert_allclose(found["cdf"], expected.mean(axis=0), rtol=1e-9)
    assert_allclose(found["cdf_upper"], np.quantile(expected, 0.945, axis=0), rtol=1e-9)
    q = np.array([0.001, 0.2, 0.5, 0.97, 0.999])
    back = cdf(source, quantile(source, q)["quantile"].values)
    assert_allclose(back["cdf"], q, rtol=1e-9)
    assert quantile(source, [0.999])["quantile"].item() > 105


def test_one_draw_with_noise_has_the_quantiles_of_the_fit():
    gm, dt, _ = noisy.one_noisy_draw()
    of_fit, of_draw = (quantile(marginal(s, "waiting"), [0.01, 0.5, 0.99]) for s in (gm, dt))
    assert_allclose(of_fit["quantile"], of_draw["quantile"], rtol=1e-12)
    assert_allclose(of_draw["quantile_lower"], of_draw["quantile"], rtol=1e-9)
