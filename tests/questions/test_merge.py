"""Merging takes the pair that lowers the entropy most, as in R's mclust."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import entr

from bayesgmm.em.estimator import from_parameters
from bayesgmm.questions.membership import membership
from bayesgmm.questions.merge import elbow, merge
from tests.support import noisy
from tests.support.posteriors import fake_posterior, one_draw
from tests.support.strategies import random_mixture, seeds

# mclust 6.0.0: m <- Mclust(faithful, G = 4, modelNames = "VVV"); m$z <- predict(m, faithful)$z; entropies after
# clustCombi(m), and clustCombiOptim
MCLUST = from_parameters(
    np.array([0.0940805684536775, 0.131028149408223, 0.549405414343096, 0.225485867795002]),
    np.array(
        [
            [4.11526073414703, 87.0975765251208],
            [1.83822945911538, 52.0947602032668],
            [4.32109879679678, 78.7655821113408],
            [2.15411344708342, 55.8915382910402],
        ]
    ),
    np.array(
        [
            [[0.185930314244728, 1.34915303921894], [1.34915303921894, 17.4781547835045]],
            [[0.00428796871605949, -0.0827519045359552], [-0.0827519045359552, 23.5709078644072]],
            [[0.159109231580846, 1.09751028031405], [1.09751028031405, 28.8181930957184]],
            [[0.0723522277861492, 0.31995344087932], [0.31995344087932, 34.4889421937906]],
        ]
    ),
)
MCLUST_ENTROPIES = [54.5172992659, 26.9563521774, 0.584295132058, 0.0]


def test_is_mclusts_clustcombi():
    _, _, X = fake_posterior()
    found = merge(MCLUST, X.values)
    assert_allclose(found["entropy"], MCLUST_ENTROPIES, rtol=1e-9, atol=1e-9)
    assert found["merged"].values.tolist() == [[-1, -1], [0, 2], [1, 2], [0, 1]]
    assert found["cluster"].values.tolist() == [[0, 1, 2, 3], [0, 1, 0, 2], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert found.attrs["suggested"] == 2


@given(seed=seeds, K=st.integers(1, 5), D=st.integers(1, 3))
def test_every_step_takes_the_largest_drop(seed, K, D):
    rng = np.random.default_rng(seed)
    p = random_mixture(rng, K, D)
    gm = from_parameters(p.weights, p.means, p.covariances)
    X = rng.normal(scale=3, size=(40, D))
    found = merge(gm, X)
    t = gm.predict_proba(X)
    assert found["n_clusters"].values.tolist() == list(range(K, 0, -1))
    assert_allclose(found["entropy"][0], entr(t).sum(), atol=1e-9)
    assert_allclose(found["entropy"][-1], 0.0, atol=1e-9)
    assert (found["entropy_drop"] >= -1e-9).all(), "merging never raises the entropy"
    for number in range(K, 1, -1):
        before, after = found.sel(n_clusters=number), found.sel(n_clusters=number - 1)
        now = before["probability"].values[:, :number]
        drops = [
            entr(now[:, i]).sum() + entr(now[:, j]).sum() - entr(now[:, i] + now[:, j]).sum()
            for i in range(number)
            for j in range(i + 1, number)
        ]
        assert_allclose(after["entropy_drop"], max(drops), atol=1e-9)
        i, j = after["merged"].values
        labels = now.argmax(axis=1)
        assert int(after["n_merged"]) == ((labels == i) | (labels == j)).sum()


def test_memberships_of_clusters_are_sums():
    _, dt, _ = fake_posterior("iris", 3)
    found, r = merge(dt), membership(dt)["probability"].values
    for number in (3, 2, 1):
        step = found.sel(n_clusters=number)
        summed = np.stack([r[:, step["cluster"].values == c].sum(axis=1) for c in range(number)], axis=1)
        assert_allclose(step["probability"].values[:, :number], summed, atol=1e-9)
        assert np.isnan(step["probability"].values[:, number:]).all()
        assert_array_equal(step["label"], summed.argmax(axis=1))
    short = merge(dt, memberships=False)
    assert short.equals(found.drop_vars("probability"))


def test_one_draw_is_the_fit():
    gm, dt, X = one_draw("galaxies", 3)
    assert_allclose(merge(dt)["entropy"], merge(gm, X)["entropy"], atol=1e-8)


@pytest.mark.parametrize("at", [2, 3, 4, 5])
def test_the_elbow_is_where_the_lines_meet(at):
    x = np.arange(1.0, 8)
    y = np.where(x <= at, 1.0, 1.0 + 5 * (x - at))
    assert elbow(x, y, x.astype(int)) == at
    assert elbow(x[:2], y[:2], np.array([1, 2])) == 2


def test_noise_is_merged_with_nothing():
    _, dt, draws, X = noisy.noisy_posterior()
    t = noisy.over_draws(noisy.memberships, X.values, draws).mean(axis=0)
    found = merge(dt)
    last = np.stack([t[:, :2].sum(axis=1), t[:, 2]], axis=1)
    assert_allclose(found["entropy"], [entr(t).sum(), entr(last).sum()], rtol=1e-9)
    assert_allclose(found["probability"].sel(n_clusters=2), t[:, :2], atol=1e-9)
    assert_allclose(found["probability"].sel(n_clusters=1)[:, 0], last[:, 0], atol=1e-9)
    for number, of in ((2, t), (1, last)):
        best = of.argmax(axis=1)
        assert_array_equal(found["label"].sel(n_clusters=number), np.where(best == number, -1, best))
    assert found["n_merged"].values[1] == (t.argmax(axis=1) < 2).sum()
    gm, one, X = noisy.one_noisy_draw()
    assert_allclose(merge(one)["entropy"], merge(gm, X)["entropy"], rtol=1e-12)
