import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.posterior import assembling
from bayesgmm.posterior.assembling import pointwise_log_likelihood
from tests.support.oracle import log_density
from tests.support.posteriors import scattered_draws


@pytest.fixture(scope="module")
def draws():
    X = as_observations(load_dataset("faithful"))
    fit = GaussianMixture(2, random_state=0).fit(X)
    return X, scattered_draws(fit.parameters_, X.n_rows, np.random.default_rng(0), 2, 90)


def test_all_draws_where_they_fit(draws) -> None:
    X, parameters = draws
    found = pointwise_log_likelihood(X, parameters)
    assert found.every == 1 and found.values.shape == (2, 90, 272)
    np.testing.assert_allclose(found.values[1, 7], log_density(X.values, parameters[1][7]), rtol=1e-9)


@pytest.mark.parametrize(("fits", "every", "length"), [(179, 2, 45), (100, 2, 45), (99, 0, 0), (1, 0, 0)])
def test_every_so_many_draws_where_they_do_not(draws, monkeypatch, fits: int, every: int, length: int) -> None:
    X, parameters = draws
    monkeypatch.setattr(assembling, "MOST_POINTWISE", fits * X.n_rows)
    monkeypatch.setattr(assembling, "FEWEST_POINTWISE", 80)
    found = pointwise_log_likelihood(X, parameters)
    if length == 0 and fits < 80:
        assert found == (None, 0)
        return
    assert found.every >= 2
    assert found.values.shape[1] == -(-90 // found.every)
    assert found.values.size <= assembling.MOST_POINTWISE
    np.testing.assert_allclose(found.values[0, 3], log_density(X.values, parameters[0][3 * found.every]), rtol=1e-9)
