"""EM climbs, and stops at the top: laws of every covariance family."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.observations import as_observations
from bayesgmm.em import solver
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.m_step import maximise
from bayesgmm.em.starts.methods import METHODS, from_method
from bayesgmm.em.starts.requested import from_memberships
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support import oracle
from tests.support.strategies import random_mixture, random_rows, seeds

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def no_floor(observations):
    return np.zeros(observations.n_features)


def relative_floor(observations, family, fraction):
    return fraction * family.floor_variances(observations.variances) / observations.scale**2


@pytest.mark.parametrize("accelerated", [False, True], ids=["plain", "accelerated"])
@families
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 3), method=st.sampled_from(sorted(METHODS)))
def test_the_log_likelihood_never_falls(family, accelerated, seed, K, D, method):
    """Also where the floor holds a component, if its covariance is its own: clipping is then the exact M-step."""
    rng = np.random.default_rng(seed)
    observations = as_observations(random_rows(rng, 60, D))
    clipping_is_exact = family.code in ("EII", "VII", "EEI", "VVI", "EEE", "VVV")
    floor = relative_floor(observations, family, 0.01 if clipping_is_exact else 1e-8)
    start = from_method(observations, method, K, family, floor, rng)
    result = solver.run(observations, start, family, tol=1e-10, max_iter=60, floor=floor, accelerated=accelerated)
    # rounding: eps times the number of rows times the size of a log density
    slack = 1e-11 * 60 * D
    if clipping_is_exact or not result.floored:
        assert (np.diff(result.log_likelihoods) >= -slack).all()


@families
def test_at_the_optimum_the_gradient_in_free_coordinates_is_zero(family):
    rng = np.random.default_rng(5)
    X = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(40, 2)) @ [[1, 0.8], [0, 0.6]] + 4])
    observations = as_observations(X)
    start = from_memberships(observations, np.repeat([0, 1], [60, 40]), family, no_floor(observations))
    result = solver.run(observations, start, family, tol=1e-15, max_iter=10_000, floor=no_floor(observations))
    assert result.status is solver.Status.CONVERGED
    Y = (X - observations.shift) / observations.scale

    def mean_log_density(free):
        return oracle.log_density(Y, oracle.from_free(free, family.name, 2, 2)).mean()

    point = oracle.to_free(result.parameters, family.name)
    assert np.abs(oracle.gradient(mean_log_density, point)).max() < 1e-6
    assert np.abs(oracle.gradient(mean_log_density, point + 0.01)).max() > 1e-4, "the check itself must see a slope"


@families
@given(seed=seeds, K=st.integers(1, 4), D=st.integers(1, 3))
def test_the_m_step_beats_every_perturbation_of_the_whole_mixture(family, seed, K, D):
    rng = np.random.default_rng(seed)
    observations = as_observations(random_rows(rng, 80, D))
    looking = random_mixture(rng, K, D, diagonal=family.diagonal)
    Y = (observations.values - observations.shift) / observations.scale
    _, N, S1, S2 = oracle.statistics(Y, looking)
    assume(N.min() > 2 * D + 2)  # a scatter that is (nearly) singular has no maximum
    statistics = expected_statistics(observations, looking, family.moments)
    first, _ = maximise(statistics, family, no_floor(observations))
    best, floored = maximise(statistics, family, no_floor(observations), first)
    assert floored == ()
    point = oracle.to_free(best, family.name)
    top = oracle.expected_complete_log_likelihood(N, S1, S2, best)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(5):
            other = oracle.from_free(point + size * rng.normal(size=point.shape), family.name, K, D)
            assert oracle.expected_complete_log_likelihood(N, S1, S2, other) <= top + 1e-9 * abs(top)


@given(seed=seeds, D=st.integers(1, 3))
def test_under_a_floor_no_covariance_above_it_does_better(seed, D):
    """The M-step of "full" over {Sigma : Sigma - diag(floor) positive semidefinite}."""
    rng = np.random.default_rng(seed)
    floor = rng.uniform(0.5, 2.0, size=D)
    N, S1 = np.array([30.0]), np.zeros((1, D))
    root = rng.normal(size=(D, D + 1))
    S2 = 30 * (root @ root.T)[None] * 0.5
    statistics = SufficientStatistics(0.0, N, S1, S2, np.zeros(D), 1.0)
    best, _ = maximise(statistics, FAMILIES["full"], floor)
    top = oracle.expected_complete_log_likelihood(N, S1, S2, best)
    assert np.linalg.eigvalsh(best.covariances[0] - np.diag(floor)).min() > -1e-12
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(10):
            change = size * rng.normal(size=(D, D))
            covariance = best.covariances[0] + change + change.T
            if np.linalg.eigvalsh(covariance - np.diag(floor)).min() < 0:
                covariance = np.diag(floor) + change @ change.T
            other = MixtureParameters.from_covariances(np.ones(1), np.zeros((1, D)), covariance[None])
            assert oracle.expected_complete_log_likelihood(N, S1, S2, other) <= top + 1e-9 * abs(top)


@families
def test_the_floor_leaves_a_sound_fit_untouched(family, rng):
    observations = as_observations(random_rows(rng, 200, 2, clusters=2))
    results = [
        solver.run(
            observations,
            from_memberships(observations, np.arange(200) % 2, family, floor),
            family,
            tol=1e-10,
            max_iter=500,
            floor=floor,
        )
        for floor in (no_floor(observations), relative_floor(observations, family, 1e-8))
    ]
    assert_array_equal(results[0].log_likelihoods, results[1].log_likelihoods)
    assert_array_equal(results[0].parameters.covariances, results[1].parameters.covariances)


@families
def test_a_component_on_the_floor_is_held_and_reported_not_refused(family):
    """Two equal rows far out among very many: rounding of the scatter is near the floor itself."""
    statistics = SufficientStatistics(
        0.0,
        np.array([1e6, 2.0]),
        np.array([[0.0, 0.0], [1400.0, 0.0]]),
        np.array([[1e6, 1e6], [980_000.0, 0.0]])
        if family.diagonal
        else np.array([np.diag([1e6, 1e6]), np.diag([980_000.0, 0.0])]),
        np.zeros(2),
        1.0,
    )
    floor = np.full(2, 1e-8)
    parameters, floored = maximise(statistics, family, floor)
    # what components have in common does not go with one of them: a volume and shape for all stays off the floor,
    # and where the volume alone is common the floor holds the scatter, whose shape is all that is used
    common_shape = family.code[1] in "EI"
    assert floored == (() if family.code[0] == "E" and common_shape else (1,))
    if family.code[0] == "V":
        assert_allclose(np.diagonal(parameters.covariances[1]), floor)
    else:
        assert_allclose(np.diagonal(parameters.covariances[1]), 1.0, rtol=1e-4)


def test_statistics_of_the_truth_give_the_truth_back(rng):
    """Population moments instead of a sample: one M-step from exact responsibilities is a fixed point."""
    truth = random_mixture(rng, 3, 2)
    N = 1000 * truth.weights
    S1 = N[:, None] * truth.means
    S2 = N[:, None, None] * (truth.covariances + truth.means[:, :, None] * truth.means[:, None, :])
    found, _ = maximise(SufficientStatistics(0.0, N, S1, S2, np.zeros(2), 1.0), FAMILIES["full"], np.zeros(2))
    assert_allclose(found.weights, truth.weights, rtol=1e-12)
    assert_allclose(found.means, truth.means, rtol=1e-12)
    assert_allclose(found.covariances, truth.covariances, rtol=1e-9)


def simple(rng, K=2):
    observations = as_observations(np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 8]))
    family = FAMILIES["full"]
    start = from_memberships(observations, np.arange(100) % K, family, no_floor(observations))
    return observations, start, family


def test_stops_where_told(rng):
    observations, start, family = simple(rng)
    result = solver.run(observations, start, family, tol=1e-12, max_iter=3, floor=np.zeros(2))
    assert result.status is solver.Status.MAX_ITER
    assert len(result.log_likelihoods) == 3
    assert not result.admissible


def log_likelihood_of(observations, result):
    return oracle.log_density(observations.values, observations.from_standard(result.parameters)).sum()


def test_where_it_converged_the_log_likelihood_belongs_to_the_parameters(rng):
    observations, start, family = simple(rng)
    result = solver.run(observations, start, family, tol=1e-9, max_iter=1000, floor=np.zeros(2))
    assert result.status is solver.Status.CONVERGED
    assert_allclose(result.log_likelihood, log_likelihood_of(observations, result), rtol=1e-12)
    assert_allclose(result.N.sum(), 100, rtol=1e-12)


def test_every_e_step_has_its_m_step(rng):
    """One E-step moves, and n of them lead where the E-step n + 1 looks."""
    observations, start, family = simple(rng)
    longer = solver.run(observations, start, family, tol=1e-9, max_iter=8, floor=np.zeros(2))
    for n in range(1, 8):
        result = solver.run(observations, start, family, tol=1e-9, max_iter=n, floor=np.zeros(2))
        assert result.status is solver.Status.MAX_ITER
        assert_allclose(result.log_likelihoods, longer.log_likelihoods[:n], rtol=1e-12)
        assert_allclose(log_likelihood_of(observations, result), longer.log_likelihoods[n], rtol=1e-12)
        assert log_likelihood_of(observations, result) > result.log_likelihood


@families
@pytest.mark.parametrize("cut", [1, 4])
def test_plain_em_in_parts_is_plain_em(family, cut, rng):
    """Also the E-step at which it converges."""
    observations = as_observations(random_rows(rng, 60, 2))
    settings = {"tol": 1e-6, "floor": 1e-8 * family.floor_variances(observations.variances) / observations.scale**2}
    start = from_method(observations, "kmeans", 2, family, settings["floor"], rng)
    whole = solver.run(observations, start, family, max_iter=2000, **settings)
    parts = solver.run(observations, start, family, max_iter=cut, **settings)
    while parts.status is solver.Status.MAX_ITER:
        parts = solver.go_on(observations, parts, family, max_iter=len(parts.log_likelihoods) + cut, **settings)
    assert parts.status is whole.status
    assert_allclose(parts.log_likelihoods, whole.log_likelihoods, rtol=1e-10)


def test_a_collapse_that_nothing_looks_at_ends_the_run_where_it_is():
    """A row alone in its component, wide at first: the M-step makes it a point, which has no likelihood."""
    observations = as_observations(np.array([[0.0], [1.0], [2.0], [3.0], [50.0]]))
    start = MixtureParameters.from_covariances([0.8, 0.2], [[1.5], [50.0]], [[[1.0]], [[1.0]]])
    start = observations.to_standard(start)
    result = solver.run(observations, start, FAMILIES["full"], tol=1e-8, max_iter=1, floor=np.zeros(1))
    assert result.status is solver.Status.MAX_ITER
    assert_array_equal(result.parameters.means, start.means)
    with pytest.raises(CollapseError, match="component 1 collapsed"):
        solver.run(observations, start, FAMILIES["full"], tol=1e-8, max_iter=2, floor=np.zeros(1))


def test_one_component_is_the_sample_mean_and_covariance(rng):
    observations, start, family = simple(rng, K=1)
    result = solver.run(observations, start, family, tol=1e-9, max_iter=10, floor=np.zeros(2))
    found = observations.from_standard(result.parameters)
    assert result.status is solver.Status.CONVERGED and result.admissible
    assert_allclose(found.means[0], observations.values.mean(axis=0), rtol=1e-10)
    assert_allclose(found.covariances[0], np.cov(observations.values.T, bias=True), rtol=1e-10)


def test_a_tolerance_of_zero_is_met_when_nothing_rises_any_more(rng):
    observations, start, family = simple(rng, K=1)
    result = solver.run(observations, start, family, tol=0.0, max_iter=100, floor=np.zeros(2))
    assert result.status is solver.Status.CONVERGED


def test_an_empty_component_keeps_its_place_and_shape(rng):
    observations, start, family = simple(rng)
    lost = MixtureParameters.from_covariances(
        start.weights, start.means + np.array([[0.0], [1e6]]), np.stack([np.eye(2)] * 2)
    )
    result = solver.run(observations, lost, family, tol=1e-9, max_iter=100, floor=np.zeros(2))
    assert_array_equal(result.parameters.means[1], lost.means[1])
    assert_array_equal(result.parameters.covariances[1], np.eye(2))
    assert result.parameters.weights[1] == 0.0
    assert not result.admissible


def test_few_rows_in_a_component_are_not_admissible(rng):
    X = np.concatenate([rng.normal(size=(60, 2)), [[20.0, 20.0], [21.0, 20.0]]])
    observations = as_observations(X)
    family = FAMILIES["spherical"]
    start = from_memberships(observations, np.repeat([0, 1], [60, 2]), family, no_floor(observations))
    result = solver.run(observations, start, family, tol=1e-9, max_iter=100, floor=no_floor(observations))
    assert result.status is solver.Status.CONVERGED
    assert not result.admissible


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
@given(seed=seeds, D=st.integers(1, 3), offset=st.floats(-50, 50))
def test_without_a_floor_equal_rows_collapse_loudly(name, seed, D, offset):
    """A scatter of rounding errors is positive half of the time: it must not pass for a variance."""
    family = FAMILIES[name]
    rng = np.random.default_rng(seed)
    X = np.concatenate([np.tile(rng.normal(size=D) + offset, (20, 1)), rng.normal(size=(50, D))])
    observations = as_observations(X)
    with pytest.raises(CollapseError, match="component 0 collapsed") as caught:
        start = from_memberships(observations, np.repeat([0, 1], [20, 50]), family, no_floor(observations))
        solver.run(observations, start, family, tol=1e-8, max_iter=1000, floor=no_floor(observations))
    assert caught.value.component == 0


def test_a_collapse_on_the_way_carries_the_last_whole_mixture(rng):
    """15 equal rows that one component closes in on."""
    X = np.concatenate([np.full((15, 1), 0.1), rng.normal(size=(50, 1)) * 3])
    observations = as_observations(X)
    start = MixtureParameters.from_covariances([0.5, 0.5], [[0.1], [0.0]], [[[0.01]], [[1.0]]])
    start = MixtureParameters.from_covariances(
        start.weights, observations.to_standard(start).means, [[[1e-4]], [[1.0]]]
    )
    with pytest.raises(CollapseError, match="component 0 collapsed") as caught:
        solver.run(observations, start, FAMILIES["full"], tol=1e-12, max_iter=1000, floor=no_floor(observations))
    assert isinstance(caught.value.parameters, MixtureParameters)
    r = oracle.memberships((X - observations.shift) / observations.scale, caught.value.parameters)
    assert (r[:15, 0] > 0.5).all()


def test_a_start_out_of_reach_of_every_row_is_refused():
    observations = as_observations(np.array([[0.0], [1.0], [2.0]]))
    start = MixtureParameters.from_covariances([1.0], [[1e200]], [[[1e-200]]])
    with pytest.raises(CollapseError, match="log-likelihood is not finite"), np.errstate(all="ignore"):
        solver.run(observations, start, FAMILIES["full"], tol=1e-8, max_iter=10, floor=np.zeros(1))


def test_every_status_is_a_sentence():
    assert all(status.value[0].isupper() and status.value.endswith(".") for status in solver.Status)
