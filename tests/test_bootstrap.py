"""The bootstrap: laws, a level that holds, and intervals that agree with theory."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.bootstrap import bootstrap, bootstrap_test
from bayesgmm.datasets import load_dataset

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
    assert (found.null >= -1e-6).all()
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
