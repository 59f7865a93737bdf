"""Labels: any permutation planted in the draws is found, and what cannot be told apart is said to be so."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import norm

from bayesgmm.labels import align, bhattacharyya
from bayesgmm.parameters import MixtureParameters
from tests.strategies import mixtures, random_mixture, seeds


def permuted_draws(rng, reference, shape):
    """Draws jittered by a hundredth of a standard deviation, each with components in an order of its own."""
    K, D = reference.means.shape
    jitter = 0.01 * rng.normal(size=(*shape, K, D))
    means = reference.means + jitter * np.sqrt(np.diagonal(reference.covariances, axis1=1, axis2=2))
    weights = rng.dirichlet(np.ones(K), size=shape)
    covariances = np.broadcast_to(reference.covariances, (*shape, K, D, D)) * rng.uniform(
        0.98, 1.02, size=(*shape, K, 1, 1)
    )
    straight = MixtureParameters.from_covariances(weights, means, covariances)
    planted = rng.permuted(np.broadcast_to(np.arange(K), (*shape, K)), axis=-1)
    return straight, straight.permute(planted), planted


@given(seed=seeds, K=st.integers(1, 5), D=st.integers(1, 3))
def test_any_planted_permutation_is_found(seed, K, D):
    rng = np.random.default_rng(seed)
    reference = random_mixture(rng, K, D)
    # apart: the law needs components that can be told from each other
    reference = MixtureParameters.from_covariances(
        reference.weights, reference.means + 10 * np.arange(K)[:, None], reference.covariances
    )
    straight, shuffled, planted = permuted_draws(rng, reference, (2, 3))
    found = align(shuffled, reference)
    assert_array_equal(
        np.take_along_axis(planted, found.permutation, axis=-1), np.broadcast_to(np.arange(K), planted.shape)
    )
    assert_array_equal(shuffled.permute(found.permutation).means, straight.means)
    assert found.cost.shape == (2, 3) and found.margin.shape == (2, 3, K)
    assert (found.margin > 0).all()


@given(reference=mixtures(max_components=4), draw=seeds)
def test_the_permutation_is_the_cheapest_of_all_and_margins_are_second_best(reference, draw):
    """Against enumeration of every permutation."""
    K, D = reference.means.shape
    other = random_mixture(np.random.default_rng(draw), K, D)
    matrix = bhattacharyya(reference, other.flat())[0]
    costs = {order: sum(matrix[k, j] for k, j in enumerate(order)) for order in itertools.permutations(range(K))}
    best = min(costs, key=costs.get)
    found = align(other, reference)
    assert_allclose(found.cost, costs[best], rtol=1e-9)
    assert tuple(found.permutation) == best
    for k in range(K):
        elsewhere = [cost for order, cost in costs.items() if order[k] != best[k]]
        expected = min(elsewhere) - costs[best] if elsewhere else np.inf
        assert_allclose(found.margin[k], expected, rtol=1e-8, atol=1e-9)


def test_duplicated_components_have_no_margin(rng):
    one = random_mixture(rng, 1, 2)
    twice = MixtureParameters.from_covariances(
        [0.25, 0.25, 0.5],
        np.concatenate([one.means, one.means, one.means + 30]),
        np.repeat(one.covariances, 3, axis=0),
    )
    margin = align(twice, twice).margin
    assert_allclose(margin[:2], 0.0, atol=1e-9)
    assert margin[2] > 10


def test_one_component_has_nothing_to_be_confused_with(rng):
    draws = random_mixture(rng, 1, 2, batch=(4,))
    found = align(draws, draws[0])
    assert_array_equal(found.permutation, np.zeros((4, 1)))
    assert np.isinf(found.margin).all()


def test_weights_do_not_decide():
    """Two components that trade weight keep their places."""
    reference = MixtureParameters.from_covariances([0.9, 0.1], [[0.0], [5.0]], np.ones((2, 1, 1)))
    draw = MixtureParameters.from_covariances([0.1, 0.9], [[0.1], [4.9]], np.ones((2, 1, 1)))
    assert_array_equal(align(draw, reference).permutation, [0, 1])


@given(parameters=mixtures(batch=(3,)), factor=st.floats(1e-6, 1e6))
def test_units_do_not_matter(parameters, factor):
    moved = parameters.affine(np.full(parameters.n_features, 7.0), factor)
    here, there = align(parameters, parameters[0]), align(moved, moved[0])
    assert_allclose(there.cost, here.cost, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.5, 1.0), (3.0, 0.2), (-1.0, 4.0)])
def test_the_distance_is_its_integral(mean, sd):
    """-log of the integral of sqrt(p q), in one dimension, by quadrature."""
    first = MixtureParameters.from_covariances([1.0], [[0.0]], [[[1.0]]])
    second = MixtureParameters.from_covariances([1.0], [[mean]], [[[sd**2]]])
    overlap = quad(lambda x: np.sqrt(norm.pdf(x) * norm.pdf(x, mean, sd)), -30, 30, points=[0, mean], limit=200)[0]
    assert_allclose(bhattacharyya(first, second.flat())[0, 0, 0], -np.log(overlap), atol=1e-7)


@given(parameters=mixtures(batch=(3,)))
def test_the_distance_is_symmetric_positive_and_zero_to_itself(parameters):
    itself = bhattacharyya(parameters[0], parameters[:1])[0]
    assert_allclose(np.diag(itself), 0.0, atol=1e-9)
    assert_allclose(itself, itself.T, rtol=1e-8, atol=1e-9)
    assert (bhattacharyya(parameters[0], parameters) > -1e-9).all()


def test_many_draws_are_worked_through_in_pieces(rng, monkeypatch):
    draws = random_mixture(rng, 3, 2, batch=(50,))
    whole = align(draws, draws[0])
    monkeypatch.setattr("bayesgmm.labels.CHUNK", 20)
    for a, b in zip(align(draws, draws[0]), whole, strict=True):
        assert_array_equal(a, b)
