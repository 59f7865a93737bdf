"""Fixtures and profiles that every test shares."""

import os

import hypothesis
import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

pytest_plugins = ["tests.support.quick", "tests.support.skips"]

# fast: `make test`, the same examples every time. thorough: HYPOTHESIS_PROFILE=thorough make test
hypothesis.settings.register_profile("fast", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)
# varied: as many as fast, but other ones each time, which --hypothesis-seed repeats: `make processors`
hypothesis.settings.register_profile("varied", deadline=None, max_examples=25, database=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture
def rng() -> np.random.Generator:
    """Generator with a fixed seed, new for every test."""
    return np.random.default_rng(20240229)
