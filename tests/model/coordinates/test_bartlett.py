"""The Bartlett variables have the law of an inverse-Wishart: density and moments against SciPy's."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose
from scipy.stats import gamma, invgamma, invwishart, wishart

from bayesgmm.model.coordinates import bartlett
from bayesgmm.model.coordinates.matrices import covariances
from bayesgmm.priors import InverseWishart, RandomScale
from tests.support.reference import INTERPRETED


def bartlett_model(prior):
    D = len(prior.scale)
    names = [f"x{j}" for j in range(D)]
    coords = {"feature": names, "feature_bis": names} | ({"feature_pair": range(D * (D - 1) // 2)} if D > 1 else {})
    with pm.Model(coords=coords) as model:
        Sigma = covariances(bartlett.matrix_factors(prior, D, (), ()))[0]
    return model, Sigma


def random_scale(rng, D):
    root = rng.normal(size=(D, D))
    return root @ root.T + 0.5 * np.eye(D)


@pytest.mark.parametrize("D", [1, 2, 3])
def test_density_is_scipys(rng, D):
    prior = InverseWishart(D + 1.7, random_scale(rng, D))
    model, Sigma = bartlett_model(prior)
    values = model.value_vars
    lower = np.tril_indices(D)
    (Sigma_of_values,) = model.replace_rvs_by_values([Sigma])
    run = pytensor.function(values, [model.logp(), Sigma_of_values], mode=INTERPRETED)

    def evaluate(flat):
        parts = np.split(flat, np.cumsum([value_shape_size(v, D) for v in values])[:-1])
        return run(*parts)

    def value_shape_size(value, D):
        return D if "diagonal" in value.name else D * (D - 1) // 2

    n = D * (D + 1) // 2
    for _ in range(3):
        point = 0.5 * rng.normal(size=n)
        logp, S = evaluate(point)
        steps = 1e-6 * np.eye(n)
        jacobian = np.stack([(evaluate(point + h)[1] - evaluate(point - h)[1])[lower] / 2e-6 for h in steps])
        expected = invwishart(prior.dof, np.asarray(prior.scale)).logpdf(S) + np.linalg.slogdet(jacobian)[1]
        assert_allclose(logp, expected, atol=1e-6)


def test_variances_have_the_one_dimensional_form():
    prior = InverseWishart(3.4, (2.0, 5.0))
    with pm.Model(coords={"feature": ["a", "b"]}) as model:
        inverse_sd = bartlett.variance_factors(prior, (2,), ("feature",))
    (replaced,) = model.replace_rvs_by_values([inverse_sd])
    run = pytensor.function(model.value_vars, [model.logp(), replaced], mode=INTERPRETED)
    u = np.array([0.3, -0.8])
    logp, root = run(u)
    # variance = scale exp(-u): the Jacobian is the variance itself
    expected = invgamma(1.7, scale=np.array([1.0, 2.5])).logpdf(root**-2) - 2 * np.log(root)
    # PyMC takes the log of its constant 1/2 in single precision
    assert_allclose(logp, expected.sum(), atol=3.4 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("D", [1, 3])
def test_moments_of_simulated_precisions_are_those_of_a_wishart(rng, D):
    prior = InverseWishart(D + 2.0, random_scale(rng, D))
    _, Sigma = bartlett_model(prior)
    draws = 4000
    P = np.linalg.inv(pm.draw(Sigma, draws, mode=INTERPRETED, random_seed=rng))
    V = np.linalg.inv(np.asarray(prior.scale))
    # E P = dof V, var P_ij = dof (V_ij^2 + V_ii V_jj); k = 5 standard errors
    sd = np.sqrt(prior.dof * (V**2 + np.outer(np.diagonal(V), np.diagonal(V))))
    assert np.all(np.abs(P.mean(axis=0) - prior.dof * V) < 5 * sd / np.sqrt(draws))


@pytest.mark.parametrize("D", [1, 2])
def test_a_random_scale_has_the_matrix_gamma_density(rng, D):
    """Joint density of scale and Sigma: SciPy's Wishart times inverse Wishart, by the change of variables."""
    rate = random_scale(rng, D)
    prior = InverseWishart(D + 1.7, RandomScale(1.4, rate))
    coords = {"feature": range(D)} | ({"feature_pair": range(D * (D - 1) // 2)} if D > 1 else {})
    with pm.Model(coords={name: list(values) for name, values in coords.items()}) as model:
        U = bartlett.matrix_factors(prior, D, (), ())
        # T T^T = C^T Sigma^-1 C with T = C^T U: the scale is found from the graph's own C^-T
        root = U.owner.inputs[0] if D > 1 else U / pt.sqrt(model["bartlett_diagonal"])
        outputs = [root, covariances(U)]
    names = [bartlett.SCALE_DIAGONAL, bartlett.SCALE_ABOVE, bartlett.DIAGONAL, bartlett.ABOVE]
    values = [model.rvs_to_values[model[name]] for name in names if name in model.named_vars]
    run = pytensor.function(values, [model.logp(), *model.replace_rvs_by_values(outputs)], mode=INTERPRETED)
    sizes = [D, D * (D - 1) // 2] * 2 if D > 1 else [1, 1]
    lower, n = np.tril_indices(D), D * (D + 1)

    def evaluate(point):
        logp, root, S = run(*np.split(point, np.cumsum(sizes)[:-1]))
        C = np.linalg.inv(np.reshape(root, (D, D))).T
        return logp, C @ C.T, np.reshape(S, (D, D))

    for _ in range(2):
        point = 0.5 * rng.normal(size=n)
        logp, scale, S = evaluate(point)
        steps = 1e-6 * np.eye(n)
        both = [np.r_[a[lower], b[lower]] for h in steps for _, a, b in (evaluate(point + h), evaluate(point - h))]
        jacobian = (np.array(both[::2]) - np.array(both[1::2])) / 2e-6
        expected = wishart(2.8, np.linalg.inv(2 * rate)).logpdf(scale) + invwishart(prior.dof, scale).logpdf(S)
        assert_allclose(logp, expected + np.linalg.slogdet(jacobian)[1], atol=1e-5)


def test_random_scales_of_variances_are_those_of_richardson_and_green(rng):
    """sigma^-2 ~ Gamma(alpha, beta), beta ~ Gamma(g, h): density of (beta, sigma^-2) at a point, by SciPy."""
    alpha, g, h = 2.0, 0.2, np.array([0.3, 4.0])
    prior = InverseWishart(2 * alpha, RandomScale(g, h / 2))
    with pm.Model(coords={"feature": ["a", "b"]}) as model:
        inverse_sd = bartlett.variance_factors(prior, (2,), ("feature",))
    values = [model.rvs_to_values[model[name]] for name in (bartlett.SCALE_DIAGONAL, bartlett.DIAGONAL)]
    run = pytensor.function(values, [model.logp(), *model.replace_rvs_by_values([inverse_sd])], mode=INTERPRETED)
    for log_beta, log_chi in rng.normal(size=(3, 2, 2)):
        # free variables: 2 rate scale = h 2 beta, and scale / variance = 2 beta / sigma^2
        beta = np.exp(log_beta) / (2 * h)
        logp, root = run(log_beta, log_chi)
        precision = np.exp(log_chi) / (2 * beta)
        assert_allclose(root**2, precision)
        expected = gamma(g, scale=1 / h).logpdf(beta) + gamma(alpha, scale=1 / beta).logpdf(precision)
        # Jacobian: beta is exp(log_beta) times a constant, precision exp(log_chi) at given beta
        assert_allclose(logp, (expected + np.log(beta) + np.log(precision)).sum(), atol=1e-6)


@pytest.mark.parametrize("D", [1, 3])
def test_start_gives_back_the_covariances(rng, D):
    prior = InverseWishart(D + 2.0, random_scale(rng, D))
    S = np.stack([random_scale(rng, D) for _ in range(2)])
    values = bartlett.start_matrices(prior, S)
    T = np.zeros((2, D, D))
    T[:, np.arange(D), np.arange(D)] = np.sqrt(values[bartlett.DIAGONAL])
    if D > 1:
        T[:, *np.triu_indices(D, 1)] = values[bartlett.ABOVE]
    U = bartlett.inverse_root(np.asarray(prior.scale)) @ T
    assert_allclose(np.linalg.inv(U @ np.swapaxes(U, 1, 2)), S, rtol=1e-10)
