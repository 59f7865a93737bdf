"""The log evidence against exact values, and what it refuses. Its error is checked in `tests/calibration`."""

from functools import cache

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import gamma, invgamma, norm, t

import bayesgmm as bg
from bayesgmm import priors
from bayesgmm.posterior import datatree
from bayesgmm.selection import evidence
from bayesgmm.selection.evidence import EvidenceError, importance_estimate, log_evidence
from tests.support.truth import exact_evidence

PRIOR = bg.Prior(
    weights=priors.Dirichlet(1.0), means=priors.Normal(20.0, 10.0), covariances=priors.InverseWishart(6.0, 40.0)
)
ROWS = np.array([9.172, 9.35, 9.483, 9.558, 9.775, 10.227, 10.406, 16.084])[:, None]
K_SE = 4.0


@cache
def posterior(K: int = 2, prior: bg.Prior = PRIOR, draws: int = 500):
    return bg.sample_posterior(ROWS, K, prior=prior, draws=draws, random_seed=3, progressbar=False)


def test_two_components_have_their_exact_evidence():
    """Off by log 2 where label switching is overlooked."""
    exact = exact_evidence()["first8_K2"]["log_evidence"]
    found = log_evidence(posterior(), random_seed=4)
    assert abs(found.value - exact) < K_SE * found.standard_error < 0.1
    assert found.method == "bridge"
    assert "log evidence -21." in str(found)


def test_a_prior_that_tells_components_apart_has_one_labelling():
    """Against the prior's own draws: 400 000 of them, the likelihood averaged."""
    prior = bg.Prior(
        weights=priors.Dirichlet((4.0, 1.0)),
        means=priors.Normal(((10.0,), (16.0,)), 2.0),
        covariances=priors.InverseWishart(6.0, 4.0),
    )
    found = log_evidence(posterior(prior=prior), random_seed=5)
    rng, S = np.random.default_rng(6), 400_000
    w = rng.dirichlet([4.0, 1.0], size=S)
    mu = rng.normal([10.0, 16.0], 2.0, size=(S, 2))
    sd = np.sqrt(invgamma(3.0, scale=2.0).rvs(size=(S, 2), random_state=rng))
    joint = np.log(w)[:, :, None] + norm.logpdf(ROWS[:, 0], mu[:, :, None], sd[:, :, None])
    log_likelihood = logsumexp(joint, axis=1).sum(axis=1)
    value = logsumexp(log_likelihood) - np.log(S)
    weights = np.exp(log_likelihood - log_likelihood.max())
    error = weights.std() / weights.mean() / np.sqrt(S)
    assert abs(found.value - value) < K_SE * np.hypot(found.standard_error, error)


def test_a_random_scale_is_integrated_out():
    """One component: the scale by quadrature, means and variances by the prior's draws."""
    prior = bg.Prior(
        means=priors.Normal(11.0, 3.0), covariances=priors.InverseWishart(5.0, priors.RandomScale(2.0, 0.5))
    )
    found = log_evidence(posterior(K=1, prior=prior), random_seed=7)
    rng, S = np.random.default_rng(8), 400_000
    scale = gamma(2.0, scale=1 / 0.5).rvs(size=S, random_state=rng)
    sd = np.sqrt(0.5 * scale / rng.gamma(2.5, size=S))
    mu = rng.normal(11.0, 3.0, size=S)
    log_likelihood = norm.logpdf(ROWS, mu, sd).sum(axis=0)
    value = logsumexp(log_likelihood) - np.log(S)
    weights = np.exp(log_likelihood - log_likelihood.max())
    error = weights.std() / weights.mean() / np.sqrt(S)
    assert abs(found.value - value) < K_SE * np.hypot(found.standard_error, error)


def test_importance_sampling_finds_a_known_constant_and_refuses_heavy_tails():
    rng = np.random.default_rng(9)
    x = rng.standard_t(5, size=5000)

    found = importance_estimate(np.log(3.0) + norm.logpdf(x) - t.logpdf(x, 5), 0.0)
    assert abs(found.value - np.log(3.0)) < K_SE * found.standard_error
    narrow = rng.normal(scale=0.15, size=5000)
    with pytest.raises(EvidenceError, match="Pareto k"):
        importance_estimate(norm.logpdf(narrow) - norm.logpdf(narrow, scale=0.15), 0.0)


def test_goes_on_from_chains_that_disagree_a_little_where_the_priors_are_conjugate(monkeypatch):
    exact = exact_evidence()["first8_K2"]["log_evidence"]
    dt = posterior().copy(deep=True)
    dt["sample_stats"]["lp"][:] += 1.5 * (np.arange(4)[:, None] == 3)
    found = log_evidence(dt, random_seed=4)
    assert found.method == "Gibbs and bridge"
    assert "(Gibbs and bridge sampling)" in str(found)
    assert abs(found.value - exact) < K_SE * found.standard_error < 0.1
    # a chain kept apart is a start like the others, where the error of importance sampling is too large
    monkeypatch.setattr("bayesgmm.selection.evidence.LARGE_ERROR", 0.0)
    alone, other = dt.isel(chain=slice(0, 3)), dt.isel(chain=slice(3, 4))
    alone["other_mode"] = other["posterior"].copy()
    alone["other_mode/covariances"][:] *= 1e-3
    again = log_evidence(alone, random_seed=5)
    assert again.method == "Gibbs and bridge"
    assert abs(again.value - exact) < K_SE * again.standard_error < 0.1


def test_what_was_found_stands_where_longer_chains_give_nothing(monkeypatch):
    dt = posterior()
    expected = log_evidence(dt, random_seed=4)
    monkeypatch.setattr("bayesgmm.selection.evidence.LARGE_ERROR", 0.0)
    assert log_evidence(dt, random_seed=4).method == "Gibbs and bridge"
    of_draws = evidence._by_bridge

    def by_bridge(target, vectors, n_proposals, seeds, counts):
        if counts == evidence.MORE_COMPONENTS:
            raise EvidenceError("no evidence from these draws")
        return of_draws(target, vectors, n_proposals, seeds, counts)

    monkeypatch.setattr(evidence, "_by_bridge", by_bridge)
    assert log_evidence(dt, random_seed=4) == expected


def test_says_why_it_cannot():
    dt = posterior()
    with pytest.raises(EvidenceError, match="too few"):
        log_evidence(dt.isel(draw=slice(0, 20)))
    apart = dt.copy(deep=True)
    apart["sample_stats"]["lp"][:] += 10.0 * np.arange(4)[:, None]
    with pytest.raises(EvidenceError, match="do not agree"):
        log_evidence(apart)
    nothing = dt.copy(deep=True)
    nothing.attrs = {}
    with pytest.raises(ValueError, match="root attribute"):
        log_evidence(nothing)
    with pytest.raises(ValueError, match="n_proposals"):
        log_evidence(dt, n_proposals=3)


def test_an_improper_posterior_has_none():
    prior = bg.Prior(means=priors.Normal(11.0, 3.0), covariances=priors.LKJ(1.0, sd=priors.HalfNormal(2.0)))
    tied = posterior().copy(deep=True)
    meta = datatree.meta(tied) | {"prior": prior.resolve(([11.0], [[4.0]]), 2, "full").to_dict()}
    datatree.write_meta(tied, meta)
    values = tied["observed_data"]["x"].values.copy()
    values[:3] = values[0]
    tied["observed_data"] = tied["observed_data"].to_dataset().assign(x=(("obs_id", "feature"), values))
    with pytest.raises(EvidenceError, match="improper"):
        log_evidence(tied)
