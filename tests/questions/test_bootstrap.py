"""The bootstrap: intervals that agree with theory, of all that a fit may know of its rows."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.datasets import load_dataset
from bayesgmm.mixture.alignment import align
from bayesgmm.posterior.datatree import fixed_labels, posterior_parameters
from bayesgmm.questions.bootstrap import bootstrap

K_SE = 4.0


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
