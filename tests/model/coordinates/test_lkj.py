"""The partial correlations have the law LKJ(eta), and the standard deviations the prior that was asked for."""

import numpy as np
import pymc as pm
import pytensor
import pytest
from numpy.testing import assert_allclose
from scipy.stats import beta, halfnorm, invgamma, lognorm, norm

from bayesgmm.model.coordinates import lkj
from bayesgmm.model.coordinates.matrices import covariances
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.priors import LKJ, Dirichlet, HalfNormal, InverseGamma, LogNormal, Normal, Prior
from bayesgmm.sampler.unconstrained import unconstrained_point, unconstrained_space
from tests.support.reference import INTERPRETED

SD = LogNormal(0.3, 0.5)


def lkj_model(prior, D):
    coords = {"feature": range(D)} | ({"feature_pair": range(D * (D - 1) // 2)} if D > 1 else {})
    with pm.Model(coords={name: list(values) for name, values in coords.items()}) as model:
        Sigma = covariances(lkj.matrix_factors(prior, D, (), ()))[0]
    return model, Sigma


@pytest.mark.parametrize("D", [2, 3, 4])
@pytest.mark.parametrize("eta", [1.0, 2.5])
def test_density_of_the_correlations_is_lkj(rng, D, eta):
    model, Sigma = lkj_model(LKJ(eta, SD), D)
    (Sigma_of_values,) = model.replace_rvs_by_values([Sigma])
    sd, unit = model.value_vars
    partial = model.rvs_to_values[model["partial_correlations_unit"]]
    assert partial is unit
    logp = model.logp(vars=[model["partial_correlations_unit"]])
    run = pytensor.function([sd, unit], [logp, Sigma_of_values], mode=INTERPRETED)
    lower, n = np.tril_indices(D, -1), D * (D - 1) // 2

    def correlation(point):
        logp, S = run(np.zeros(D), point)
        return logp, S / np.sqrt(np.outer(np.diagonal(S), np.diagonal(S)))

    constants = []
    for _ in range(4):
        point = rng.normal(size=n)
        logp, R = correlation(point)
        steps = 1e-6 * np.eye(n)
        jacobian = np.stack([(correlation(point + h)[1] - correlation(point - h)[1])[lower] / 2e-6 for h in steps])
        constants.append(logp - np.linalg.slogdet(jacobian)[1] - (eta - 1) * np.linalg.slogdet(R)[1])
    # log density minus (eta - 1) log |R| is the constant of normalisation, everywhere
    assert_allclose(constants, constants[0], atol=1e-6)


def test_simulated_correlations_have_the_marginal_law_of_lkj(rng):
    D, eta, draws = 3, 2.0, 4000
    _, Sigma = lkj_model(LKJ(eta, SD), D)
    S = pm.draw(Sigma, draws, mode=INTERPRETED, random_seed=rng)
    sd = np.sqrt(np.diagonal(S, axis1=1, axis2=2))
    R = S / (sd[:, :, None] * sd[:, None, :])
    # Each (1 + R_ij) / 2 ~ Beta(a, a), a = eta + (D - 2) / 2, whatever its place in the vine; k = 5 standard errors
    law = beta(eta + (D - 2) / 2, eta + (D - 2) / 2)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        u = law.cdf((1 + R[:, i, j]) / 2)
        assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / draws)
        assert abs((u**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / draws)


@pytest.mark.parametrize(
    ("sd", "law"),
    [
        (LogNormal((0.3, 1.0), (0.5, 0.2)), lognorm(s=[0.5, 0.2], scale=np.exp([0.3, 1.0]))),
        (InverseGamma((2.0, 3.0), (1.0, 4.0)), invgamma([2.0, 3.0], scale=[1.0, 4.0])),
        (HalfNormal((2.0, 3.0)), halfnorm(scale=[2.0, 3.0])),
    ],
)
def test_standard_deviations_have_the_prior_asked_for(sd, law):
    model, Sigma = lkj_model(LKJ(1.0, sd), 2)
    (Sigma_of_values,) = model.replace_rvs_by_values([Sigma])
    value = model.rvs_to_values[model["standard_deviations"]]
    other = model.rvs_to_values[model["partial_correlations_unit"]]
    logp = model.logp(vars=[model["standard_deviations"]])
    log_sd = np.array([-0.4, 0.7])
    result, S = pytensor.function([value, other], [logp, Sigma_of_values], mode=INTERPRETED)(log_sd, np.zeros(1))
    assert_allclose(np.sqrt(np.diagonal(S)), np.exp(log_sd))
    assert_allclose(result, (law.logpdf(np.exp(log_sd)) + log_sd).sum(), rtol=1e-10)


def test_one_dimension_has_a_standard_deviation_and_nothing_else():
    model, Sigma = lkj_model(LKJ(5.0, LogNormal((0.3,), (0.5,))), 1)
    assert [variable.name for variable in model.free_RVs] == ["standard_deviations"]
    (Sigma_of_values,) = model.replace_rvs_by_values([Sigma])
    assert_allclose(pytensor.function(model.value_vars, Sigma_of_values, mode=INTERPRETED)([0.2]), np.exp([[0.4]]))


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_the_textbook_mixture_of_two_normals_has_the_density_written_by_hand(rng, covariance_type):
    """Beta weight, normal means, half-normal standard deviations."""
    a, b, mu, tau, sigma = 5.0, 3.0, 0.5, 2.0, 1.7
    x = np.concatenate([rng.normal(-1, 1, size=20), rng.normal(2, 0.5, size=15)])
    prior = Prior(
        weights=Dirichlet([a, b]),
        means=Normal(mu, tau),
        covariances=LKJ(1.0, sd=HalfNormal(sigma)),
    )
    model = mixture_model(x[:, None], 2, covariance_type=covariance_type, prior=prior)
    log_density = model.compile_fn(model.logp(jacobian=False), mode=INTERPRETED)
    for _ in range(3):
        w, m, s = rng.beta(2, 2), rng.normal(size=2), rng.uniform(0.3, 2, size=2)
        by_hand = (
            beta(a, b).logpdf(w)
            + norm(mu, tau).logpdf(m).sum()
            + halfnorm(scale=sigma).logpdf(s).sum()
            + np.log(w * norm(m[0], s[0]).pdf(x) + (1 - w) * norm(m[1], s[1]).pdf(x)).sum()
        )
        values = {"weights": np.array([w, 1 - w]), "means": m[:, None], "standard_deviations": s[:, None]}
        point = unconstrained_space(model).split(unconstrained_point(model, values))
        assert_allclose(log_density(point), by_hand, rtol=1e-10)
