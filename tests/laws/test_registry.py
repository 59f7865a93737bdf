"""Every family has both halves, under one name, and a prior."""

import numpy as np
import pytest

from bayesgmm.em.families import FAMILIES
from bayesgmm.em.families import ONE_DIMENSIONAL as FAMILIES_OF_ONE_FEATURE
from bayesgmm.model.families import ONE_DIMENSIONAL, PARAMETRISATIONS, parametrisation
from bayesgmm.priors import Decomposed, InverseWishart, Prior


def test_the_two_halves_have_the_same_families():
    assert list(PARAMETRISATIONS) == list(FAMILIES)
    assert list(ONE_DIMENSIONAL) == list(FAMILIES_OF_ONE_FEATURE)
    assert all(name == value.name for name, value in (PARAMETRISATIONS | ONE_DIMENSIONAL).items())


def test_every_family_has_one_kind_of_default_prior():
    for families, D in ((FAMILIES, 2), (FAMILIES_OF_ONE_FEATURE, 1)):
        for name, family in families.items():
            prior = Prior().resolve((np.zeros(D), np.eye(D)), 2, name)
            assert isinstance(prior.covariances, InverseWishart if family.linear else Decomposed)


def test_mclusts_codes_are_names_too():
    assert parametrisation("VVV") is PARAMETRISATIONS["full"]
    with pytest.raises(ValueError, match="`covariance_type` must be one of"):
        parametrisation("round")
