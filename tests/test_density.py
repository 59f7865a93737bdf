"""Densities integrate to one, and one draw's is the fit's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.density import density
from tests import oracle
from tests.posteriors import fake_posterior, one_draw
from tests.test_membership import draws_of


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
        with pytest.raises(ValueError, match="NaN"):
            density(source, [[np.nan, 1.0]])
        with pytest.raises(ValueError, match="same order"):
            density(source, X[:, ::-1])
    with pytest.raises(ValueError, match="`ci_prob`"):
        density(dt, X, ci_prob=2)
