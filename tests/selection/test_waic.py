"""WAIC from its definition, by hand."""

import numpy as np
import pytest
import xarray as xr

from bayesgmm.selection.pointwise import log_likelihood_of_rows, log_mean_density
from bayesgmm.selection.waic import waic


@pytest.fixture
def log_likelihood(rng: np.random.Generator) -> np.ndarray:
    """Of two chains, fifty draws, four rows; the last one varies too much."""
    return rng.normal(-1.0, [0.1, 0.2, 0.3, 1.0], size=(2, 50, 4))


def tree(values: np.ndarray, dims: tuple[str, ...] = ("chain", "draw", "obs_id")) -> xr.DataTree:
    return xr.DataTree.from_dict({"log_likelihood": xr.Dataset({"x": (dims, values)})})


def test_it_is_its_definition(log_likelihood) -> None:
    flat = log_likelihood.reshape(-1, 4)
    pointwise = np.log(np.exp(flat).mean(axis=0)) - flat.var(axis=0, ddof=1)
    found = waic(tree(log_likelihood))
    assert found.elpd == pytest.approx(pointwise.sum())
    assert found.standard_error == pytest.approx(2.0 * pointwise.std(ddof=1))
    assert found.p == pytest.approx(flat.var(axis=0, ddof=1).sum())
    assert found.n_unreliable == 1


def test_axes_go_by_their_names(log_likelihood) -> None:
    turned = tree(np.moveaxis(log_likelihood, 2, 0), ("obs_id", "chain", "draw"))
    np.testing.assert_array_equal(log_likelihood_of_rows(turned), log_likelihood)
    assert waic(turned).elpd == pytest.approx(waic(tree(log_likelihood)).elpd)


def test_a_mean_density_stays_finite_where_densities_do_not() -> None:
    far = np.full((2, 3, 1), -2000.0)
    np.testing.assert_allclose(log_mean_density(far), [-2000.0])


def test_needs_the_pointwise_log_likelihood() -> None:
    with pytest.raises(ValueError, match="no group `log_likelihood`: WAIC is made of it"):
        waic(xr.DataTree())
