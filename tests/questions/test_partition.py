"""The best partition is the best: of all there are, of every draw, and of what R's mcclust would find."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from bayesgmm.data.datasets import load_dataset
from bayesgmm.questions.membership import membership
from bayesgmm.questions.partition import partition
from bayesgmm.questions.partition_loss import adjusted_rand, loss_table, losses_to_draws, partition_distance
from bayesgmm.questions.partition_search import group_rows, search_partition
from bayesgmm.questions.pseudo_class import pseudo_class
from tests.support import noisy
from tests.support.posteriors import fake_posterior, one_draw
from tests.support.strategies import seeds

every_loss = pytest.mark.parametrize("loss", ["vi", "binder"])


def all_partitions(n):
    """Every partition of n rows, as restricted growth strings."""
    found = [[0]]
    for _ in range(n - 1):
        found = [[*labels, k] for labels in found for k in range(max(labels) + 2)]
    return np.array(found)


def noisy_draws(rng, N, M, K):
    """Draws of a partition of which rows go astray more or less often, with labels switched at random."""
    truth = rng.integers(K, size=N)
    astray = rng.random((M, N)) < rng.uniform(0, 0.8, size=N)
    draws = np.where(astray, rng.integers(K, size=(M, N)), truth)
    switched = rng.permuted(np.tile(np.arange(K), (M, 1)), axis=1)
    return np.take_along_axis(switched, draws, axis=1).astype(np.int16)


def search(draws, loss, n_runs=16):
    groups = group_rows(draws)
    guess = np.zeros((1, len(groups.weights)), dtype=np.int16)
    f = loss_table(loss, draws.shape[1])
    found = search_partition(groups, f, guess, n_runs=n_runs, rng=np.random.default_rng(0))
    return found, found.labels[groups.of_row]


def expected(labels, draws, loss):
    return np.mean([partition_distance(labels, draw, loss) for draw in draws])


@every_loss
@given(seed=seeds, K=st.integers(1, 5), M=st.integers(1, 30))
@settings(max_examples=15)
def test_is_the_best_of_all_877_partitions_of_seven_rows(loss, seed, K, M):
    draws = noisy_draws(np.random.default_rng(seed), 7, M, K)
    every = all_partitions(7)
    assert len(every) == 877
    ones = np.ones(7, dtype=np.int64)
    least = losses_to_draws(every, ones, draws, loss_table(loss, 7)).mean(axis=1).min()
    found, labels = search(draws, loss)
    assert_allclose(found.expected_loss, least, atol=1e-12)
    assert_allclose(expected(labels, draws, loss), least, atol=1e-12)


def mcclust(draws):
    """Partitions that mcclust's minbinder and minVI look at: cuts of linkages of 1 - similarity, and draws."""
    N = draws.shape[1]
    similarity = (draws[:, :, None] == draws[:, None, :]).mean(axis=0)
    distance = squareform(1 - similarity, checks=False)
    cuts = [cut_tree(linkage(distance, method), np.arange(1, N // 2)).T for method in ("average", "complete", "ward")]
    return np.concatenate([*cuts, draws])


@every_loss
@pytest.mark.parametrize("seed", range(4))
def test_is_never_above_a_draw_or_mcclusts_hierarchies(loss, seed):
    draws = noisy_draws(np.random.default_rng(seed), 50, 120, 4)
    found, _ = search(draws, loss)
    theirs = losses_to_draws(mcclust(draws), np.ones(50, dtype=np.int64), draws, loss_table(loss, 50)).mean(axis=1)
    assert found.expected_loss <= theirs.min() + 1e-12
    assert found.expected_loss <= found.best_draw_loss == theirs[-120:].min()
    assert found.best_draw_loss - found.expected_loss > 1e-3, "so noisy that no draw is the best partition"


@every_loss
@given(seed=seeds, K=st.integers(1, 4))
def test_a_loss_is_a_metric_and_blind_to_labels(loss, seed, K):
    rng = np.random.default_rng(seed)
    a, b, c = rng.integers(K, size=(3, 12))
    ab, bc, ac = (partition_distance(x, y, loss) for x, y in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc + 1e-12
    assert_allclose(ab, partition_distance(b, a, loss), atol=1e-12)
    assert_allclose(ab, partition_distance(rng.permutation(K)[a] + 5, b, loss), atol=1e-12)
    same = ((a[:, None] == a) == (b[:, None] == b)).all()
    assert (ab < 1e-12) == same


def test_losses_are_their_definitions(rng):
    a, b = rng.integers(3, size=20), rng.integers(4, size=20)
    together = [(x[:, None] == x)[np.triu_indices(20, 1)] for x in (a, b)]
    assert_allclose(partition_distance(a, b, "binder"), 2 * (together[0] != together[1]).sum() / 20**2)

    def entropy(x):
        p = np.unique(x, return_counts=True)[1] / 20
        return -(p * np.log2(p)).sum()

    # VI = H(a | b) + H(b | a) = 2 H(a, b) - H(a) - H(b)
    assert_allclose(partition_distance(a, b), 2 * entropy(a * 10 + b) - entropy(a) - entropy(b))
    # one cluster against one each: log2 N bits
    assert_allclose(partition_distance(np.zeros(16), np.arange(16)), 4.0)


@given(seed=seeds, M=st.integers(1, 5))
def test_compiled_losses_are_the_readable_ones(seed, M):
    rng = np.random.default_rng(seed)
    labels, draws = rng.integers(4, size=(3, 15)), rng.integers(3, size=(M, 15))
    for loss in ("vi", "binder"):
        found = losses_to_draws(labels, np.ones(15, dtype=np.int64), draws, loss_table(loss, 15))
        assert_allclose(found, [[partition_distance(a, z, loss) for z in draws] for a in labels], atol=1e-12)


@every_loss
def test_labels_of_draws_do_not_matter(loss, rng):
    draws = noisy_draws(rng, 40, 60, 3)
    other = np.take_along_axis(rng.permuted(np.tile(np.arange(3), (60, 1)), axis=1), draws, axis=1).astype(np.int16)
    (found, labels), (again, same) = search(draws, loss), search(other, loss)
    assert_allclose(found.expected_loss, again.expected_loss, atol=1e-12)
    assert partition_distance(labels, same) < 1e-9


def test_rows_always_together_are_grouped_and_stay_together(rng):
    draws = np.repeat(noisy_draws(rng, 12, 40, 3), 4, axis=1)
    groups = group_rows(draws)
    assert len(groups.weights) <= 12 and groups.weights.sum() == 48
    assert_array_equal(groups.draws[:, groups.of_row], draws)
    alone = groups._replace(draws=draws, weights=np.ones(48, dtype=np.int64), of_row=np.arange(48))
    for loss in ("vi", "binder"):
        found, _ = search(draws, loss)
        guess = np.zeros((1, 48), dtype=np.int16)
        row_by_row = search_partition(alone, loss_table(loss, 48), guess, n_runs=8, rng=np.random.default_rng(0))
        assert_allclose(row_by_row.expected_loss, found.expected_loss, atol=1e-12)


def test_the_adjusted_rand_index_is_scikit_learns(rng):
    known, draws = rng.integers(3, size=30), rng.integers(4, size=(5, 30))
    assert_allclose(adjusted_rand(known, draws), [adjusted_rand_score(known, z) for z in draws], atol=1e-12)
    assert adjusted_rand(known, known[None])[0] == 1.0
    assert adjusted_rand(np.zeros(5, int), np.zeros((1, 5), int))[0] == 1.0


@every_loss
def test_what_a_posterior_says(loss):
    _, dt, X = fake_posterior("iris", 3)
    found = partition(dt, loss=loss)
    N = len(X)
    assert found["label"].dims == ("obs_id",) and found["label"].sizes == {"obs_id": N}
    assert float(found["expected_loss"]) <= float(found["best_draw_loss"]) + 1e-12
    assert found.attrs["n_draws_judged"] == found.attrs["n_draws"] == 500
    for bound in found["bound"].values:
        edge = found.sel(bound=bound)
        away = partition_distance(found["label"].values, edge["bound_label"].values, loss)
        assert_allclose(edge["bound_distance"], away, atol=1e-10)
        assert away <= float(found["radius"]) + 1e-10
        assert len(np.unique(edge["bound_label"])) == int(edge["bound_n_clusters"])
    assert float(found["bound_n_clusters"].sel(bound="vertical_upper")) <= found["bound_n_clusters"].min()
    assert float(found["bound_distance"].sel(bound="horizontal")) == found["bound_distance"].max()
    assert ((found["cohesion"] > 0) & (found["cohesion"] <= 1)).all()
    wide = partition(dt, loss=loss, ci_prob=0.99)
    assert float(wide["radius"]) > float(found["radius"])
    assert partition(dt, loss=loss).equals(found)


def test_the_ball_holds_its_share_of_the_draws_and_no_smaller_one_does():
    from bayesgmm.kernel.allocations import draw_allocations
    from bayesgmm.posterior.datatree import view

    _, dt, _ = fake_posterior("iris", 3)
    found = partition(dt, ci_prob=0.8)
    mixture = view(dt)
    z = draw_allocations(mixture.observations, mixture.parameters, 500, 0)
    distances = np.array([partition_distance(found["label"].values, draw) for draw in z])
    radius = float(found["radius"])
    assert (distances <= radius + 1e-9).mean() >= 0.8
    assert (distances < radius - 1e-9).mean() < 0.8
    assert_allclose(distances.mean(), found["expected_loss"], rtol=1e-9)
    inside = (z[:, :, None] == z[:, None, :]).mean(axis=0)
    own = found["label"].values[:, None] == found["label"].values
    np.fill_diagonal(own, False)
    assert_allclose(found["cohesion"], (inside * own).sum(axis=1) / own.sum(axis=1), rtol=1e-9)


def test_known_labels_are_compared_draw_by_draw():
    _, dt, X = fake_posterior("iris", 3)
    species = np.repeat(["setosa", "versicolor", "virginica"], 50)
    assert len(species) == len(X)
    found = partition(dt, known=species)
    assert_allclose(found["ari"], adjusted_rand_score(species, found["label"]))
    assert float(found["ari_lower"]) <= float(found["ari_mean"]) <= float(found["ari_upper"])
    some = pd.Series(species, dtype=object).where(np.arange(150) % 3 > 0)
    kept = some.notna().to_numpy()
    expected_ari = adjusted_rand_score(species[kept], found["label"].values[kept])
    assert_allclose(partition(dt, known=some)["ari"], expected_ari)
    with pytest.raises(ValueError, match="`known` has 3 labels, and there are 150 rows"):
        partition(dt, known=[1, 2, 3])
    with pytest.raises(ValueError, match="every one is missing"):
        partition(dt, known=[None] * 150)


def test_clusters_are_numbered_as_components():
    gm, dt, X = fake_posterior("faithful", 2)
    assert (partition(dt)["label"].values == gm.predict(X)).mean() > 0.98


def test_one_draw_is_the_fit_and_new_rows_are_welcome():
    gm, dt, X = one_draw()
    assert partition(dt).drop_attrs().equals(partition(gm, X).drop_attrs())
    rows = load_dataset("faithful").values[:5]
    found = partition(gm, pd.DataFrame(rows, columns=["eruptions", "waiting"], index=list("abcde")), n_draws=50)
    assert found["obs_id"].values.tolist() == list("abcde")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"loss": "ari"}, "`loss` must be 'vi'"),
        ({"n_draws": 0}, "`n_draws` must be an integer of at least 1"),
        ({"n_runs": 1.5}, "`n_runs` must be an integer"),
        ({"ci_prob": 2}, "`ci_prob`"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        partition(fake_posterior()[1], **wrong)


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_noise_is_one_more_class_with_the_label_minus_one(loss):
    _, dt, _, X = noisy.noisy_posterior()
    found = partition(dt, loss=loss, n_draws=200, random_seed=1)
    sure = membership(dt)
    certain = sure["probability"].max("component").values.clip(min=sure["noise_probability"].values) > 0.95
    assert certain.mean() > 0.8
    assert_array_equal(found["label"].values[certain], sure["label"].values[certain])
    assert found["n_clusters"].item() == 2
    assert found["n_clusters_upper"].item() == 2
    assert (found["bound_n_clusters"] == 2).all()
    # the expected loss, by the readable form of the loss over the same draws
    z = pseudo_class(dt, n_draws=200, random_seed=1)["label"].values.reshape(200, -1)
    slow = np.mean([partition_distance(found["label"].values, one, loss) for one in z])
    assert_allclose(found["expected_loss"], slow, rtol=1e-9)
    for bound in found["bound"].values:
        edge = found.sel(bound=bound)
        assert_allclose(
            edge["bound_distance"], partition_distance(found["label"], edge["bound_label"], loss), atol=1e-11
        )
        assert any((edge["bound_label"].values == one).all() for one in z)
    known = np.where(np.arange(len(X)) < len(X) - noisy.N_NOISE, "eruption", "noise")
    said = partition(dt, loss=loss, n_draws=200, random_seed=1, known=known)
    assert_allclose(said["ari"], adjusted_rand_score(known, found["label"]), rtol=1e-9)


def test_rows_that_are_all_noise_are_no_cluster():
    _, dt, _, X = noisy.noisy_posterior()
    rows = X.values[membership(dt)["noise_probability"].values > 0.99]
    found = partition(dt, rows[:5], n_draws=50)
    assert found["n_clusters"].item() == 0
    assert_array_equal(found["label"], -1)
