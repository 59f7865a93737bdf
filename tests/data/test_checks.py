"""Checks of a table's numbers: moments against NumPy's, and messages that name the row and the column."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data import checks as checking
from bayesgmm.data.tables import DataError
from tests.support.strategies import seeds

ROWS = pd.Index([*"abcdefghij"])
NAMES = ("length", "width")


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([2], "row c"),
        ([0, 9], "rows a, j"),
        (range(6), "rows a, b, c, d, e, f"),
        (range(9), "rows a, b, c, d, e, f and 3 more"),
    ],
)
def test_rows_are_named_the_first_few_of_them(chosen, text):
    assert checking.name_rows(ROWS, np.isin(np.arange(10), list(chosen))) == text


@given(seed=seeds, weighted=st.booleans(), share=st.sampled_from([0.0, 0.3]), offset=st.sampled_from([0.0, 1e6]))
def test_moments_are_those_of_numpy_over_the_values_there_are(seed, weighted, share, offset):
    rng = np.random.default_rng(seed)
    X = offset + rng.normal(size=(20, 3)) * [1, 10, 100]
    X[1:][rng.random((19, 3)) < share] = np.nan
    missing = np.isnan(X) if share else None
    # whole weights: rows repeated
    w = rng.integers(1, 4, size=20) if weighted else np.ones(20, dtype=int)
    repeated = np.repeat(X, w, axis=0)
    mean, variance = checking.column_moments(X, w.astype(float) if weighted else None, missing)
    assert_allclose(mean, np.nanmean(repeated, axis=0), rtol=1e-12)
    assert_allclose(variance, np.nanvar(repeated, axis=0), rtol=1e-8)


def test_missing_values_are_found_and_infinite_ones_refused():
    X = np.ones((10, 2))
    assert checking.find_missing(X, NAMES, ROWS) is None
    assert checking.find_missing(X.astype(int), NAMES, ROWS) is None
    X[4, 1] = np.nan
    assert_array_equal(checking.find_missing(X, NAMES, ROWS), np.isnan(X))
    with pytest.raises(DataError, match="infinity: column 'length', row c"):
        checking.find_missing(np.where(np.arange(20).reshape(10, 2) == 4, np.inf, X), NAMES, ROWS)
    X[4] = np.nan
    with pytest.raises(DataError, match="row e of X have no value at all"):
        checking.find_missing(X, NAMES, ROWS)


def test_a_column_without_a_value_is_refused_but_where_rows_are_only_looked_at():
    X = np.c_[np.ones(10), np.full(10, np.nan)]
    with pytest.raises(DataError, match="column 'width' has no value at all"):
        checking.find_missing(X, NAMES, ROWS)
    assert_array_equal(checking.find_missing(X, NAMES, ROWS, whole_columns=True), np.isnan(X))


def test_errors_of_missing_values_are_not_looked_at():
    values = np.ones((10, 2))
    missing = np.zeros((10, 2), dtype=bool)
    missing[3, 1] = True
    errors = np.ones((10, 2))
    errors[3, 1] = np.nan
    found = checking.check_errors(errors, values, missing, NAMES, ROWS)
    assert_array_equal(found, np.where(missing, 0.0, 1.0))
    with pytest.raises(DataError, match="column 'width', row d, is missing"):
        checking.check_errors(errors, values, None, NAMES, ROWS)


@pytest.mark.parametrize(
    ("labels", "row"), [([0.0, 1.5, 2.0], "b"), ([0, -2, 1], "b"), ([0, 1, np.inf], "c"), (["0", 1, "x"], "c")]
)
def test_labels_that_are_no_components_name_their_row(labels, row):
    with pytest.raises(DataError, match=f"the known label of row {row} is"):
        checking.check_labels(labels, 3, ROWS[:3])


def test_labels_of_nothing_known_are_no_labels():
    for labels in ([-1, -1], [np.nan, None], [None, None]):
        assert checking.check_labels(labels, 2, ROWS[:2]) == (None, None)
    found, names = checking.check_labels(np.ma.masked_array([1, 0], mask=[False, True]), 2, ROWS[:2])
    assert_array_equal(found, [1, checking.UNKNOWN])
    assert names is None


def test_constant_columns_are_named_counting_only_rows_of_weight():
    X = np.c_[np.arange(4.0), [1.0, 1.0, 1.0, 2.0]]
    checking.check_not_constant(X, NAMES, None)
    with pytest.raises(DataError, match="column 'width' is constant"):
        checking.check_not_constant(X, NAMES, np.array([1.0, 1.0, 1.0, 0.0]))
