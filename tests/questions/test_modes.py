"""Modes of mixtures whose modes are known, and of every draw."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import bayesgmm as bg
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.questions.modes import distinct, find_modes, modes
from tests.support import noisy, oracle
from tests.support.posteriors import fake_posterior, one_draw
from tests.support.strategies import random_mixture, seeds


@pytest.mark.parametrize(("distance", "expected"), [(1.9, 1), (1.999, 1), (2.01, 2), (2.5, 2), (8.0, 2)])
def test_two_equal_normals_part_at_two_standard_deviations(distance, expected):
    """Of equal weights and variances: bimodal exactly when the means are more than 2 sd apart."""
    gm = bg.from_parameters([0.5, 0.5], [[0.0], [distance]], [[[1.0]], [[1.0]]])
    assert modes(gm)["n_modes"].item() == expected


def test_two_normals_in_the_plane_may_have_three_modes():
    """Ray & Lindsay (2005), their example of three modes: two crossed, narrow normals."""
    gm = bg.from_parameters([0.5, 0.5], [[0, 0], [1, 1]], [np.diag([1, 0.05]), np.diag([0.05, 1])])
    assert modes(gm)["n_modes"].item() == 3


def test_three_at_the_corners_of_a_triangle():
    """Far apart there are three modes, close together one."""
    angles = 2 * np.pi * np.arange(3) / 3
    for radius, expected in ((4.0, 3), (0.5, 1)):
        means = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        gm = bg.from_parameters(np.full(3, 1 / 3), means, np.tile(np.eye(2), (3, 1, 1)))
        found = modes(gm)
        assert found["n_modes"].item() == expected
        assert found["shared_mode_probability"].values[0, 1] == (expected == 1)


@settings(max_examples=20)
@given(seed=seeds, K=st.integers(1, 5), D=st.integers(1, 3))
def test_ends_are_maxima(seed, K, D):
    """No point near by is higher, and the gradient by differences vanishes."""
    rng = np.random.default_rng(seed)
    p = random_mixture(rng, K, D)
    ends, _ = find_modes(p.flat())
    heights = oracle.log_density(ends[0], p)
    smallest = np.sqrt(np.linalg.eigvalsh(p.covariances).min())
    for end, height in zip(ends[0], heights, strict=True):
        around = end + 1e-3 * smallest * rng.normal(size=(50, D))
        assert (oracle.log_density(around, p) <= height + 1e-9).all()
    assert (heights[:K] >= oracle.log_density(p.means, p) - 1e-6).all()


def test_is_equivariant_under_shift_and_scale():
    p = random_mixture(np.random.default_rng(3), 4, 2)
    here, precision = find_modes(p.flat())
    there, precision_there = find_modes(p.affine(np.array([-1e7, 1e7]), 1e-3).flat())
    assert_allclose(there, (here - [-1e7, 1e7]) / 1e-3, rtol=1e-9)
    assert (distinct(here, precision) == distinct(there, precision_there)).all()


def test_every_draw_is_counted_and_located():
    gm, dt, _ = fake_posterior()
    found = modes(dt, ci_prob=0.8)
    assert found["n_modes"].dims == ("chain", "draw") and (found["n_modes"] == 2).all()
    assert found["n_modes_probability"].sel(number=2).item() == 1
    assert (found["mode_lower"] < found["mode_upper"]).all()
    fit = modes(gm)["mode"]
    assert ((found["mode_lower"] < fit) & (fit < found["mode_upper"])).all()
    assert found["mode"].attrs["units"] == "min"


def test_where_one_draw_merges_and_another_does_not_the_number_has_a_probability():
    far, near = np.array([[0.0], [3.0]]), np.array([[0.0], [1.0]])
    batch = MixtureParameters.from_covariances(
        np.full((4, 2), 0.5), np.stack([far, far, far, near]), np.ones((4, 2, 1, 1))
    )
    ends, precision = find_modes(batch)
    which = distinct(ends, precision)
    assert (which == np.arange(3)).sum(axis=1).tolist() == [2, 2, 2, 1]


def test_one_draw_is_the_fit():
    gm, dt, _ = one_draw("galaxies", 3)
    bayes, fit = modes(dt), modes(gm)
    assert bayes["n_modes"].item() == fit["n_modes"].item()
    assert_allclose(bayes["mode"], fit["mode"], rtol=1e-9)
    assert_allclose(bayes["mode_lower"], fit["mode"], rtol=1e-9)
    assert "mode_lower" not in fit


def test_noise_moves_no_mode():
    fit, _dt, _draws, _ = noisy.noisy_posterior()
    bare = noisy.as_mixture(dataclasses.replace(fit.parameters_, noise=None), fit)
    found = modes(fit)
    assert_allclose(found["mode"], modes(bare)["mode"], rtol=1e-12)
    assert found["n_modes"].item() == 2
    # the density with noise has no slope there: central differences, curvature times a step of 1e-4 sd
    for k in range(2):
        at = found["mode"].values[k]
        sd = np.sqrt(np.diagonal(fit.parameters_.covariances[k]))
        steps = 1e-4 * sd * np.concatenate([np.eye(2), -np.eye(2)])
        top = noisy.density(at[None], fit.parameters_)[0]
        around = noisy.density(at + steps, fit.parameters_)
        assert (around < top).all()
        assert_allclose(around[:2], around[2:], rtol=1e-9)
