"""The compiled sweeps over draws are the plain ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.kernel.compiled import over_draws as draws
from bayesgmm.kernel.compiled.arithmetic import exp_nonpositive
from bayesgmm.questions.summaries import sweep
from tests.support.strategies import seeds

TAILS = (0.06, 0.94)


def given_log_joint(log_joint):
    return np.empty((0, 0)), np.empty((0, 0)), log_joint


def compiled(arrays, shape, *, intervals=True):
    S, K, B = shape
    mean, ends = np.empty((K, B)), np.empty((2, K, B if intervals else 0))
    agreement, log_density, switched = np.empty(B), np.empty(B), np.zeros(S, dtype=np.int64)
    draws.memberships(*arrays, *TAILS, mean, *ends, agreement, log_density, switched)
    return mean, *ends, agreement, log_density, switched


def plain(log_joint):
    mean, best, log_density = sweep(r := log_joint.copy())
    elsewhere = best != mean.argmax(axis=0)
    ends = np.quantile(r, TAILS, axis=0)
    return mean, *ends, 1 - elsewhere.mean(axis=0), log_density, elsewhere.sum(axis=1)


shapes = st.tuples(st.integers(1, 150), st.integers(1, 6), st.integers(1, 150))


@given(seed=seeds, shape=shapes, spread=st.sampled_from([0.1, 5, 900]))
def test_memberships_are_the_plain_ones(seed, shape, spread):
    log_joint = np.random.default_rng(seed).normal(-spread, spread, size=shape)
    found = compiled(given_log_joint(log_joint), shape)
    for a, b in zip(plain(log_joint), found, strict=True):
        assert_allclose(b, a, rtol=1e-11, atol=1e-120)
    short = compiled(given_log_joint(log_joint), shape, intervals=False)
    for a, b in zip(found[:1] + found[3:], short[:1] + short[3:], strict=True):
        assert_array_equal(a, b)


@given(seed=seeds, shape=shapes, spread=st.sampled_from([0.1, 5, 200, 900]))
def test_densities_are_the_plain_ones(seed, shape, spread):
    log_joint = np.random.default_rng(seed).normal(-spread, spread, size=shape).clip(max=600)
    density = np.exp(log_joint).sum(axis=1)
    out = np.empty((3, shape[2]))
    draws.densities(*given_log_joint(log_joint), shape[0], *TAILS, out)
    assert_allclose(out, [density.mean(axis=0), *np.quantile(density, TAILS, axis=0)], rtol=1e-11, atol=1e-300)
    bare = np.empty((1, shape[2]))
    draws.densities(*given_log_joint(log_joint), shape[0], *TAILS, bare)
    assert_array_equal(bare[0], out[0])


@pytest.mark.parametrize("log_density", [560.0, 709.0])
def test_the_largest_densities_are_numbers(log_density):
    out = np.empty((3, 1))
    draws.densities(*given_log_joint(np.full((4, 1, 1), log_density)), 4, *TAILS, out)
    # logarithms of up to 709 + REACH are subtracted, each rounded to half a unit of its last place
    assert_allclose(out, np.exp(log_density), rtol=1000 * np.finfo(float).eps)


@given(seed=seeds, shape=shapes, F=st.integers(1, 12))
def test_coefficients_times_features_are_the_log_joint_density(seed, shape, F):
    rng = np.random.default_rng(seed)
    S, K, B = shape
    eta, features = rng.normal(size=(S * K, F)), rng.normal(size=(F, B))
    arrays = eta, features, np.empty((0, 0, 0))
    log_joint = (eta @ features).reshape(shape)
    for a, b in zip(plain(log_joint), compiled(arrays, shape), strict=True):
        assert_allclose(b, a, rtol=1e-11, atol=1e-12)
    out, expected = np.empty((3, B)), np.empty((3, B))
    draws.densities(*arrays, S, *TAILS, out)
    draws.densities(*given_log_joint(log_joint), S, *TAILS, expected)
    assert_allclose(out, expected, rtol=1e-11)


def test_the_first_of_equal_components_and_a_row_out_of_reach():
    log_joint = np.zeros((4, 3, 5))
    log_joint[:, :, 2] = -np.inf
    log_joint[:2, :, 3] = -np.inf
    log_joint[:, 1:, 4] = -np.inf
    with np.errstate(invalid="ignore"):
        expected = plain(log_joint)
    found = compiled(given_log_joint(log_joint), log_joint.shape)
    assert_array_equal(found[3], 1.0)
    assert_array_equal(found[5], 0)
    assert np.isnan(found[1][:, 2:4]).all()
    for a, b in zip(expected, found, strict=True):
        assert_allclose(b, a, rtol=1e-12, atol=1e-120)
    out = np.empty((3, 5))
    draws.densities(*given_log_joint(log_joint), 4, *TAILS, out)
    assert_allclose(out[0], [3.0, 3.0, 0.0, 1.5, 1.0], rtol=1e-12)


@pytest.mark.parametrize("function", [draws.exp_bounded, exp_nonpositive])
def test_exp(function, rng):
    x = np.concatenate([-rng.gamma(0.5, 200, size=2000).clip(max=707), -rng.random(2000), [0.0]])
    assert_allclose([function(value) for value in x], np.exp(x), rtol=2.3e-16)
    assert function(-1e5) <= 1e-307
