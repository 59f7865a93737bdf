"""Filled components are counted as one would, draw by draw; their prior is that of all allocations."""

from itertools import product
from math import lgamma

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesgmm as bg
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior import datatree
from bayesgmm.selection.filled_components import filled_components, prior_of_filled
from tests.support import noisy
from tests.support.posteriors import as_datatree, fake_posterior, one_draw

K_SE = 5.0


@pytest.mark.parametrize("e", [0.01, 1.0, 4.0])
def test_the_prior_of_filled_components_is_that_of_all_allocations(e):
    """Dirichlet-multinomial probability of each of the K^N allocations, added up by how many they fill."""
    N, K = 5, 3
    expected = np.zeros(K)
    for z in product(range(K), repeat=N):
        counts = np.bincount(z, minlength=K)
        log_p = lgamma(K * e) - lgamma(K * e + N) + sum(lgamma(e + n) - lgamma(e) for n in counts)
        expected[(counts > 0).sum() - 1] += np.exp(log_p)
    np.testing.assert_allclose(prior_of_filled(N, K, e), expected, rtol=1e-10)


def test_components_are_filled_as_the_memberships_say():
    """One mixture, drawn from again and again: component k is empty with probability prod_n (1 - r_nk)."""
    gm, dt, X = one_draw("faithful", 2)
    few = X[:3]
    r = np.asarray(gm.predict_proba(few))
    empty = np.prod(1.0 - r, axis=0)
    tree = _with_rows(dt, few, repeats=4000)
    found = filled_components(tree, random_seed=0)
    p = empty.sum()  # K = 2: one filled is the other empty
    error = np.sqrt(p * (1 - p) / 4000)
    assert abs(found.table.loc[1, "probability"] - p) <= K_SE * error + 1e-12
    assert found.draws.shape == (1, 4000)


def test_all_are_filled_where_all_are_needed_and_the_prior_is_judged():
    _, dt, _ = fake_posterior("faithful", 2)
    found = filled_components(dt)
    assert found.most_probable == 2 and found.table.loc[2, "probability"] == 1.0
    assert np.isnan(found.table["prior"]).all() and np.isnan(found.concentration)
    assert found.largest_emptying == 2.5
    for e, emptied in ((0.1, True), (4.0, False)):
        tree = dt.copy()
        prior = {"weights": {"kind": "Dirichlet", "concentration": e}}
        datatree.write_meta(tree, datatree.meta(dt) | {"prior": prior})
        judged = filled_components(tree)
        assert judged.table["prior"].sum() == pytest.approx(1.0)
        assert ("are not emptied" in str(judged)) != emptied


def _with_rows(dt, rows, repeats):
    """The same single draw, many times, over other rows."""
    p = datatree.posterior_parameters(dt)
    draws = MixtureParameters.from_covariances(
        *(np.repeat(part, repeats, axis=1) for part in (p.weights, p.means, p.covariances))
    )
    gm, _, _ = one_draw("faithful", 2)
    return as_datatree(gm, rows, draws)


def test_the_prior_of_filled_components_leaves_out_the_rows_of_noise():
    """Over the number of rows that are not noise: the Beta integrated numerically, the rest as without noise."""
    N, K, e, alpha, beta = 6, 3, 0.7, 1.5, 4.0
    share = (np.arange(20_000) + 0.5) / 20_000
    expected = np.zeros(K)
    for n in range(1, N + 1):
        p = np.mean(stats.binom.pmf(n, N, 1 - share) * stats.beta.pdf(share, alpha, beta))
        expected += p * prior_of_filled(n, K, e)
    np.testing.assert_allclose(prior_of_filled(N, K, e, (alpha, beta)), expected, rtol=1e-6)


def test_rows_of_noise_fill_no_component():
    _, dt, draws, X = noisy.noisy_posterior()
    noise = X.values[bg.membership(dt)["noise_probability"].values > 0.999][:2]
    rows = dt["observed_data"].to_dataset().isel(obs_id=slice(0, 2)).copy(deep=True)
    rows["x"].values[:] = noise
    tree = dt.copy()
    tree["observed_data"] = xr.DataTree(rows)
    r = noisy.over_draws(noisy.memberships, noise, draws)
    # a draw fills none where both rows are noise, and the mean over 120 draws has an error of its own; 5 of them
    p = 1 - r[:, :, 2].prod(axis=1)
    found = filled_components(tree, random_seed=0).draws
    assert abs((found > 0).mean() - p.mean()) <= 5 * np.sqrt((p * (1 - p)).sum()) / len(p)
