import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.posterior import approximation
from bayesgmm.posterior.approximation import approximate
from bayesgmm.posterior.posterior_modes import posterior_modes
from bayesgmm.sampler.laplace import LaplaceError
from bayesgmm.sampler.log_density import compile_log_density


@pytest.fixture(scope="module")
def seen():
    X = as_observations(load_dataset("faithful"))
    fit = GaussianMixture(2, random_state=0).fit(X)
    density = compile_log_density(model := mixture_model(X, 2))
    return density, posterior_modes(model, density, [fit], X.total_weight, seed=0)


def test_few_weighed_draws_are_corrected_like_many(seen, monkeypatch) -> None:
    density, modes = seen
    many, stats, importance, facts = approximate(density, modes, (4, 2000), 272, seed=1)
    assert facts["resampled"] and facts["importance_draws"] == 8000 == len(importance.log_p)
    assert set(stats) == {"lp", "log_p", "log_g"}
    monkeypatch.setattr(approximation, "MOST_ROW_EVALUATIONS", 0)
    few, stats, importance, facts = approximate(density, modes, (4, 2000), 272, seed=1)
    assert not facts["resampled"] and facts["importance_draws"] == 200 and set(stats) == {"log_g"}
    assert few.shape == many.shape == (4, 2000, 11)
    frame = modes[0].gaussian.frame
    away = frame.to_z(few.reshape(-1, 11)).mean(axis=0) - frame.to_z(many.reshape(-1, 11)).mean(axis=0)
    # Monte Carlo of 8000 draws twice; of 200 gradients, 0.03 at the most in eleven tries of this posterior
    assert np.abs(away).max() < 4.5 * np.sqrt(2 / 6000) + 0.06
    # the mode itself is further away than that
    assert np.abs(frame.to_z(many.reshape(-1, 11)).mean(axis=0)).max() > 0.1


def test_resampled_draws_know_the_density_they_come_from(seen) -> None:
    density, modes = seen
    values, stats, _, _ = approximate(density, modes, (2, 1000), 272, seed=2)
    log_p = density.at_many(values.reshape(-1, 11))[0].reshape(2, 1000)
    np.testing.assert_allclose(stats["log_p"], log_p, rtol=1e-12)
    left = stats["log_p"] - stats["log_g"]
    # one constant, but for what smoothing moved in the tail: 134 of 2000 proposals, taken about twice each
    assert np.mean(np.abs(left - np.median(left)) < 1e-6) > 0.75
    assert np.abs(left - np.median(left)).max() < 1.0


def test_without_a_gaussian_there_is_nothing_to_draw(seen) -> None:
    density, modes = seen
    with pytest.raises(LaplaceError, match="method='nuts'"):
        approximate(density, [modes[0]._replace(gaussian=None)], (1, 10), 272, seed=0)
