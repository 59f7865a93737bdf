"""What `noise=` may be, and the background it makes."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.background import background_of, check_noise
from bayesgmm.data.observations import as_observations
from bayesgmm.mixture.noise import Background, BackgroundError


@pytest.fixture
def observations(rng):
    return as_observations(pd.DataFrame(rng.normal(size=(40, 2)), columns=["length", "mass"]))


def test_words_make_the_box_and_the_hull_of_the_rows(observations):
    box, hull = background_of("box", observations), background_of("hull", observations)
    assert_array_equal(box.lower, observations.values.min(axis=0))
    assert_allclose(hull.log_volume, Background.hull(observations.values).log_volume)
    assert background_of("box", observations) is box, "one object for the life of the observations"
    assert background_of(None, observations) is None
    assert background_of(hull, observations) is hull


def test_rows_without_weight_make_no_background(observations):
    weights = np.ones(40)
    weights[np.argmax(observations.values[:, 0])] = 0.0
    weighted = as_observations(observations.values, weights=weights)
    assert background_of("box", weighted).upper[0] == np.sort(observations.values[:, 0])[-2]


def test_edges_are_taken_as_they_are(observations):
    box = background_of([[-9, -8], [9, 8]], observations)
    assert_array_equal([box.lower, box.upper], [[-9, -8], [9, 8]])


@pytest.mark.parametrize("noise", ["cube", 0.1, True, [1.0, 2.0], [[0, 1]], [["a", "b"], ["c", "d"]], {}])
def test_what_makes_no_background_is_refused_before_there_are_data(noise):
    with pytest.raises(ValueError, match=r"`noise` must be None, 'box' .* received"):
        check_noise(noise)


def test_edges_that_do_not_fit_the_data_are_refused(observations):
    with pytest.raises(ValueError, match=r"edges for 3 features, and the data has 2 \(length, mass\)"):
        background_of(np.array([[0, 0, 0], [1, 1, 1]]), observations)
    with pytest.raises(ValueError, match="background of 1 features, and the data has 2"):
        background_of(Background.box([0.0], [1.0]), observations)
    with pytest.raises(BackgroundError, match=r"no row is inside the edges .* 'mass', 100 to 200"):
        background_of([[-9, 100], [9, 200]], observations)
    with pytest.raises(BackgroundError, match="no width in feature 1"):
        background_of([[-9, 3], [9, 3]], observations)
