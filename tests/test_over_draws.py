"""Every row is given once, with what its log joint densities are made of."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.blocks import map_rows
from bayesgmm.datatree import view
from bayesgmm.over_draws import BLOCK_ROWS, sweep_blocks
from tests.posteriors import fake_posterior


@pytest.mark.parametrize("form", ["natural", "residual", "missing values"])
def test_what_is_given_makes_the_log_joint_densities(form, rng, monkeypatch):
    if form == "residual":
        monkeypatch.setattr(sys.modules["bayesgmm.kernel"], "LARGEST_CONDITION", 0.0)
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
