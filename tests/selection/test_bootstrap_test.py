"""The bootstrap test of K against K + 1 components: laws, and what it decides on data that leave no doubt."""

from importlib import import_module

import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.tables import DataError
from bayesgmm.selection.bootstrap_test import bootstrap_test


def test_one_component_of_old_faithful_is_refused_and_two_are_not():
    X = load_dataset("faithful")
    one = bootstrap_test(X, 1, n_bootstrap=19, n_init=1, random_seed=0)
    assert one.p_value == pytest.approx(1 / 20)
    assert one.statistic > 100 > one.null.max()
    assert "1 against 2 components" in str(one)


def test_statistics_are_never_negative():
    rng = np.random.default_rng(0)
    found = bootstrap_test(rng.normal(size=(40, 1)), 1, covariance_type="E", n_bootstrap=30, n_init=1, random_seed=1)
    assert (found.null >= 0).all()
    assert found.p_value == (1 + (found.null >= found.statistic).sum()) / (1 + len(found.null))


def test_a_data_set_that_cannot_be_fitted_is_replaced(monkeypatch):
    """Every other pair of fits fails, the first, of the data, not: B values are there all the same."""
    module = import_module("bayesgmm.selection.bootstrap_test")
    pairs, fit_pair = iter(range(1000)), module._fit_pair
    monkeypatch.setattr(module, "_fit_pair", lambda *a, **k: fit_pair(*a, **k) if next(pairs) % 2 == 0 else None)
    X = np.random.default_rng(0).normal(size=(40, 1))
    found = bootstrap_test(X, 1, covariance_type="E", n_bootstrap=5, n_init=1, random_seed=1)
    assert (len(found.null), found.n_failed) == (5, 5)
    monkeypatch.setattr(module, "_fit_pair", lambda *a, truth=None, **k: None if truth else fit_pair(*a, **k))
    with pytest.raises(ValueError, match="6 of 6 simulated data sets had no admissible fit"):
        bootstrap_test(X, 1, covariance_type="E", n_bootstrap=5, n_init=1, random_seed=1)


def test_a_component_besides_the_known_ones_is_found():
    """Two groups with names for half their rows, and a third that nobody named."""
    rng = np.random.default_rng(11)
    z = np.arange(48) % 3
    X = rng.normal(size=(48, 1)) + 6.0 * z[:, None]
    labels = np.where((z < 2) & (rng.random(48) < 0.5), z, -1)
    options = {"covariance_type": "E", "known_labels": labels, "n_init": 1}
    found = bootstrap_test(X, 2, n_bootstrap=4, random_seed=0, **options)
    assert (found.null >= 0).all()
    assert found.p_value == pytest.approx(1 / 5)
    with pytest.raises(DataError, match="raise `n_components`"):
        bootstrap_test(X, 1, **options)


def test_refuses_what_it_cannot_use():
    X = load_dataset("faithful")
    with pytest.raises(ValueError, match="`n_bootstrap` must be"):
        bootstrap_test(X, 1, n_bootstrap=0)
    with pytest.raises(ValueError, match="whole numbers"):
        bootstrap_test(X, 1, sample_weight=np.full(272, 0.5))
