"""Whole numbers are taken whoever made them; what only looks like one is refused by name."""

import numpy as np
import pytest

from bayesgmm.tools.integers import check_integer, is_integer


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.asarray(3, dtype=np.int32)[()]])
def test_whole_numbers_of_python_and_numpy_become_python_s(value):
    assert is_integer(value)
    assert check_integer("n_draws", value) == 3 and type(check_integer("n_draws", value)) is int
    assert check_integer("n_draws", value, 3, 3) == 3


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float64(3), "3", None, [3], np.array([3])])
def test_what_is_no_whole_number_is_refused_by_name(value):
    assert not is_integer(value)
    with pytest.raises(ValueError, match="`n_draws` must be an integer of at least 1; received "):
        check_integer("n_draws", value)


def test_bounds_are_said():
    with pytest.raises(ValueError, match=r"`n_points` must be an integer of at least 2; received 1\."):
        check_integer("n_points", 1, 2)
    with pytest.raises(ValueError, match=r"`top` must be an integer from 1 to 9, the other rows; received 10\."):
        check_integer("top", 10, 1, 9, "the other rows")
