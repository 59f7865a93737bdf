"""One labelling for all draws: planted permutations are found, the objective falls, nothing else changes."""

import itertools
import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import rel_entr

from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior import align_labels as relabelling
from bayesgmm.posterior import datatree, quantities
from bayesgmm.posterior.align_labels import RelabellingWarning, align_labels, stephens
from bayesgmm.questions.membership import membership
from tests.support import noisy
from tests.support.posteriors import as_datatree, fake_posterior
from tests.support.strategies import random_mixture, random_rows, seeds


def oracle_responsibilities(X: np.ndarray, draws: MixtureParameters) -> np.ndarray:
    """(S, N, K), one draw after the other, from the definition."""
    every = []
    for s in range(len(draws.weights)):
        densities = []
        for k in range(draws.n_components):
            difference = X - draws.means[s, k]
            precision = np.linalg.inv(draws.covariances[s, k])
            squared = np.einsum("nd,de,ne->n", difference, precision, difference)
            scale = draws.weights[s, k] / np.sqrt(np.linalg.det(2 * np.pi * draws.covariances[s, k]))
            densities.append(scale * np.exp(-0.5 * squared))
        joint = np.stack(densities, axis=1)
        every.append(joint / joint.sum(axis=1, keepdims=True))
    return np.stack(every)


def objective_of(r: np.ndarray, orders: np.ndarray) -> float:
    """Stephens' objective: sum over draws, rows and labels of r log(r / q), with q the mean of the relabelled r."""
    relabelled = np.stack([one[:, order] for one, order in zip(r, orders, strict=True)])
    return float(rel_entr(relabelled, relabelled.mean(axis=0)).sum())


def drawn(rng, K: int, S: int, N: int = 30, D: int = 2):
    """Rows, and draws about a mixture with components in an order of their own."""
    X = random_rows(rng, N, D, clusters=K)
    base = random_mixture(rng, K, D)
    means = X.mean(axis=0) + X.std(axis=0) * (0.4 * base.means + 0.2 * rng.normal(size=(S, K, D)))
    covariances = np.broadcast_to(np.cov(X.T) * 0.3, (S, K, D, D))
    draws = MixtureParameters.from_covariances(rng.dirichlet(np.ones(K), size=S), means, covariances)
    return X, draws.permute(rng.permuted(np.broadcast_to(np.arange(K), (S, K)), axis=-1))


@given(seed=seeds, K=st.integers(1, 4))
@settings(max_examples=15)
def test_stephens_objective_falls_and_no_draw_could_do_better(seed, K):
    """Against enumeration of every permutation of every draw, with q held."""
    X, draws = drawn(np.random.default_rng(seed), K, S=12)
    found, objective = stephens(as_observations(X), draws)
    r = oracle_responsibilities(X, draws)
    assert_allclose(objective[0], objective_of(r, np.tile(np.arange(K), (12, 1))), rtol=1e-7, atol=1e-7)
    assert_allclose(objective[-1], objective_of(r, found.permutation), rtol=1e-7, atol=1e-7)
    assert_allclose(found.cost.sum(), objective[-1], rtol=1e-9, atol=1e-9)
    assert all(b <= a + 1e-7 * (1 + abs(a)) for a, b in itertools.pairwise(objective))
    q = np.mean([one[:, order] for one, order in zip(r, found.permutation, strict=True)], axis=0)
    for s in range(12):
        costs = {o: rel_entr(r[s][:, list(o)], q).sum() for o in itertools.permutations(range(K))}
        assert found.cost[s] <= min(costs.values()) + 1e-6
        if K > 1:
            first = found.permutation[s, 0]
            second = min(cost for order, cost in costs.items() if order[0] != first)
            assert_allclose(found.margin[s, 0], second - min(costs.values()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_stephens_finds_the_best_of_all_labellings_of_two_components(seed):
    """Against every labelling of 7 draws, up to the one that swaps both labels everywhere."""
    X, draws = drawn(np.random.default_rng(seed), 2, S=7)
    r = oracle_responsibilities(X, draws)
    every = [np.array(orders) for orders in itertools.product([(0, 1), (1, 0)], repeat=7)]
    best = min(objective_of(r, orders) for orders in every)
    _, objective = stephens(as_observations(X), draws)
    assert_allclose(objective[-1], best, rtol=1e-6, atol=1e-6)


def shuffled(seed: int = 0):
    """A posterior whose components are in an order of their own in every draw, and the straight one."""
    gm, straight, X = fake_posterior()
    p = datatree.posterior_parameters(straight)
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.broadcast_to(np.arange(2), p.weights.shape), axis=-1)
    dt = as_datatree(gm, X, p.permute(order))
    # as if these draws were as sampled
    dt["alignment"]["permutation"][:] = np.arange(2)
    return dt, straight, order


@pytest.mark.parametrize("method", ["em", "kl"])
def test_a_planted_permutation_is_undone(method):
    dt, straight, order = shuffled()
    before = dt.copy(deep=True)
    found = align_labels(dt, method)
    xr.testing.assert_identical(dt, before)
    # from the labels it was given, "kl" may end with both labels the other way round everywhere
    permutation = found["alignment"]["permutation"].values
    undone = np.take_along_axis(order, permutation, axis=-1)
    assert (undone == undone[0, 0]).all()
    if method == "em":
        assert_array_equal(found["posterior"]["means"].values, straight["posterior"]["means"].values)
    assert found["alignment"].attrs["method"] == datatree.meta(found)["labels"] == method
    assert (found["alignment"]["margin"] > 0).all()
    assert found["posterior"]["means"].attrs == straight["posterior"]["means"].attrs


@pytest.mark.parametrize("method", ["em", "kl"])
def test_permutations_are_of_the_draws_as_sampled_also_when_aligned_again(method):
    dt, _, _ = shuffled(1)
    sampled = dt["posterior"]["weights"].values
    once = align_labels(dt, "em")
    twice = align_labels(once, method)
    for tree in (once, twice):
        order = tree["alignment"]["permutation"].values
        assert_array_equal(np.take_along_axis(sampled, order, axis=-1), tree["posterior"]["weights"].values)


def test_what_needs_no_labels_does_not_change():
    dt, _, _ = shuffled(2)
    found = align_labels(dt, "kl")
    rows, here, there = (
        datatree.view(dt).observations,
        datatree.view(dt).parameters,
        datatree.view(found).parameters,
    )
    for a, b in zip(quantities.label_free(rows, here)[:2], quantities.label_free(rows, there)[:2], strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert found["posterior"].sizes == dt["posterior"].sizes
    agreement = membership(found)["label_agreement"]
    assert float(agreement.mean()) > 0.99 > 0.9 > float(membership(dt)["label_agreement"].mean())


def test_the_result_is_stored_and_found_again(tmp_path):
    dt, _, _ = shuffled(3)
    found = align_labels(dt, "kl")
    back = xr.load_datatree(datatree.save(found, tmp_path / "aligned.nc"))
    xr.testing.assert_allclose(align_labels(back, "kl")["posterior"].to_dataset(), found["posterior"].to_dataset())
    objective = json.loads(back["alignment"].attrs["objective"])
    assert len(objective) == back["alignment"].attrs["n_iterations"] + 1
    assert back["alignment"].attrs["n_rows"] == 272


def test_pieces_and_threads_do_not_change_the_labels(monkeypatch):
    dt, _, _ = shuffled(4)
    whole = align_labels(dt, "kl")
    monkeypatch.setattr(relabelling, "MOST_NUMBERS", 1000)
    monkeypatch.setattr(quantities, "MOST_NUMBERS", 20_000)
    pieces = align_labels(dt, "kl")
    assert_array_equal(pieces["alignment"]["permutation"].values, whole["alignment"]["permutation"].values)
    assert_allclose(pieces["alignment"]["cost"].values, whole["alignment"]["cost"].values, rtol=1e-8, atol=1e-9)


def test_of_many_rows_some_are_looked_at(monkeypatch):
    dt, _, _ = shuffled(5)
    whole = align_labels(dt, "kl")["posterior"]["weights"].values
    monkeypatch.setattr(relabelling, "MOST_ROWS", 50)
    some = align_labels(dt, "kl")
    assert some["alignment"].attrs["n_rows"] == 50
    assert_array_equal(some["posterior"]["weights"].values, whole)


def test_bad_input_is_told():
    gm, dt, _ = fake_posterior()
    with pytest.raises(ValueError, match="`method` must be 'em' or 'kl'; received 'order'"):
        align_labels(dt, "order")
    with pytest.raises(TypeError, match="a fit has no draws to align"):
        align_labels(gm)
    bare = dt.copy()
    del bare["em"]
    with pytest.raises(ValueError, match="has no group 'em'"):
        align_labels(bare)
    bare = dt.copy()
    del bare["observed_data"]
    with pytest.raises(ValueError, match="use method='em'"):
        align_labels(bare, "kl")
    assert isinstance(gm, GaussianMixture)


def test_a_relabelling_that_does_not_settle_says_so(monkeypatch):
    dt, _, _ = shuffled(6)
    monkeypatch.setattr(relabelling, "MOST_ITERATIONS", 1)
    with pytest.warns(RelabellingWarning, match="after 1 steps"):
        found = align_labels(dt, "kl")
    assert found["posterior"].sizes == dt["posterior"].sizes


def test_stephens_relabelling_leaves_noise_alone(rng):
    _, dt, draws, X = noisy.noisy_posterior()
    order = np.stack([rng.permutation(2) for _ in range(draws.batch_shape[0])])
    found, objective = stephens(as_observations(X), draws.permute(order))
    back = np.take_along_axis(order, found.permutation, axis=1)
    assert (back == back[0]).all()
    assert np.all(np.diff(objective) <= 1e-9 * np.abs(objective[0]))
    aligned = align_labels(dt, method="kl")
    assert_array_equal(aligned["posterior/noise_weight"], dt["posterior/noise_weight"])
