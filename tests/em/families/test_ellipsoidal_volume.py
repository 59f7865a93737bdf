"""VEE and EVV: what is common is common, and follows any linear map of the data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.em.families.ellipsoidal_volume import EVV, VEE
from tests.support.strategies import random_covariances


@pytest.mark.parametrize("family", [VEE, EVV], ids=lambda f: f.name)
def test_the_m_step_follows_any_linear_map(family, rng):
    N = rng.uniform(5, 50, size=3)
    W = random_covariances(rng, (3,), 3) * N[:, None, None]
    A = rng.normal(size=(3, 3))
    assert_allclose(family.maximise(A @ W @ A.T, N, None), A @ family.maximise(W, N, None) @ A.T, rtol=1e-8, atol=1e-10)


def test_evv_is_the_own_scatter_of_a_common_determinant(rng):
    N = rng.uniform(5, 50, size=3)
    W = random_covariances(rng, (3,), 3) * N[:, None, None]
    found = EVV.maximise(W, N, None)
    assert_allclose(np.linalg.det(found), np.linalg.det(found)[0], rtol=1e-10)
    assert_allclose(found / found[:, :1, :1], W / W[:, :1, :1], rtol=1e-10)


def test_a_shape_without_spread_in_some_direction_is_left_singular():
    W = np.array([[[4.0, 2.0], [2.0, 1.0]]] * 2)
    assert np.linalg.matrix_rank(VEE.maximise(W, np.array([3.0, 5.0]), None)).tolist() == [1, 1]
