"""Every family has both halves, under one name, and a prior."""

import numpy as np
import pytest

from bayesgmm.em import families as covariance
from bayesgmm.model.families import ONE_DIMENSIONAL, PARAMETRISATIONS, parametrisation
from bayesgmm.priors import SCALE_NDIM, SHAPE_OF, Decomposed, InverseWishart, Prior


def test_the_two_halves_have_the_same_families():
    assert list(PARAMETRISATIONS) == list(covariance.FAMILIES)
    assert list(ONE_DIMENSIONAL) == list(covariance.ONE_DIMENSIONAL)
    assert all(name == value.name for name, value in (PARAMETRISATIONS | ONE_DIMENSIONAL).items())


def test_every_family_has_one_kind_of_default_prior():
    assert set(SCALE_NDIM) | set(SHAPE_OF) == set(PARAMETRISATIONS) | set(ONE_DIMENSIONAL)
    assert not set(SCALE_NDIM) & set(SHAPE_OF)
    for name in PARAMETRISATIONS:
        prior = Prior().resolve((np.zeros(2), np.eye(2)), 2, name)
        assert isinstance(prior.covariances, Decomposed if name in SHAPE_OF else InverseWishart)


def test_mclusts_codes_are_names_too():
    assert parametrisation("VVV") is PARAMETRISATIONS["full"]
    with pytest.raises(ValueError, match="`covariance_type` must be one of"):
        parametrisation("round")
