"""Steps of recorded values are found, and nothing is where there are none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.datasets import load_dataset
from bayesgmm.diagnostics.goodness_of_fit.grain import grain, n_repeated, to_grain


@given(st.integers(-6, 6), st.sampled_from([1, 2, 5]), st.integers(0, 2**31))
def test_finds_the_step_of_rounded_values(power, digit, seed):
    step = digit * 10.0**power
    x = np.rint(np.random.default_rng(seed).normal(scale=8, size=400)) * step
    assert grain(x) == pytest.approx(step, rel=1e-9)
    assert_allclose(to_grain(x[:, None], np.array([step]))[:, 0], x, atol=1e-6 * step)


def test_of_known_data():
    faithful = load_dataset("faithful").values
    assert [grain(column) for column in faithful.T] == [0.001, 1.0]
    assert grain(load_dataset("iris").values[:, 0]) == pytest.approx(0.1)


def test_a_continuous_column_has_none(rng):
    x = rng.normal(size=500)
    assert n_repeated(x) == 0 and grain(x) == 0.0
    assert_array_equal(to_grain(x[:, None], np.zeros(1))[:, 0], x)


def test_repeated_values_need_not_be_steps(rng):
    x = np.sqrt(rng.integers(1, 30, size=200)) * np.pi
    assert n_repeated(x) > 100 and grain(x) == 0.0
    assert grain(np.zeros(4)) == 0.0
