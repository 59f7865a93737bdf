"""Drawn rows have the distribution asked for, up to k standard errors."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from tests.support.strategies import random_mixture


@pytest.mark.parametrize("D", [1, 3])
def test_each_component_gets_its_share_and_its_distribution(rng, D):
    parameters = random_mixture(rng, 3, D)
    n, k = 30_000, 5
    X, labels = draw_rows(rng, parameters, n)
    share = np.bincount(labels, minlength=3) / n
    assert (np.abs(share - parameters.weights) < k * np.sqrt(parameters.weights * (1 - parameters.weights) / n)).all()
    for c in range(3):
        z = (X[labels == c] - parameters.means[c]) @ parameters.precision_cholesky[c]
        # standardised by the inverse factor: independent standard normals (p > 1e-6 is about k = 5)
        for column in z.T:
            assert stats.kstest(column, "norm").pvalue > 1e-6
        correlation = np.corrcoef(z.T).reshape(D, D) - np.eye(D)
        assert np.abs(correlation).max() < k / np.sqrt(len(z))


def test_the_generator_decides():
    parameters = random_mixture(np.random.default_rng(0), 2, 2)
    first, again, other = (draw_rows(np.random.default_rng(seed), parameters, 5) for seed in (1, 1, 2))
    assert_array_equal(first[0], again[0])
    assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_a_component_without_weight_is_never_drawn(rng):
    parameters = MixtureParameters.from_covariances([0.0, 1.0], [[0.0], [9.0]], np.full((2, 1, 1), 1e-6))
    X, labels = draw_rows(rng, parameters, 100)
    assert_array_equal(labels, 1)
    assert (X > 8).all()
