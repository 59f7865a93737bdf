"""Cross-validation: it is what it says, and it finds what is there."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.crossvalidation import cross_validate


def two_groups(seed: int, n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(n // 2, 2)), 6 + rng.normal(size=(n // 2, 2))])


def test_leave_one_out_is_refitting_without_each_row():
    X = two_groups(0, 14)
    found = cross_validate(X, [1], n_folds=len(X))
    by_hand = [bg.GaussianMixture(1).fit(np.delete(X, n, axis=0)).score_samples(X[n : n + 1])[0] for n in range(len(X))]
    np.testing.assert_allclose(found.pointwise[0], by_hand, rtol=1e-9)
    assert found.table["elpd"][0] == pytest.approx(np.sum(by_hand))


def test_finds_the_groups_there_are():
    found = cross_validate(two_groups(1), [1, 2, 3], covariance_type=["EII", "full"], n_folds=5, random_state=0)
    assert found.best()[1] == 2
    assert (found.table["difference"] <= 0).all()
    assert found.table["difference"].max() == 0
    best = found.table["elpd"].idxmax()
    assert found.table["difference_error"][best] == 0


def test_folds_that_fail_are_counted():
    X = np.concatenate([np.random.default_rng(2).normal(size=(8, 2)), [[50.0, 50.0]]])
    found = cross_validate(X, [1, 3], n_folds=3, random_state=0)
    failed = found.table.set_index("n_components")["failed"]
    assert failed[1] == 0
    assert failed[3] > 0
    assert np.isnan(found.table["elpd"][1])


def test_refuses_what_it_cannot_use():
    X = two_groups(3, 20)
    with pytest.raises(ValueError, match="`n_folds` must be an integer from 2"):
        cross_validate(X, [1], n_folds=1)
    with pytest.raises(ValueError, match="`n_components` must be integers"):
        cross_validate(X, [0])
