"""Resampled rows: they hide what the data hide, and are distributed as they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesgmm.data.observations import as_observations
from bayesgmm.data.resampling import resampled, simulated_like
from bayesgmm.mixture.simulation import draw_rows
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture

K_SE = 4.5


@given(st.sampled_from(sorted(CASES)), st.integers(0, 2**32 - 1))
def test_simulated_rows_hide_what_the_data_hide(case, seed):
    rng = np.random.default_rng(seed)
    truth = mixture(rng, 3, 2)
    observations = incomplete_rows(rng, CASES[case], truth, 60).observations()
    weights = np.ones(60) if observations.weights is None else observations.weights
    like = observations.take(np.repeat(np.arange(60), weights.astype(int)))
    simulated = simulated_like(rng, truth, observations)
    assert simulated.n_rows == weights.sum() and simulated.weights is None
    for name in ("missing", "errors"):
        mine, theirs = getattr(simulated, name), getattr(like, name)
        assert (mine is None or not mine.any()) if theirs is None else np.array_equal(mine, theirs)
    if observations.known_labels is not None and (like.known_labels >= 0).any():
        assert np.array_equal(simulated.known_labels >= 0, like.known_labels >= 0)
        assert set(simulated.known_labels) <= set(observations.known_labels) | {-1}


def test_simulated_rows_have_the_moments_of_the_mixture_and_its_errors():
    """Means by component of rows that are known, variances with those of the errors, shares of the components."""
    rng = np.random.default_rng(1)
    truth = mixture(rng, 2, 2)
    N = 20_000
    X, z = draw_rows(rng, truth, N)
    B = rng.normal(size=(N, 2, 2)) * 0.5
    errors = B @ np.swapaxes(B, 1, 2)
    simulated = simulated_like(rng, truth, as_observations(X, errors=errors, known_labels=z))
    for k in range(2):
        rows = simulated.values[simulated.known_labels == k]
        share = len(rows) / N
        assert abs(share - truth.weights[k]) < K_SE * np.sqrt(truth.weights[k] * (1 - truth.weights[k]) / N)
        variance = np.diagonal(truth.covariances[k]) + np.diagonal(errors.mean(axis=0))
        assert (np.abs(rows.mean(axis=0) - truth.means[k]) < K_SE * np.sqrt(variance / len(rows))).all()
        # the fourth moment of a scale mixture of Gaussians is above 3; its own estimate is used
        squares = (rows - rows.mean(axis=0)) ** 2
        assert (np.abs(squares.mean(axis=0) - variance) < K_SE * squares.std(axis=0) / np.sqrt(len(rows))).all()


def test_rows_with_nothing_hidden_are_drawn_from_the_mixture_as_it_is():
    truth = mixture(np.random.default_rng(2), 3, 2)
    observations = as_observations(draw_rows(np.random.default_rng(3), truth, 50)[0])
    simulated = simulated_like(np.random.default_rng(4), truth, observations)
    np.testing.assert_array_equal(simulated.values, draw_rows(np.random.default_rng(4), truth, 50)[0])


@pytest.mark.parametrize("kind", ["nonparametric", "weighted"])
def test_weights_anew_are_on_average_those_there_were(kind):
    rng = np.random.default_rng(5)
    given_rows = incomplete_rows(rng, CASES["all, own errors"], mixture(rng, 2, 2), 12)
    observations = given_rows.observations()
    found = np.array([resampled(rng, observations, kind).weights for _ in range(1000)])
    if kind == "nonparametric":
        assert (found.sum(axis=1) == observations.total_weight).all()
    error = found.std(axis=0) / np.sqrt(1000)
    assert (np.abs(found.mean(axis=0) - observations.weights) <= K_SE * error).all()
    again = resampled(rng, observations, kind)
    for name in ("values", "missing", "errors", "known_labels"):
        np.testing.assert_array_equal(getattr(again, name), getattr(observations, name))
