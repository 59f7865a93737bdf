"""The bootstrap: laws, a level that holds, and intervals that agree with theory."""

from importlib import import_module

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.tables import DataError
from bayesgmm.mixture.alignment import align
from bayesgmm.posterior.datatree import fixed_labels, posterior_parameters
from bayesgmm.questions.bootstrap import bootstrap
from bayesgmm.selection.bootstrap_test import bootstrap_test

K_SE = 4.0


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


@pytest.mark.parametrize("kind", ["parametric", "nonparametric", "weighted"])
def test_errors_of_one_component_are_those_of_theory(kind):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 2)) @ np.array([[1.0, 0.4], [0.0, 0.7]])
    fit = bg.GaussianMixture(1).fit(X)
    dt = bootstrap(fit, X, kind=kind, n_bootstrap=200, random_seed=4)
    sd = dt["posterior"]["means"].std(("chain", "draw"), ddof=1).values[0]
    expected = np.sqrt(np.diagonal(fit.covariances_[0]) / 400)
    # a standard deviation of 200 values is known to 1 / sqrt(2 * 199)
    np.testing.assert_allclose(sd, expected, rtol=K_SE / np.sqrt(2 * 199))


def test_a_data_set_that_cannot_be_fitted_is_replaced(monkeypatch):
    """Every other pair of fits fails, the first, of the data, not: B values are there all the same."""
    module = import_module("bayesgmm.bootstrap")  # the package's own attribute of that name is the function
    pairs, fit_pair = iter(range(1000)), module._fit_pair
    monkeypatch.setattr(module, "_fit_pair", lambda *a, **k: fit_pair(*a, **k) if next(pairs) % 2 == 0 else None)
    X = np.random.default_rng(0).normal(size=(40, 1))
    found = bootstrap_test(X, 1, covariance_type="E", n_bootstrap=5, n_init=1, random_seed=1)
    assert (len(found.null), found.n_failed) == (5, 5)
    monkeypatch.setattr(module, "_fit_pair", lambda *a, truth=None, **k: None if truth else fit_pair(*a, **k))
    with pytest.raises(ValueError, match="6 of 6 simulated data sets had no admissible fit"):
        bootstrap_test(X, 1, covariance_type="E", n_bootstrap=5, n_init=1, random_seed=1)


def two_that_overlap(n_rows: int, known: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two components hardly half a standard deviation apart, and the component of a share of them."""
    rng = np.random.default_rng(seed)
    z = np.arange(n_rows) % 2
    X = rng.normal(size=(n_rows, 1)) + 0.4 * z[:, None]
    return X, np.where(rng.random(n_rows) < known, z, -1)


@pytest.mark.parametrize("kind", ["parametric", "nonparametric", "weighted"])
def test_components_that_are_known_keep_their_names(kind):
    """Components so alike that their order in a replicate says nothing: labels follow the rows that are known."""
    X, labels = two_that_overlap(80, 0.9, 5)
    fit = bg.GaussianMixture(2, random_state=0).fit(X, known_labels=labels)
    dt = bootstrap(fit, X, known_labels=labels, kind=kind, n_bootstrap=60, random_seed=6)
    assert fixed_labels(dt) == (0, 1)
    assert (dt["alignment"]["permutation"].values == [0, 1]).all()
    assert (bg.diagnose(dt).components["identifiability"] == 1).all()
    without = dt.copy()
    del without["alignment"]  # diagnose then aligns by itself
    assert (bg.diagnose(without).components["identifiability"] == 1).all()
    # matched by their likeness alone, some would have changed places
    by_likeness = align(posterior_parameters(dt), fit.parameters_).permutation
    assert (by_likeness != [0, 1]).any()


@pytest.mark.parametrize("kind", ["parametric", "nonparametric", "weighted"])
def test_errors_where_every_component_is_known_are_those_of_theory(kind):
    """All labels known: a mean has the error sd / sqrt(n_k), a weight that of a proportion, however they overlap."""
    X, labels = two_that_overlap(600, 1.0, 7)
    fit = bg.GaussianMixture(2).fit(X, known_labels=labels)
    dt = bootstrap(fit, X, known_labels=labels, kind=kind, n_bootstrap=200, random_seed=8)
    sd = dt["posterior"].to_dataset().std(("chain", "draw"), ddof=1)
    # a standard deviation of 200 values is known to 1 / sqrt(2 * 199)
    tolerance = K_SE / np.sqrt(2 * 199)
    np.testing.assert_allclose(sd["means"].values[:, 0], np.sqrt(fit.covariances_[:, 0, 0] / 300), rtol=tolerance)
    np.testing.assert_allclose(sd["weights"].values, np.sqrt(0.25 / 600), rtol=tolerance)


def test_errors_of_measurement_are_in_the_replicates():
    """One component, rows with errors: the maximum-likelihood mean has variance (S + V) / N."""
    rng = np.random.default_rng(9)
    V = 4.0
    X = rng.normal(size=(300, 1)) * np.sqrt(1.0 + V)
    fit = bg.GaussianMixture(1).fit(X, errors=[V])
    dt = bootstrap(fit, X, errors=[V], n_bootstrap=200, random_seed=10)
    sd = dt["posterior"]["means"].values.std(ddof=1)
    expected = np.sqrt((fit.covariances_[0, 0, 0] + V) / 300)
    assert sd == pytest.approx(expected, rel=K_SE / np.sqrt(2 * 199))


def test_what_is_frozen_stays_frozen():
    X = load_dataset("faithful")
    start = bg.GaussianMixture(2, random_state=0).fit(X)
    fit = bg.GaussianMixture(2, init_params=start, frozen=["means"]).fit(X)
    dt = bootstrap(fit, X, n_bootstrap=5, random_seed=0)
    np.testing.assert_allclose(dt["posterior"]["means"].values[0], np.broadcast_to(fit.means_, (5, 2, 2)))
    assert np.ptp(dt["posterior"]["weights"].values[0, :, 0]) > 0


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


def test_functions_of_a_posterior_take_it():
    X = load_dataset("faithful")
    fit = bg.GaussianMixture(2, random_state=0).fit(X)
    dt = bg.bootstrap(fit, X, kind="weighted", n_bootstrap=20, random_seed=0)
    member = bg.membership(dt)
    assert member.sizes == {"obs_id": 272, "component": 2}
    assert (member["probability_lower"] <= member["probability_upper"]).all()


def test_refuses_what_it_cannot_use():
    X = load_dataset("faithful")
    fit = bg.GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(ValueError, match="`kind` must be one of"):
        bootstrap(fit, X, kind="jackknife")
    with pytest.raises(ValueError, match="2 features, and X has 1"):
        bootstrap(fit, X[:, :1])
    with pytest.raises(ValueError, match="`n_bootstrap` must be"):
        bootstrap_test(X, 1, n_bootstrap=0)
    with pytest.raises(ValueError, match="whole numbers"):
        bootstrap_test(X, 1, sample_weight=np.full(272, 0.5))
