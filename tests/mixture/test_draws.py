"""One mixture for many draws, against sums over them."""

import numpy as np
from numpy.testing import assert_allclose

from bayesgmm.mixture.draws import mean_mixture, predictive_mixture
from tests.support import noisy


def test_the_predictive_mixture_is_the_mean_of_the_draws():
    _, _, draws, X = noisy.noisy_posterior()
    every = predictive_mixture(draws)
    assert_allclose(every.weights.sum(), 1.0, rtol=1e-12)
    p = noisy.over_draws(noisy.density, X.values[::30], draws).mean(axis=0)
    assert_allclose(noisy.density(X.values[::30], every), p, rtol=1e-9)


def test_the_mean_mixture_has_the_mean_of_every_parameter():
    _, _, draws, _ = noisy.noisy_posterior()
    mean = mean_mixture(draws)
    assert mean.batch_shape == ()
    for name in ("weights", "means", "covariances"):
        assert_allclose(getattr(mean, name), np.mean(list(getattr(draws, name)), axis=0), rtol=1e-12)
    assert_allclose(mean.noise.weight, draws.noise.weight.mean(), rtol=1e-12)
    assert mean.noise.background is draws.noise.background
