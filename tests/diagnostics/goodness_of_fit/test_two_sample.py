"""Two samples of one distribution cannot be told apart; of two they can."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.neighbors import KNeighborsClassifier

from bayesgmm.diagnostics.goodness_of_fit.two_sample import (
    classifier_accuracy,
    default_classifier,
    neighbour_share,
)


def test_neighbours_are_those_of_a_full_table_of_distances(rng):
    real, made = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    both = np.concatenate([real, made])
    away = ((both[:, None] - both) ** 2).sum(axis=2)
    np.fill_diagonal(away, np.inf)
    nearest = np.argsort(away, axis=1)[:, :3]
    own = np.arange(80) < 40
    assert_allclose(neighbour_share(real, made, 3), (own[nearest] == own[:, None]).mean())


def test_alike_is_about_one_half_and_apart_is_one(rng):
    """Schilling: the share has mean about 1/2 and variance below 1 / N over the pooled N, k = 5."""
    real, made = rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    assert abs(neighbour_share(real, made) - 0.5) < 5 / np.sqrt(1000)
    assert neighbour_share(real, made + 100) == 1.0


def test_equal_rows_are_no_trouble():
    real = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
    assert 0 <= neighbour_share(real, real) <= 1
    assert neighbour_share(real, real + 5) == 1.0


@pytest.mark.parametrize("classifier", [default_classifier(), KNeighborsClassifier(5)])
def test_a_classifier_is_right_half_the_time_or_always(classifier, rng):
    """Of n held-out rows alike a binomial share is right."""
    real, made = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2))
    assert abs(classifier_accuracy(real, made, classifier, rng) - 0.5) < 5 * 0.5 / np.sqrt(1000)
    assert classifier_accuracy(real, made + 50, classifier, rng) == 1.0
    assert not hasattr(classifier, "classes_")
