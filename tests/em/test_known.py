"""Marginals, conditionals and quantiles of a mixture, with their names."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import bayesgmm as bg

TYPES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="module")
def X():
    return bg.load_dataset("iris")


@pytest.fixture(scope="module", params=TYPES)
def mixture(request, X):
    return bg.GaussianMixture(3, covariance_type=request.param, random_state=0).fit(X)


def test_a_marginal_keeps_names_units_family_and_order(mixture, X):
    names = mixture.feature_names
    marginal = mixture.marginal([names[2], 0])
    assert marginal.feature_names == (names[2], names[0])
    assert marginal.units == (mixture.units[2], mixture.units[0])
    assert marginal.covariance_type == mixture.covariance_type
    assert marginal.status_ is mixture.status_ and marginal.admissible_ == mixture.admissible_
    frame = pd.DataFrame(np.asarray(X)[:, [2, 0]], columns=[names[2], names[0]])
    assert marginal.predict_proba(frame).shape == (len(frame), 3)
    with pytest.raises(ValueError, match="same order"):
        marginal.predict(frame[[names[0], names[2]]])
    assert mixture.marginal(names[1]).feature_names == (names[1],)


def test_marginal_and_conditional_recombine_to_the_joint_density(mixture, X):
    rows = np.asarray(X)[[0, 60, 120]]
    names = mixture.feature_names
    for row in rows:
        conditional = mixture.conditional({names[3]: row[3], 1: row[1]})
        assert conditional.feature_names == (names[0], names[2]) and conditional.covariance_type == "full"
        assert conditional.units == (mixture.units[0], mixture.units[2])
        rest = pd.DataFrame([row[[0, 2]]], columns=[names[0], names[2]])
        known = pd.DataFrame([row[[1, 3]]], columns=[names[1], names[3]])
        joint = mixture.score_samples(pd.DataFrame([row], columns=list(names)))
        recombined = mixture.marginal([1, 3]).score_samples(known) + conditional.score_samples(rest)
        np.testing.assert_allclose(recombined, joint, rtol=1e-9)


def test_conditioning_on_all_but_the_components_place_gives_memberships(mixture, X):
    """Given features b, the weights are the memberships of the marginal of b."""
    names, row = mixture.feature_names, np.asarray(X)[70]
    known = pd.DataFrame([row[[0, 1]]], columns=list(names[:2]))
    weights = mixture.conditional({0: row[0], 1: row[1]}).weights_
    np.testing.assert_allclose(weights, mixture.marginal([0, 1]).predict_proba(known)[0], atol=1e-12)


def test_what_follows_from_a_seeded_fit_is_seeded_and_takes_nothing_from_its_stream(X):
    first, second = (bg.GaussianMixture(2, random_state=1).fit(X) for _ in range(2))
    conditionals = [gm.conditional({0: 6.0}) for gm in (first, second)]
    np.testing.assert_array_equal(conditionals[0].sample(4)[0], conditionals[1].sample(4)[0])
    first.marginal([0])
    np.testing.assert_array_equal(first.sample(4)[0], second.sample(4)[0])
    assert (first.marginal([0]).sample(4)[0] != first.marginal([0]).sample(4)[0]).all()


def test_quantile_inverts_cdf_in_any_shape(mixture):
    marginal = mixture.marginal([2])
    q = np.array([[0.01, 0.3], [0.5, 0.999]])
    x = marginal.quantile(q)
    assert x.shape == q.shape
    np.testing.assert_allclose(marginal.cdf(x), q, rtol=1e-12)
    assert marginal.cdf(marginal.quantile(0.25)).shape == ()
    np.testing.assert_array_equal(marginal.cdf([-np.inf, np.inf]), [0.0, 1.0])
    np.testing.assert_array_equal(marginal.quantile([0, 1]), [-np.inf, np.inf])


def test_cdf_is_the_share_of_draws_below(X):
    """Within four standard errors of a share."""
    marginal = bg.GaussianMixture(3, random_state=0).fit(X).marginal([2])
    draws, N = marginal.sample(20_000)[0][:, 0], 20_000
    for x in np.quantile(draws, [0.1, 0.5, 0.9]):
        p = float(marginal.cdf(x))
        assert abs((draws <= x).mean() - p) < 4 * np.sqrt(p * (1 - p) / N)


def test_wrong_questions_are_refused_with_the_way_out(mixture):
    name = mixture.feature_names[0]
    with pytest.raises(ValueError, match=rf"needs one feature, this mixture has 4 .*marginal\(\['{name}'\]\)\.cdf"):
        mixture.cdf(1.0)
    with pytest.raises(ValueError, match="take a marginal first"):
        mixture.quantile(0.5)
    one = mixture.marginal([0])
    for q in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"probabilities in \[0, 1\]; received"):
            one.quantile([0.5, q])
    with pytest.raises(ValueError, match="NaN"):
        one.cdf([0.0, np.nan])
    with pytest.raises(ValueError, match=f"no feature 'colour': give names .{name}"):
        mixture.marginal(["colour"])
    with pytest.raises(ValueError, match="every feature is given"):
        mixture.conditional(dict.fromkeys(mixture.feature_names, 1.0))
    with pytest.raises(ValueError, match="finite number"):
        mixture.conditional({name: np.nan})


@pytest.mark.parametrize(
    "call",
    [
        lambda gm: gm.marginal([0]),
        lambda gm: gm.conditional({0: 1.0}),
        lambda gm: gm.cdf(0.0),
        lambda gm: gm.quantile(0.5),
        lambda gm: gm.save("nowhere.json"),
        lambda gm: gm.to_scikit_learn(),
    ],
)
def test_an_unfitted_mixture_says_so(call):
    with pytest.raises(NotFittedError):
        call(bg.GaussianMixture(2))


def test_from_parameters_takes_names():
    mixture = bg.from_parameters(
        [0.5, 0.5], [[0.0, 1.0], [2.0, 3.0]], [1.0, 2.0], covariance_type="spherical", feature_names=["a", "b"]
    )
    assert isinstance(mixture, bg.GaussianMixture) and mixture.feature_names == ("a", "b")
    assert mixture.predict(pd.DataFrame({"a": [0.0], "b": [1.0]})).tolist() == [0]
    assert mixture.feature_names_in_.tolist() == ["a", "b"] and mixture.n_features_in_ == 2
    for wrong in (["a"], ["a", "a"], ["a", 1]):
        with pytest.raises(ValueError, match="2 distinct texts"):
            bg.from_parameters([1.0], [[0.0, 1.0]], [np.eye(2)], feature_names=wrong)
