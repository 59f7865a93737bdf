"""Both halves of a family exist, under one name."""

import pytest

from bayesgmm.covariance import FAMILIES
from bayesgmm.parametrisation import PARAMETRISATIONS, parametrisation
from bayesgmm.priors import SCALE_NDIM


def test_every_family_has_both_halves():
    assert set(PARAMETRISATIONS) == set(FAMILIES) == set(SCALE_NDIM)
    assert all(name == value.name for name, value in PARAMETRISATIONS.items())


def test_mclusts_codes_are_names_too():
    assert parametrisation("VVV") is PARAMETRISATIONS["full"]
    with pytest.raises(ValueError, match="`covariance_type` must be one of"):
        parametrisation("round")
