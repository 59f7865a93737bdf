"""The nearest mixture of a family: itself where it is of the family, and an M-step otherwise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bayesgmm.em.families import FAMILIES
from bayesgmm.em.families.projection import within_family
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.strategies import random_mixture, seeds

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@families
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 4))
def test_a_mixture_of_the_family_is_its_own_nearest(family, seed, K, D):
    near = within_family(random_mixture(np.random.default_rng(seed), K, D), family)
    again = within_family(near, family, near.covariances)
    assert_allclose(again.covariances, near.covariances, rtol=1e-6, atol=1e-8)


@families
def test_a_full_mixture_is_brought_into_the_family(family, rng):
    factors = rng.normal(size=(2, 3, 3))
    full = MixtureParameters.from_covariances([0.3, 0.7], rng.normal(size=(2, 3)), factors @ factors.swapaxes(1, 2))
    near = within_family(full, family)
    assert_allclose(family.unpack(family.pack(near.covariances), 2, 3), near.covariances, rtol=1e-12)
    # every family contains its multiples: the expected squared distance from the centres is the number of features
    distances = np.trace(np.linalg.solve(near.covariances, full.covariances), axis1=1, axis2=2)
    assert_allclose(near.weights @ distances, 3, rtol=1e-9)
