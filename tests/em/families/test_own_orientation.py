"""EEV and VEV: eigenvalues paired by rank, orientations of their own, and no need of every scatter's full rank."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.em.families.own_orientation import EEV, VEV
from tests.support.strategies import random_covariances

both = pytest.mark.parametrize("family", [EEV, VEV], ids=lambda f: f.name)


@both
def test_each_component_keeps_the_axes_of_its_scatter(family, rng):
    N = rng.uniform(5, 50, size=4)
    W = random_covariances(rng, (4,), 3) * N[:, None, None]
    found = family.maximise(W, N, None)
    assert_allclose(found @ W, W @ found, rtol=1e-9, atol=1e-9 * np.abs(W).max())
    spectra = np.linalg.eigvalsh(found)
    assert_allclose(spectra / spectra[:, :1], (spectra / spectra[:, :1])[:1].repeat(4, axis=0), rtol=1e-9)
    # the largest variance lies along the largest of the scatter
    for one, scatter in zip(found, W, strict=True):
        axes = np.linalg.eigh(scatter)[1]
        assert (np.diff(np.diagonal(axes.T @ one @ axes)) > 0).all()


@both
def test_a_scatter_of_low_rank_borrows_shape_from_the_others(family, rng):
    N = np.array([20.0, 30.0, 2.0])
    W = random_covariances(rng, (3,), 3) * N[:, None, None]
    direction = np.array([1.0, 2.0, -1.0])
    W[2] = np.outer(direction, direction)  # two rows
    spectra = np.linalg.eigvalsh(family.maximise(W, N, None))
    assert spectra.min() > 0
    assert_allclose(spectra / spectra[:, :1], (spectra / spectra[:, :1])[:1].repeat(3, axis=0), rtol=1e-8)
