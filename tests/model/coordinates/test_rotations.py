"""Frames of axes as independent angles: one chart, once around, uniform; compiled against interpreted."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pytensor.gradient import verify_grad
from scipy.stats import beta, special_ortho_group

from bayesgmm.model.coordinates.rotations import (
    multiply_rotations,
    planes,
    pull_back_rotations,
    rotation,
    rotation_angles,
    rotation_matrices,
    rotation_pullback,
)
from tests.support.reference import INTERPRETED

dimensions = pytest.mark.parametrize("D", [1, 2, 3, 5])


def random_angles(rng, K, D):
    return rng.uniform(-np.pi / 2, np.pi / 2, size=(K, D * (D - 1) // 2))


@dimensions
def test_products_of_plane_rotations_are_rotations_and_angles_come_back(rng, D):
    angles = random_angles(rng, 4, D)
    expected = np.repeat(np.eye(D)[None], 4, axis=0)
    for p, (i, j) in enumerate(zip(*planes(D), strict=True)):
        G = np.repeat(np.eye(D)[None], 4, axis=0)
        G[:, i, i] = G[:, j, j] = np.cos(angles[:, p])
        G[:, j, i] = np.sin(angles[:, p])
        G[:, i, j] = -np.sin(angles[:, p])
        expected = expected @ G
    for Q in (rotation_matrices(angles), rotation(angles).eval(mode=INTERPRETED), multiply_rotations(angles)):
        assert_allclose(Q, expected, atol=1e-12)
    assert_allclose(np.linalg.det(expected), 1.0)
    assert_allclose(rotation_angles(expected), angles, atol=1e-9)


@dimensions
def test_every_frame_has_its_angles_whatever_the_signs_of_its_axes(rng, D):
    frames = np.linalg.qr(rng.normal(size=(20, D, D)))[0]
    angles = rotation_angles(frames)
    assert (np.abs(angles) < np.pi / 2).all()
    assert_allclose(angles, rotation_angles(frames * rng.choice([-1.0, 1.0], size=(20, 1, D))), atol=1e-9)
    cosines = np.swapaxes(rotation_matrices(angles), 1, 2) @ frames
    assert_allclose(np.abs(cosines), np.repeat(np.eye(D)[None], 20, axis=0), atol=1e-9)


@pytest.mark.parametrize("D", [2, 3, 4])
def test_haars_measure_is_independent_betas_of_the_sines(D):
    """SciPy's uniform rotations have the Beta laws; k = 5 standard errors."""
    draws = 4000
    angles = rotation_angles(special_ortho_group(D, seed=5).rvs(draws).reshape(draws, D, D))
    i, j = planes(D)
    uniform = beta((j - i) / 2, (j - i) / 2).cdf((1 + np.sin(angles)) / 2)
    assert np.all(np.abs(uniform.mean(axis=0) - 0.5) < 5 * np.sqrt(1 / 12 / draws))
    assert np.all(np.abs((uniform**2).mean(axis=0) - 1 / 3) < 5 * np.sqrt(4 / 45 / draws))
    if D > 2:
        correlations = np.corrcoef(uniform.T)[np.triu_indices(len(i), 1)]
        assert np.abs(correlations).max() < 5 / np.sqrt(draws)


@dimensions
def test_pullbacks_are_those_of_finite_differences_compiled_too(rng, D):
    angles = random_angles(rng, 3, D)
    if D > 1:
        verify_grad(rotation, [angles], rng=rng, mode=INTERPRETED)
    W = rng.normal(size=(3, D, D))
    assert_allclose(pull_back_rotations(angles, W), rotation_pullback(angles, W).eval(mode=INTERPRETED), atol=1e-12)
