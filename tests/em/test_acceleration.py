"""Accelerated EM reaches the same top in fewer passes, and its coordinates lose nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em import solver
from bayesgmm.em.acceleration import QuasiNewton
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.families.projection import within_family
from bayesgmm.em.starts.methods import from_method
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.strategies import random_mixture, seeds

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def overlapping(rng, N=5000):
    """Four clusters in three dimensions that plain EM needs thousands of passes for."""
    return rng.normal(size=(N, 3)) @ rng.normal(size=(3, 3)) + rng.normal(size=(4, 3))[rng.integers(4, size=N)]


def both(X, family, K, *, tol, reference_tol=1e-13, max_reference=30_000):
    observations = as_observations(X)
    floor = 1e-8 * family.floor_variances(observations.variances) / observations.scale**2
    start = from_method(observations, "kmeans", K, family, floor, np.random.default_rng(1))
    plain = solver.run(observations, start, family, tol=reference_tol, max_iter=max_reference, floor=floor)
    fast = solver.run(observations, start, family, tol=tol, max_iter=1000, floor=floor, accelerated=True)
    return observations, plain, fast


@families
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 4))
def test_coordinates_lead_back(family, seed, K, D):
    rng = np.random.default_rng(seed)
    here, there = (within_family(random_mixture(rng, K, D), family) for _ in range(2))
    quasi_newton = QuasiNewton(family, 100.0)
    back = quasi_newton._moved(here, quasi_newton.difference(here, there))
    assert_allclose(back.weights, there.weights, rtol=1e-8)
    assert_allclose(back.means, there.means, rtol=1e-7, atol=1e-8)
    assert_allclose(back.covariances, there.covariances, rtol=1e-5, atol=1e-7)


def test_the_coordinates_make_the_complete_information_the_identity():
    """Half of |difference|^2 is n KL(here, there) of the complete data to second order."""
    rng = np.random.default_rng(3)
    here = random_mixture(rng, 3, 2)
    small = 1e-4
    there = MixtureParameters.from_covariances(
        here.weights
        * np.exp(small * np.array([1.0, -2.0, 0.5]))
        / (here.weights @ np.exp(small * np.array([1, -2, 0.5]))),
        here.means + small * rng.normal(size=(3, 2)),
        here.covariances * (1 + small * rng.normal(size=(3, 1, 1))),
    )
    n = 50.0
    kl = 0.0
    for pi, other_pi, mu, nu, S, T in zip(
        *(here.weights, there.weights, here.means, there.means, here.covariances, there.covariances), strict=True
    ):
        ratio = np.linalg.solve(T, S)
        gaussian = np.trace(ratio) - 2 - np.log(np.linalg.det(ratio)) + (mu - nu) @ np.linalg.solve(T, mu - nu)
        kl += n * pi * (np.log(pi / other_pi) + 0.5 * gaussian)
    length = QuasiNewton(FAMILIES["full"], n).difference(here, there)
    assert_allclose(0.5 * length @ length, kl, rtol=1e-2)


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical"])
def test_where_plain_em_crawls_the_same_optimum_takes_a_tenth_of_the_passes(name):
    X = overlapping(np.random.default_rng(0))
    observations, plain, fast = both(X, FAMILIES[name], 4, tol=1e-8)
    assert fast.status is solver.Status.CONVERGED
    assert plain.log_likelihood - fast.log_likelihood <= 1e-6 * observations.total_weight
    assert len(fast.log_likelihoods) < len(plain.log_likelihoods) / 10


@families
@pytest.mark.parametrize(("dataset", "K"), [("faithful", 3), ("iris", 2), ("iris", 3)])
def test_the_default_tolerance_stops_within_1e_6_per_row_of_the_top(family, dataset, K):
    """The promise of the estimator's default, against going on from there to 1e-13."""
    X = load_dataset(dataset).values
    observations, _, fast = both(X, family, K, tol=1e-8, max_reference=2)
    floor = 1e-8 * family.floor_variances(observations.variances) / observations.scale**2
    top = solver.run(observations, fast.parameters, family, tol=1e-13, max_iter=20_000, floor=floor)
    assert fast.status is solver.Status.CONVERGED
    assert top.log_likelihood - fast.log_likelihood <= 1e-6 * observations.total_weight


def test_what_is_frozen_stays_and_the_rest_is_at_its_best():
    X = load_dataset("faithful").values
    observations = as_observations(X)
    family = FAMILIES["full"]
    floor = 1e-8 * observations.variances / observations.scale**2
    start = from_method(observations, "kmeans", 3, family, floor, np.random.default_rng(1))
    for frozen in ("weights", "means", "covariances"):
        ends = [
            solver.run(observations, start, family, tol=1e-11, max_iter=5000, floor=floor, accelerated=accelerated,
                   frozen=frozenset({frozen}))
            for accelerated in (False, True)
        ]  # fmt: skip
        for end in ends:
            assert end.status is solver.Status.CONVERGED
            assert_array_equal(getattr(end.parameters, frozen), getattr(start, frozen))
        assert_allclose(ends[1].log_likelihood, ends[0].log_likelihood, atol=1e-5)
