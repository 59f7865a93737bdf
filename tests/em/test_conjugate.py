"""MAP-EM: mclust's numbers where the prior is the same, and a fit where likelihood alone has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import invwishart, multivariate_normal

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.em import solver
from bayesgmm.em.conjugate import ConjugatePrior, conjugate_prior
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.families.projection import within_family
from bayesgmm.em.starts.methods import from_method
from bayesgmm.selection.compare import compare
from tests.support.strategies import random_covariances, random_mixture, random_rows, seeds

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


# R mclust 6.0.0: me(iris[, 1:4], m, unmap(rep(1:3, each = 50)), prior = priorControl(),
#                    control = emControl(tol = c(1e-13, 1e-10), itmax = c(100000, 1000)))$loglik
@pytest.mark.parametrize(("code", "loglik"), [("VVV", -192.695284), ("EEE", -257.739377)])
def test_reaches_mclusts_mode_from_the_same_start(code, loglik):
    X = load_dataset("iris").values
    species = np.repeat([0, 1, 2], 50)
    fit = GaussianMixture(
        3, covariance_type=code, init_params=species, prior="conjugate", tol=1e-13, max_iter=20_000
    ).fit(X)
    assert_allclose(fit.lower_bound_ * 150, loglik, rtol=0, atol=1e-5)


@given(seed=seeds, K=st.integers(1, 3), D=st.integers(1, 3))
def test_the_density_is_scipys_but_for_a_constant(seed, K, D):
    rng = np.random.default_rng(seed)
    prior = ConjugatePrior(rng.normal(size=D), 0.3, D + 2.5, random_covariances(rng, (), D))
    pair = [random_mixture(rng, K, D) for _ in range(2)]

    def scipys(mixture):
        return sum(
            invwishart(prior.dof, prior.scale).logpdf(S) + multivariate_normal(prior.mean, S / prior.kappa).logpdf(mu)
            for mu, S in zip(mixture.means, mixture.covariances, strict=True)
        )

    ours = [prior.log_density(mixture, common=False) for mixture in pair]
    assert_allclose(ours[1] - ours[0], scipys(pair[1]) - scipys(pair[0]), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("accelerated", [False, True], ids=["plain", "accelerated"])
@families
def test_the_posterior_density_never_falls(family, accelerated):
    observations = as_observations(random_rows(np.random.default_rng(4), 60, 3))
    prior = conjugate_prior(observations, 3)
    floor = np.zeros(3)
    start = from_method(observations, "kmeans", 3, family, floor, np.random.default_rng(0))
    values = [
        solver.run(
            observations, start, family, tol=0.0, max_iter=n, floor=floor, accelerated=accelerated, prior=prior
        ).objective
        for n in range(1, 25)
    ]
    assert (np.diff(values) >= -1e-9).all()
    assert values[-1] > values[0] + 0.1


@families
def test_where_it_ends_nothing_near_is_better(family):
    rng = np.random.default_rng(5)
    observations = as_observations(random_rows(rng, 80, 2))
    prior = conjugate_prior(observations, 2)
    start = from_method(observations, "kmeans", 2, family, np.zeros(2), rng)
    settings = {"max_iter": 3000, "floor": np.zeros(2), "prior": prior}
    end = solver.run(observations, start, family, tol=1e-13, accelerated=True, **settings)
    for _ in range(10):
        near = random_mixture(rng, 2, 2)
        mixed = within_family(
            type(near).from_covariances(
                0.99 * end.parameters.weights + 0.01 * near.weights,
                0.99 * end.parameters.means + 0.01 * near.means,
                0.99 * end.parameters.covariances + 0.01 * near.covariances,
            ),
            family,
            end.parameters.covariances,
        )
        there = solver.run(observations, mixed, family, tol=1e-13, **settings | {"max_iter": 1})
        assert there.objective <= end.objective + 1e-8


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical", "VEV", "EEV", "VEE"])
def test_fewer_rows_than_columns_can_be_clustered(family):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(12, 30)), rng.normal(size=(12, 30)) + 3])
    fit = GaussianMixture(2, covariance_type=family, prior="conjugate", random_state=0).fit(X)
    assert fit.converged_ and fit.admissible_
    labels = fit.predict(X)
    assert len(set(labels[:12])) == len(set(labels[12:])) == 1 and labels[0] != labels[-1]
    assert np.linalg.eigvalsh(fit.parameters_.covariances).min() > 0


def test_a_search_computes_the_covariance_of_the_data_once(monkeypatch):
    asked = []
    original = Observations.covariance
    monkeypatch.setattr(Observations, "covariance", lambda self: asked.append(self) or original(self))
    observations = as_observations(random_rows(np.random.default_rng(4), 60, 3))
    found = compare(observations, [1, 2, 3], covariance_type=["EEE", "VVV"], prior="conjugate", n_init=1)
    assert len(found.fits) == 6 and len(asked) == 1
    here = conjugate_prior(observations, 2)
    covariance = np.cov(observations.values, rowvar=False) / observations.scale**2
    assert_allclose(here.scale, covariance / 2 ** (2 / 3), rtol=1e-12)


def test_thirty_rows_of_fifty_columns_have_a_fit_in_every_family():
    """A shrunk covariance for each component: positive definite, admissible, and the two groups are found."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 50)) + np.repeat([[0.0], [2.0]], 15, axis=0)
    found = compare(X, [1, 2], prior="conjugate", n_init=2, random_state=0)
    assert len(found.fits) == 28
    assert found.table["converged"].all() and found.table["admissible"].all()
    for (family, K), fit in found.fits.items():
        assert np.linalg.eigvalsh(fit.parameters_.covariances).min() > 0, family
        assert K == 1 or len(set(fit.predict(X)[:15])) == 1 != len(set(fit.predict(X))), family


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_units_do_not_matter(factor):
    X = load_dataset("iris").values
    here, there = (GaussianMixture(3, prior="conjugate", random_state=0).fit(data) for data in (X, X * factor + factor))
    assert_allclose(there.predict_proba(X * factor + factor), here.predict_proba(X), atol=1e-6)


def test_an_unknown_prior_is_refused():
    with pytest.raises(ValueError, match="`prior` must be 'conjugate' or None; received 'flat'"):
        GaussianMixture(2, prior="flat").fit(load_dataset("iris"))
