"""Labels: any permutation planted in the draws is found, and what cannot be told apart is said to be so."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import norm

from bayesgmm.data.observations import as_observations, known_components
from bayesgmm.mixture.alignment import align, assign, bhattacharyya, identifiability, separations
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.strategies import mixtures, random_mixture, seeds


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
    monkeypatch.setattr("bayesgmm.mixture.alignment.CHUNK", 20)
    for a, b in zip(align(draws, draws[0]), whole, strict=True):
        assert_array_equal(a, b)


def test_each_draw_has_distances_of_its_own(rng):
    draws = random_mixture(rng, 3, 2, batch=(5,))
    found = separations(draws)
    for s in range(5):
        assert_allclose(found[s], bhattacharyya(draws[s], draws[s : s + 1])[0], atol=1e-12)


def noisy_mixtures(rng, apart: float, S: int = 4000):
    """Draws of two components whose means are `apart` standard deviations of the posterior from each other."""
    width = 0.05
    means = width * rng.normal(size=(S, 2, 1)) + np.array([[0.0], [apart * width]])
    return MixtureParameters.from_covariances(np.full((S, 2), 0.5), means, np.ones((S, 2, 1, 1)))


@pytest.mark.parametrize(("apart", "lowest", "highest"), [(0.0, 0.0, 0.25), (2.0, 0.7, 0.95), (8.0, 0.999, 1.0)])
def test_identifiability_goes_from_a_coin_toss_to_certainty(rng, apart, lowest, highest):
    """The posterior's width decides, not the overlap of the components, whose distance is a fraction of their sd."""
    draws = noisy_mixtures(rng, apart)
    reference = noisy_mixtures(rng, max(apart, 1.0))[0]
    found = identifiability(align(draws, reference).margin)
    assert ((found >= lowest) & (found <= highest)).all()


def test_identifiability_is_the_share_of_right_labels_less_that_of_wrong_ones(rng):
    """Planted: margins are normal about 1.5 standard deviations from the boundary, with their true sign known."""
    signed = rng.normal(1.5, 1.0, size=(40_000, 1))
    right = (signed > 0).mean()
    # the alignment errs where the sign is negative; binomial error of the two shares' difference is 2 sqrt(pq / S)
    error = 2 * np.sqrt(right * (1 - right) / len(signed))
    # the grid of centres is 0.005 of the root mean square apart
    assert abs(identifiability(np.abs(signed))[0] - (2 * right - 1)) < 5 * error + 0.01


@given(seed=seeds, factor=st.floats(1e-9, 1e9))
def test_identifiability_has_no_unit_and_stays_within_its_bounds(seed, factor):
    margin = np.abs(np.random.default_rng(seed).normal(1.0, 1.0, size=(2, 50, 3)))
    found = identifiability(margin)
    assert found.shape == (3,) and ((found >= 0) & (found <= 1)).all()
    assert_allclose(identifiability(factor * margin), found, rtol=1e-9)


def test_identifiability_at_its_ends():
    assert_array_equal(identifiability(np.full((4, 1), np.inf)), [1.0])
    assert_array_equal(identifiability(np.zeros((4, 2))), [0.0, 0.0])
    assert_allclose(identifiability(np.ones((4, 1))), 1.0, atol=1e-6)


@given(parameters=mixtures(batch=(30,), max_features=3), factor=st.floats(1e-3, 1e3))
def test_identifiability_does_not_depend_on_units(parameters, factor):
    moved = parameters.affine(np.full(parameters.n_features, 3.0), factor)
    here, there = (identifiability(align(p, p[0]).margin) for p in (parameters, moved))
    assert_allclose(there, here, atol=0.02)


def test_costs_may_be_negative(rng):
    costs = rng.normal(size=(20, 3, 3)) - 5
    found = assign(costs)
    for s in range(20):
        totals = {o: costs[s, np.arange(3), list(o)].sum() for o in itertools.permutations(range(3))}
        assert_allclose(found.cost[s], min(totals.values()))
        second = min(total for order, total in totals.items() if order[0] != found.permutation[s, 0])
        assert_allclose(found.margin[s, 0], second - found.cost[s])


def test_labels_that_are_known_keep_their_component(rng):
    """Of the permutations that leave the fixed labels alone it is the cheapest, by trying them all."""
    reference, draws = random_mixture(rng, 4, 2), random_mixture(rng, 4, 2, batch=(6,))
    costs = bhattacharyya(reference, draws)
    found = align(draws, reference, fixed=(1,))
    every = [p for p in itertools.permutations(range(4)) if p[1] == 1]
    for s in range(6):
        sums = {p: costs[s][range(4), p].sum() for p in every}
        best = min(sums, key=sums.get)
        assert tuple(found.permutation[s]) == best
        assert_allclose(found.cost[s], sums[best])
        assert found.margin[s, 1] == np.inf
        for k in (0, 2, 3):
            others = min(value for p, value in sums.items() if p[k] != best[k])
            assert_allclose(found.margin[s, k], others - sums[best], atol=1e-9)
    assert_array_equal(align(draws, reference, fixed=range(4)).permutation, np.tile(np.arange(4), (6, 1)))
    assert_allclose(align(draws, reference, fixed=(0, 1, 2, 3)).cost, np.trace(costs, axis1=1, axis2=2))


def test_known_components_are_those_of_rows_that_count():
    X = np.arange(6.0)[:, None]
    assert known_components(as_observations(X)) == ()
    labels = [0, 2, 2, -1, -1, 3]
    assert known_components(as_observations(X, known_labels=labels)) == (0, 2, 3)
    assert known_components(as_observations(X, known_labels=labels, weights=[1, 1, 1, 1, 1, 0])) == (0, 2)
