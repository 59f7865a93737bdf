"""Leave-one-out against quadrature, row by row, an outlier among them."""

from functools import cache

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import invgamma, norm

import bayesgmm as bg
from bayesgmm import priors
from bayesgmm.selection.leave_one_out import LARGEST_PARETO_K, leave_one_out

PRIOR = bg.Prior(means=priors.Normal(0.0, 3.0), covariances=priors.InverseWishart(3.0, 1.0))
ROWS = np.array([-0.9, -0.4, 0.1, 0.2, 0.5, 0.8, 1.1, 9.0])[:, None]
K_SE = 4.0


@cache
def posterior():
    return bg.sample_posterior(ROWS, 1, prior=PRIOR, random_seed=1, progressbar=False)


def by_quadrature(n: int) -> float:
    """Log density of row n given the others, on a grid of means and log standard deviations."""
    mu, log_sd = np.meshgrid(np.linspace(-10, 12, 1201), np.linspace(-3, 4, 801), indexing="ij")
    variance = np.exp(2 * log_sd)
    prior = norm.logpdf(mu, 0.0, 3.0) + invgamma.logpdf(variance, 1.5, scale=0.5) + 2 * log_sd
    each = [norm.logpdf(x, mu, np.exp(log_sd)) for x in ROWS[:, 0]]
    without = prior + sum(e for i, e in enumerate(each) if i != n)
    return float(logsumexp(without + each[n]) - logsumexp(without))


def test_every_row_is_that_of_quadrature():
    found = leave_one_out(posterior(), random_seed=2)
    values = found.elpd.elpd_i.values
    exact = np.array([by_quadrature(n) for n in range(len(ROWS))])
    # a log mean of 4000 draws, worth 1000 or more, of densities that vary by less than their mean
    np.testing.assert_allclose(values[:-1], exact[:-1], atol=K_SE / np.sqrt(1000))
    assert abs(values[-1] - exact[-1]) < K_SE * found.standard_error[-1] < 2.0
    assert found.elpd.elpd == pytest.approx(values.sum())


def test_the_outlier_is_left_out_in_truth():
    without = leave_one_out(posterior(), refit=False)
    bad = without.elpd.pareto_k.values > LARGEST_PARETO_K
    assert bad[-1]
    assert not without.refitted.any()
    found = leave_one_out(posterior(), random_seed=2)
    assert (found.refitted == bad).all()
    assert (found.elpd.pareto_k.values[bad] == 0).all()
    exact = by_quadrature(len(ROWS) - 1)
    assert abs(found.elpd.elpd_i.values[-1] - exact) < abs(without.elpd.elpd_i.values[-1] - exact)


def test_the_effective_number_of_parameters_is_what_the_fit_gains_over_leaving_out():
    dt = posterior()
    found = leave_one_out(dt, random_seed=2)
    log_likelihood = dt["log_likelihood"]["x"].values.reshape(-1, len(ROWS))
    gains = np.log(np.exp(log_likelihood).mean(axis=0)) - found.elpd.elpd_i.values
    assert found.elpd.p == pytest.approx(gains.sum())


def test_needs_the_pointwise_log_likelihood():
    dt = posterior().copy()
    del dt["log_likelihood"]
    with pytest.raises(ValueError, match="log_likelihood"):
        leave_one_out(dt)
