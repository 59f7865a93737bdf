"""The way to scikit-learn's mixture and back."""

import numpy as np
import pandas as pd
import pytest
from sklearn import mixture as theirs
from sklearn.exceptions import NotFittedError

import bayesgmm as bg
from bayesgmm.em.families import FAMILIES

TYPES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="module")
def X():
    return bg.load_dataset("iris")


@pytest.fixture(scope="module", params=TYPES)
def mixture(request, X):
    return bg.GaussianMixture(3, covariance_type=request.param, random_state=0).fit(X)


def test_there_and_back_by_scikit_learn(mixture, X):
    frame = pd.DataFrame(np.asarray(X), columns=list(mixture.feature_names))
    there = mixture.to_scikit_learn()
    assert type(there) is theirs.GaussianMixture and there.covariance_type == mixture.covariance_type
    back = bg.GaussianMixture.from_scikit_learn(there)
    for other in (there, back):
        np.testing.assert_allclose(other.predict_proba(frame), mixture.predict_proba(frame), atol=1e-9)
        np.testing.assert_allclose(other.score_samples(frame), mixture.score_samples(frame), rtol=1e-9)
    assert there.sample(3)[0].shape == (3, 4)
    assert np.isclose(there.bic(frame), mixture.bic(frame))
    assert back.feature_names == mixture.feature_names and back.n_iter_ == mixture.n_iter_


@pytest.mark.parametrize("family", [f for f in FAMILIES.values() if f.name not in TYPES], ids=lambda f: f.name)
def test_a_family_that_they_have_not_becomes_a_wider_one(family, X):
    rows = np.asarray(X)[:, [2]] if family.name in ("E", "V") else np.asarray(X)
    mixture = bg.GaussianMixture(2, covariance_type=family.name, random_state=0).fit(rows)
    wider = "diag" if family.diagonal else "full"
    there, marginal = mixture.to_scikit_learn(), mixture.marginal([rows.shape[1] - 1, 0][: rows.shape[1]])
    assert there.covariance_type == marginal.covariance_type == wider
    np.testing.assert_allclose(there.predict_proba(rows), mixture.predict_proba(rows), atol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_their_fit_becomes_ours(covariance_type, X):
    rows = np.asarray(X)
    fit = theirs.GaussianMixture(3, covariance_type=covariance_type, random_state=0, tol=1e-6, max_iter=1000).fit(rows)
    ours = bg.GaussianMixture.from_scikit_learn(fit)
    np.testing.assert_allclose(ours.predict_proba(rows), fit.predict_proba(rows), atol=1e-9)
    np.testing.assert_allclose(ours.precisions_cholesky_, fit.precisions_cholesky_, rtol=1e-6, atol=1e-9)
    assert ours.converged_ and ours.lower_bounds_ == fit.lower_bounds_
    assert ours.feature_names == ("x0", "x1", "x2", "x3")


def test_only_their_maximum_likelihood_mixture_is_taken(X):
    with pytest.raises(TypeError, match="received BayesianGaussianMixture"):
        bg.GaussianMixture.from_scikit_learn(theirs.BayesianGaussianMixture(n_components=1).fit(np.asarray(X)))
    with pytest.raises(NotFittedError):
        bg.GaussianMixture.from_scikit_learn(theirs.GaussianMixture(2))
