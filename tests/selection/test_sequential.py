"""Tests of K against K + 1 in turn: where they stop, and what they say."""

import numpy as np
import pytest

from bayesgmm.cli.report.sequential import sequential_test_section
from bayesgmm.selection.bootstrap_test import bootstrap_test
from bayesgmm.selection.sequential import sequential_test

SETTINGS = {"covariance_type": "E", "n_bootstrap": 19, "n_init": 1, "random_seed": 0}


def groups(n_groups: int, n_rows: int = 60) -> np.ndarray:
    rng = np.random.default_rng(n_groups)
    return (rng.normal(size=n_rows) + 8.0 * (np.arange(n_rows) % n_groups))[:, None]


def test_stops_at_the_first_number_that_is_not_rejected():
    found = sequential_test(groups(2), 1, 4, **SETTINGS)
    assert found.n_components == 2 and found.stopped == ""
    alone = [bootstrap_test(groups(2), K, **SETTINGS) for K in (1, 2)]
    assert [test.p_value for test in alone] == found.table["p_value"].tolist()
    assert [test.statistic for test in alone] == found.table["statistic"].tolist()
    assert "2 components are not rejected in favour of 3" in " ".join(sequential_test_section(found, "E").sentences)


def test_says_when_the_numbers_end_before_the_tests_do():
    found = sequential_test(groups(3), 1, 2, **SETTINGS)
    assert found.n_components == 2
    assert "2 is the largest number asked for" in found.stopped


def test_too_few_data_sets_are_said_to_reject_nothing():
    found = sequential_test(groups(2), 1, 3, **SETTINGS | {"n_bootstrap": 9})
    assert found.n_components == 1
    assert "nothing is rejected" in " ".join(sequential_test_section(found, "E").sentences)


def test_refuses_a_single_number():
    with pytest.raises(ValueError, match="received 2 to 2"):
        sequential_test(groups(2), 2, 2, **SETTINGS)
