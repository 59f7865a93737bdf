"""Families that can be sampled have both halves, under one name."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.covariance import FAMILIES, ONE_DIMENSIONAL
from bayesgmm.parametrisation import PARAMETRISATIONS, parametrisation
from bayesgmm.priors import SCALE_NDIM, Prior


def test_every_parametrisation_has_its_family_and_prior():
    assert set(PARAMETRISATIONS) == set(SCALE_NDIM) <= set(FAMILIES)
    assert all(name == value.name for name, value in PARAMETRISATIONS.items())


def test_mclusts_codes_are_names_too():
    assert parametrisation("VVV") is PARAMETRISATIONS["full"]
    with pytest.raises(ValueError, match="`covariance_type` must be one of"):
        parametrisation("round")


@pytest.mark.parametrize("name", sorted({*FAMILIES, *ONE_DIMENSIONAL} - set(PARAMETRISATIONS)))
def test_a_family_for_em_only_says_which_can_be_sampled(name):
    sentence = (
        rf"`covariance_type` '{name}' is for EM \(`GaussianMixture`\) only; families that can be sampled .*'full'"
    )
    with pytest.raises(ValueError, match=sentence):
        parametrisation(name)
    with pytest.raises(ValueError, match=rf"`covariance_type` '{name}' is for EM only; .*'full'.* can be sampled"):
        Prior().resolve((np.zeros(2), np.eye(2)), 2, name)


def test_the_model_and_the_sampler_refuse_before_any_work(rng):
    X = rng.normal(size=(30, 2))
    with pytest.raises(ValueError, match="`covariance_type` 'VEV' is for EM"):
        bg.mixture_model(X, 2, covariance_type="VEV")
    with pytest.raises(ValueError, match="`covariance_type` 'VEV' is for EM"):
        bg.sample_posterior(X, 2, covariance_type="VEV")
