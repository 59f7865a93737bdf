"""impute: against the conditional normal written out, calibrated on values that were hidden on purpose."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.tables import DataError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.posterior.datatree import posterior_datatree
from bayesgmm.questions.hidden_values import hidden_cells
from bayesgmm.questions.impute import impute
from tests.support.incomplete_cases import CASES, Given, incomplete_rows, mixture
from tests.support.posteriors import scattered_draws

N_DRAWS = 1500
HIDING = [case for case in CASES if CASES[case] != ("labels",)]


def posterior(given: Given, p, draws, rng) -> xr.DataTree:
    """A stand-in posterior around a mixture, or at it, with everything that is known of the rows."""
    fitted = GaussianMixture(p.n_components, max_iter=1, init_params=GaussianMixture.from_parameters(*parts(p)))
    with pytest.warns(UserWarning):
        fitted.fit(given.X)
    drawn = scattered_draws(p, len(given.X), rng, 1, draws) if draws > 1 else p.flat()[None]
    return posterior_datatree(
        given.observations(),
        drawn,
        sample_stats={"lp": np.zeros(drawn.batch_shape)},
        log_likelihood=None,
        em=fitted,
        alignment=align(drawn, p)._asdict(),
        meta={"n_components": p.n_components},
    )


def parts(p):
    return p.weights, p.means, p.covariances


def expected(given: Given, p):
    """Mean and covariance of each row's values given what is seen, from the definition."""
    K, D = p.means.shape
    for n, x in enumerate(given.X):
        o = np.flatnonzero(~np.isnan(x))
        E = np.zeros((D, D))
        if given.errors is not None:
            E = given.errors if given.errors.ndim == 1 else given.errors[n]
            E = np.diag(E) if E.ndim == 1 else E
        logs, means, covariances = np.full(K, -np.inf), [], []
        for k in range(K):
            T = (p.covariances[k] + E)[np.ix_(o, o)]
            A = p.covariances[k][:, o] @ np.linalg.inv(T)
            means.append(p.means[k] + A @ (x[o] - p.means[k, o]))
            covariances.append(p.covariances[k] - A @ p.covariances[k][o])
            if given.known_labels is None or given.known_labels[n] in (-1, k):
                logs[k] = p.log_shares[k] + multivariate_normal.logpdf(x[o], p.means[k, o], T)
        if p.noise is not None:
            lower, upper = p.noise.background.lower, p.noise.background.upper
            unknown = given.known_labels is None or given.known_labels[n] == -1
            inside = ((x >= lower) & (x <= upper))[o].all() and unknown
            logs = np.r_[logs, np.log(p.noise.weight) - np.log(upper - lower)[o].sum() if inside else -np.inf]
            means.append(np.where(np.isnan(x), (lower + upper) / 2, x))
            covariances.append(np.diag(np.where(np.isnan(x), (upper - lower) ** 2 / 12, 0.0)))
        r = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
        mean = sum(r[k] * means[k] for k in range(len(r)))
        deviations = [np.outer(m - mean, m - mean) for m in means]
        yield n, mean, sum(r[k] * (covariances[k] + deviations[k]) for k in range(len(r)))


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("case", HIDING)
def test_moments_are_exact_and_draws_have_them(case, noisy, rng):
    p = mixture(rng, 2, 3, apart=1.0)
    given = incomplete_rows(rng, CASES[case], p, 25)
    if noisy:
        # a box that some rows are outside of
        box = Background.box(*np.nanquantile(given.X, [0.05, 0.95], axis=0))
        p = replace(p, noise=Noise(np.asarray(0.3), box))
    found = impute(posterior(given, p, 1, rng), n_draws=N_DRAWS, random_seed=1)
    hidden = found["imputed/hidden"].values == 1
    assert_array_equal(hidden, hidden_cells(given.observations()))
    draws = np.full((N_DRAWS, *hidden.shape), np.nan)
    draws[:, hidden] = found["posterior_predictive/x_hidden"].values[0]
    for n, mean, covariance in expected(given, p):
        h = np.flatnonzero(hidden[n])
        sd = np.sqrt(np.diagonal(covariance)[h])
        assert_allclose(found["imputed/x"].values[n, h], mean[h], rtol=1e-8, atol=1e-8)
        assert_allclose(found["imputed/x_sd"].values[n, h], sd, rtol=1e-6)
        # 5 standard errors of a mean, and of a covariance of draws that have no heavier tails than 3 times a normal's
        assert (np.abs(draws[:, n, h].mean(axis=0) - mean[h]) < 5 * sd / np.sqrt(N_DRAWS)).all()
        off = np.cov(draws[:, n, h].T).reshape(len(h), len(h)) - covariance[np.ix_(h, h)]
        error = np.sqrt(2 * 3 / N_DRAWS) * np.outer(sd, sd)
        if noisy:
            # noise that was measured is a spike, whose tails the draws tell better
            deviations = draws[:, n, h] - mean[h]
            error = np.maximum(error, np.std(deviations[:, :, None] * deviations[:, None], axis=0) / np.sqrt(N_DRAWS))
        assert (np.abs(off) < 5 * error).all()
        seen = ~hidden[n]
        assert_array_equal(found["imputed/x"].values[n, seen], given.X[n, seen])
        assert_array_equal(found["imputed/x_lower"].values[n, seen], given.X[n, seen])


def test_intervals_hold_the_values_that_were_hidden(rng):
    """Of cells hidden at random, 89 % are inside; parameters known to a posterior's precision."""
    truth = mixture(rng, 2, 3)
    whole = incomplete_rows(rng, (), truth, 1500).X
    hidden = rng.random(whole.shape) < 0.25
    hidden[np.arange(1500), rng.integers(3, size=1500)] = False
    given = Given(np.where(hidden, np.nan, whole), None, None, None, None)
    found = impute(posterior(given, truth, 100, rng), n_draws=400, ci_prob=0.89, random_seed=1)["imputed"].dataset
    inside = (found["x_lower"].values <= whole) & (whole <= found["x_upper"].values)
    share, n = inside[hidden].mean(), hidden.any(axis=1).sum()
    # cells of one row are drawn together: as many independent ones as rows, at least
    assert abs(share - 0.89) < 4 * np.sqrt(0.89 * 0.11 / n)


def test_same_seed_same_draws_and_new_rows_have_a_place(rng):
    X = load_dataset("faithful")
    gm = GaussianMixture(2, random_state=0).fit(X)
    rows = pd.DataFrame({"eruptions": [4.0, np.nan, 1.8], "waiting": [np.nan, 80.0, 50.0]}, index=["a", "b", "c"])
    one, two = (impute(gm, rows, n_draws=50, random_seed=3) for _ in range(2))
    xr.testing.assert_identical(one["posterior_predictive"].to_dataset(), two["posterior_predictive"].to_dataset())
    cells = one["posterior_predictive"].dataset
    assert list(zip(cells["cell_obs_id"].values, cells["cell_feature"].values, strict=True)) == [
        ("a", "waiting"),
        ("b", "eruptions"),
    ]


def test_what_cannot_be_imputed_is_refused(rng):
    X = load_dataset("faithful")
    gm = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(ValueError, match="nothing to impute"):
        impute(gm, X)
    with pytest.raises(ValueError, match="keeps no data"):
        impute(gm)
    with pytest.raises(DataError, match="row 1 of X have no value"):
        impute(gm, [[1.0, np.nan], [np.nan, np.nan]])
    for bad in (0, 1.5, True):
        with pytest.raises(ValueError, match="`n_draws`"):
            impute(gm, [[1.0, np.nan]], n_draws=bad)
