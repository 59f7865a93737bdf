"""Starting points of many mixtures at once are those of each."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.families import PARAMETRISATIONS
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.model.points import starting_point, starting_points

ROWS = np.random.default_rng(0).normal(size=(60, 2)) * [1.0, 3.0]


@pytest.mark.parametrize("family", PARAMETRISATIONS)
def test_many_starts_are_those_of_each(family):
    mixtures = [bg.GaussianMixture(2, covariance_type=family, random_state=0).fit(ROWS[i:]).parameters_ for i in (0, 9)]
    model = mixture_model(ROWS, 2, covariance_type=family, start=mixtures[0])
    for together, mixture in zip(starting_points(model, MixtureParameters.stack(mixtures)), mixtures, strict=True):
        alone = starting_point(model, mixture)
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            np.testing.assert_allclose(together[name], value, rtol=1e-9, atol=1e-12)
            assert np.shape(together[name]) == np.shape(value)
