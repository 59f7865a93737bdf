"""In one dimension there are two families, and every other is one of them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.em.families import FAMILIES
from bayesgmm.em.families.one_dimension import E, V


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("K", [1, 3])
def test_every_family_is_e_or_v_by_its_first_letter(family, K, rng):
    s, N = rng.uniform(1, 9, size=(K, 1)), rng.uniform(5, 50, size=K)
    alike = E if family.code[0] == "E" else V
    expected = alike.maximise(s[:, :, None], N, None)
    for previous in (None, expected):
        found = family.maximise(s if family.diagonal else s[:, :, None], N, previous)
        assert_allclose(found, expected, rtol=1e-12)
    assert family.n_covariance_parameters(K, 1) == alike.n_covariance_parameters(K, 1)


def test_variances_are_those_of_the_rows():
    s, N = np.array([[[8.0]], [[2.0]]]), np.array([4.0, 1.0])
    assert_allclose(V.maximise(s, N, None).ravel(), [2.0, 2.0])
    assert_allclose(E.maximise(np.array([[[8.0]], [[7.0]]]), N, None).ravel(), [3.0, 3.0])
    assert (E.n_parameters(3, 1), V.n_parameters(3, 1)) == (2 + 3 + 1, 2 + 3 + 3)
