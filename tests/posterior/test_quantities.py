"""What a reader follows from draw to draw: sums over rows against their definitions, and laws of labels and units."""

import numpy as np
from hypothesis import given, settings
from numpy.testing import assert_allclose
from scipy.special import entr

from bayesgmm.data.observations import as_observations
from bayesgmm.data.samples import some_rows
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior import quantities
from bayesgmm.posterior.quantities import label_free, readable_parameters, without_repetition
from tests.support import noisy
from tests.support.strategies import problems, random_mixture


def spread(problem, S: int = 3) -> MixtureParameters:
    """S copies of the mixture, each with a covariance a little larger."""
    p = problem.parameters
    grown = p.covariances * (1 + 0.1 * np.arange(S)).reshape(S, 1, 1, 1)
    return MixtureParameters.from_covariances(np.tile(p.weights, (S, 1)), np.tile(p.means, (S, 1, 1)), grown)


@given(problem=problems(max_rows=40))
@settings(max_examples=15)
def test_sums_over_rows_are_their_definitions(problem):
    draws, observations = spread(problem), problem.observations
    found = label_free(observations, draws)
    weights = observations.weights if observations.weights is not None else np.ones(observations.n_rows)
    for s in range(3):
        log_joint = np.empty((observations.n_rows, draws.n_components))
        for k in range(draws.n_components):
            difference = observations.values - draws.means[s, k]
            solved = np.linalg.solve(draws.covariances[s, k], difference.T).T
            log_det = np.linalg.slogdet(2 * np.pi * draws.covariances[s, k])[1]
            log_joint[:, k] = np.log(draws.weights[s, k]) - 0.5 * (log_det + (difference * solved).sum(axis=1))
        log_density = np.logaddexp.reduce(log_joint, axis=1)
        log_r = log_joint - log_density[:, None]
        assert_allclose(found.log_likelihood[s], weights @ log_density, rtol=1e-7)
        assert_allclose(found.rows[s], weights @ np.exp(log_r), rtol=1e-6, atol=1e-7)
        entropy = -(np.exp(log_r) * log_r).sum(axis=1)
        assert_allclose(found.entropy[s], np.average(entropy, weights=weights), rtol=1e-5, atol=1e-7)


@given(problem=problems(max_rows=40))
@settings(max_examples=10)
def test_labels_do_not_matter_but_to_the_rows_they_hold(problem):
    draws = spread(problem)
    order = np.tile(np.arange(draws.n_components)[::-1], (3, 1))
    here, there = (label_free(problem.observations, p) for p in (draws, draws.permute(order)))
    assert_allclose(there.log_likelihood, here.log_likelihood, rtol=1e-9)
    assert_allclose(there.entropy, here.entropy, rtol=1e-7, atol=1e-10)
    assert_allclose(there.rows, here.rows[:, ::-1], rtol=1e-7, atol=1e-9)
    assert_allclose(here.rows.sum(axis=1), problem.observations.total_weight, rtol=1e-9)


@given(problem=problems(max_rows=60))
@settings(max_examples=5)
def test_pieces_add_up(problem):
    draws = spread(problem)
    whole = label_free(problem.observations, draws)
    kept = quantities.MOST_NUMBERS
    try:
        quantities.MOST_NUMBERS = 60
        pieces = label_free(problem.observations, draws)
    finally:
        quantities.MOST_NUMBERS = kept
    for a, b in zip(whole, pieces, strict=True):
        assert_allclose(b, a, rtol=1e-8, atol=1e-9)


@given(problem=problems(max_rows=100))
@settings(max_examples=10)
def test_some_rows_are_spread_over_all(problem):
    N = problem.observations.n_rows
    assert some_rows(problem.observations, N) is problem.observations
    few = some_rows(problem.observations, max(1, N // 3))
    assert few.n_rows == max(1, N // 3)
    gaps = np.diff(np.searchsorted(problem.observations.row_labels, few.row_labels))
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


def test_readable_numbers_are_the_matrices(rng):
    p = random_mixture(rng, 2, 3, batch=(4,))
    names, values = readable_parameters(p, ["a", "b", "c"], ["cm", "", "s"])
    at = names.index(("component 1", "corr a, c"))
    expected = p.covariances[:, 1, 0, 2] / np.sqrt(p.covariances[:, 1, 0, 0] * p.covariances[:, 1, 2, 2])
    assert_allclose(values[:, at], expected)
    assert_allclose(values[:, names.index(("component 0", "sd a [cm]"))] ** 2, p.covariances[:, 0, 0, 0])


def test_what_does_not_vary_is_left_out(rng):
    values = np.column_stack([rng.normal(size=10), np.ones(10)])
    names, kept = without_repetition([("component 0", "weight"), ("component 0", "mean")], values)
    assert names == [("component 0", "weight")] and kept == [0]


def test_noise_counts_in_the_entropy_and_holds_no_rows():
    _, _, draws, X = noisy.noisy_posterior()
    r = noisy.over_draws(noisy.memberships, X.values, draws)
    found = label_free(as_observations(X), draws)
    assert_allclose(found.rows, r[:, :, :2].sum(axis=1), rtol=1e-9)
    assert_allclose(found.entropy, entr(r).sum(axis=2).mean(axis=1), rtol=1e-9)
    p = noisy.over_draws(noisy.density, X.values, draws)
    assert_allclose(found.log_likelihood, np.log(p).sum(axis=1), rtol=1e-12)
