"""What is to be fitted is checked once: rows, components, known labels, family and noise, against each other."""

import numpy as np
import pytest

from bayesgmm.data.observations import as_observations
from bayesgmm.data.tables import DataError
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.task import check_components, check_grid, check_known_labels, check_task
from bayesgmm.mixture.noise import BackgroundError

GOOD = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0], [5.0, 0.0]])


def test_a_task_holds_what_was_checked():
    observations = as_observations(GOOD)
    task = check_task(observations, 2, "VVV", "box")
    assert task.observations is observations and task.n_components == 2 and task.family is FAMILIES["full"]
    np.testing.assert_array_equal(task.background.upper, [5.0, 30.0])
    assert check_task(observations, 2, "full", task.background).background is task.background
    assert check_task(observations, 2, "full").background is None
    # a hundredth of each column's own variance, in standard coordinates
    np.testing.assert_allclose(task.floor(0.01) * observations.scale**2, 0.01 * observations.variances)


def test_a_grid_crosses_families_and_numbers_of_components_over_one_background():
    tasks = check_grid(as_observations(GOOD), [1, 2], "all", [[-1, -1], [9, 99]])
    assert [(task.family.name, task.n_components) for task in tasks] == [(name, k) for name in FAMILIES for k in (1, 2)]
    assert len({id(task.background) for task in tasks}) == 1
    (one,) = check_grid(as_observations(GOOD), np.int64(2), "EEE")
    assert one.family is FAMILIES["tied"] and type(one.n_components) is int
    with pytest.raises(ValueError, match="nothing to compare"):
        check_grid(as_observations(GOOD), [], "full")
    with pytest.raises(ValueError, match=r"`n_components` must be an integer of at least 1; received 1\.5"):
        check_grid(as_observations(GOOD), [1, 1.5], "full")
    with pytest.raises(DataError, match="every row has a known component and none is of component 2"):
        check_grid(as_observations(GOOD, known_labels=[0, 1, 0, 1]), [2, 3], "full")


@pytest.mark.parametrize(
    "K, family, noise, error, message",
    [
        (5, "full", None, DataError, "n_components=5 needs at least 5 rows"),
        (2, "all", None, ValueError, "must be one of"),
        (2, "round", None, ValueError, "must be one of"),
        (2, "E", None, ValueError, "is for one feature; the data has 2"),
        (2, "full", "ball", ValueError, "`noise` must be None, 'box'"),
        (2, "full", [[0, 90], [9, 99]], BackgroundError, "no row is inside"),
    ],
)
def test_what_does_not_fit_is_refused(K, family, noise, error, message):
    with pytest.raises(error, match=message):
        check_task(as_observations(GOOD), K, family, noise)


def test_fewer_distinct_rows_than_components_are_refused():
    twice = as_observations(np.repeat(GOOD, 2, axis=0))
    check_components(twice, 4)
    with pytest.raises(DataError, match="n_components=5, but the data has only 4 distinct rows"):
        check_components(twice, 5)
    with pytest.raises(DataError, match="n_components=9 needs at least 9 rows"):
        check_components(twice, 9)
    signed_zero = as_observations(np.array([[0.0], [-0.0], [1.0]]))
    with pytest.raises(DataError, match="only 2 distinct rows"):
        check_components(signed_zero, 3)


def test_rows_of_weight_zero_are_no_rows():
    observations = as_observations(GOOD, weights=[1, 0, 1, 0])
    with pytest.raises(DataError, match="needs at least 3 rows"):
        check_components(observations, 3)
    twice = as_observations(GOOD[[0, 0, 1, 2]], weights=[1, 1, 1, 0])
    with pytest.raises(DataError, match="only 2 distinct rows"):
        check_components(twice, 3)


def test_components_that_are_not_there_are_refused():
    z = np.arange(12) % 2
    X = np.random.default_rng(4).normal(size=(12, 2)) + 9.0 * z[:, None]
    with pytest.raises(DataError, match="row 5 is known to be of component 3"):
        check_known_labels(as_observations(X, known_labels=np.where(np.arange(len(X)) == 5, 3, -1)), 2)
    with pytest.raises(DataError, match="none is of component 1"):
        check_known_labels(as_observations(X, known_labels=np.zeros(len(X), dtype=int)), 2)
    with pytest.raises(DataError, match="'b', one of 2 labels"):
        check_known_labels(as_observations(X, known_labels=np.where(z == 1, "b", "a")), 1)
