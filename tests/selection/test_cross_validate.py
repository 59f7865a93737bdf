"""Cross-validation: it is what it says, and it finds what is there."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.selection.cross_validate import cross_validate


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
    with pytest.raises(ValueError, match="`n_components` must be an integer"):
        cross_validate(X, [0])


def test_weights_holes_and_errors_are_those_of_the_fits_and_of_the_rows_judged():
    rng = np.random.default_rng(4)
    X = two_groups(4, 14)
    X[[1, 5], 0] = np.nan
    weights = rng.integers(1, 4, size=14).astype(float)
    errors = rng.uniform(0.05, 0.3, size=(14, 2))
    found = cross_validate(X, [1], n_folds=14, sample_weight=weights, errors=errors)
    by_hand = []
    for n in range(14):
        left = np.delete(np.arange(14), n)
        fit = bg.GaussianMixture(1).fit(X[left], sample_weight=weights[left], errors=errors[left])
        seen = ~np.isnan(X[n])
        covariance = (fit.covariances_[0] + np.diag(errors[n]))[np.ix_(seen, seen)]
        by_hand.append(multivariate_normal(fit.means_[0, seen], covariance).logpdf(X[n, seen]))
    np.testing.assert_allclose(found.pointwise[0], by_hand, rtol=1e-8)
    assert found.table["elpd"][0] == pytest.approx(weights @ by_hand)
    # a weight of w is w equal rows
    repeated = np.repeat(by_hand, weights.astype(int))
    expected = np.sqrt(len(repeated)) * np.std(repeated, ddof=1)
    assert found.table["standard_error"][0] == pytest.approx(expected)


def test_rows_of_known_components_are_judged_with_them_and_spread_over_the_folds():
    X = two_groups(5, 16)
    labels = np.repeat(["b", "a"], 8)
    found = cross_validate(X, [2], n_folds=16, known_labels=labels)
    by_hand = []
    for n in range(16):
        left = np.delete(np.arange(16), n)
        own = X[left[labels[left] == labels[n]]]
        density = multivariate_normal(own.mean(axis=0), np.cov(own.T, bias=True)).logpdf(X[n])
        by_hand.append(np.log(len(own) / 15) + density)
    np.testing.assert_allclose(found.pointwise[0], by_hand, rtol=1e-6)
    # with two folds no component may be in one of them alone
    X, few = two_groups(5, 60), np.full(60, None, dtype=object)
    few[[0, 1, 30, 31]] = ["a", "a", "b", "b"]
    assert cross_validate(X, [2], n_folds=2, known_labels=few).table["failed"][0] == 0
    few[1] = None
    with pytest.raises(ValueError, match="component 'a' is known of one row only"):
        cross_validate(X, [2], n_folds=2, known_labels=few)
    with pytest.raises(ValueError, match="n_components=1"):
        cross_validate(X, [1, 2], known_labels=np.repeat(["b", "a"], 30))
