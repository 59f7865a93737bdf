"""Every row is given once, with what its log joint densities are made of."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.data.observations import as_observations
from bayesgmm.kernel.over_draws import BLOCK_ROWS, sweep_blocks
from bayesgmm.kernel.passes import map_rows
from bayesgmm.posterior.datatree import view
from tests.support import noisy
from tests.support.posteriors import fake_posterior


@pytest.mark.parametrize("form", ["natural", "residual", "missing values"])
def test_what_is_given_makes_the_log_joint_densities(form, rng, monkeypatch):
    if form == "residual":
        monkeypatch.setattr(sys.modules["bayesgmm.kernel.forms"], "LARGEST_CONDITION", 0.0)
    _, dt, X = fake_posterior()
    mixture = view(dt)
    S, K = mixture.parameters.weights.shape
    new = X.values[rng.integers(len(X), size=BLOCK_ROWS + 7)]
    if form == "missing values":
        new[::2, 1] = np.nan
    observations = mixture.observe(new)
    expected = map_rows(lambda a: a.transpose(2, 0, 1), observations, mixture.parameters, trailing=(S, K))
    found, times = np.empty_like(expected), np.zeros(len(new))

    def keep(rows, eta, features, log_joint):
        assert bool(len(features)) == (form == "natural")
        values = (eta @ features).reshape(S, K, -1) if len(features) else log_joint
        found[rows] = values.transpose(2, 0, 1)
        times[rows] += 1

    sweep_blocks(keep, observations, mixture.parameters)
    assert (times == 1).all()
    assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("all_inside", [True, False])
def test_coefficients_with_noise_make_its_log_joint_density(all_inside):
    _, _, draws, X = noisy.noisy_posterior()
    background = draws.noise.background
    rows = X.values[background.contains(X.values)] if all_inside else X.values
    S, K = draws.weights.shape
    observations, out = as_observations(rows), np.empty((S, K + 1, len(rows)))

    def multiply(rows, eta, features, log_joint):
        assert not log_joint.size
        assert features.shape[0] == (6 if all_inside else 7)
        out[:, :, rows] = (eta @ features).reshape(S, K + 1, -1)

    sweep_blocks(multiply, observations, draws)
    expected = np.moveaxis(noisy.over_draws(noisy.log_joint, rows, draws), 1, 2)
    assert_allclose(np.maximum(out, -1e200), np.maximum(expected, -1e200), atol=1e-9)
    assert np.isneginf(expected).any() != all_inside
