"""Noise in the posterior: the model against SciPy row by row, EM where the model is stationary, the evidence exact."""

import json
import warnings
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import betaln, gammaln, logsumexp
from scipy.stats import beta, invgamma, multivariate_normal, norm

import bayesgmm as bg
from bayesgmm import priors
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.noise import Background, BackgroundError, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.mixture_model import mixture_model, resolved_prior, specification
from bayesgmm.model.points import starting_point
from bayesgmm.posterior import datatree
from bayesgmm.posterior.chains import OtherModeWarning
from bayesgmm.posterior.datatree import NOISE, NOISE_WEIGHT
from bayesgmm.sampler.bridge import effective_size
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_point, unconstrained_space
from bayesgmm.selection.evidence import log_evidence
from bayesgmm.selection.leave_one_out import leave_one_out
from tests.support.incomplete_cases import CASES, Given, incomplete_rows, mixture
from tests.support.reference import INTERPRETED

K_SE = 4.0
EVERY_CASE = {"complete": (), "weights": ("weights",), **CASES}


def log_density(model):
    """Log density at an unconstrained vector, without a compiler."""
    run = pytensor.function(model.value_vars, model.logp(), mode=INTERPRETED)
    names = [value.name for value in model.value_vars]

    def evaluate(vector):
        parts = unconstrained_space(model).split(vector)
        return float(run(*(parts[name] for name in names)))

    return evaluate


def dense_log_likelihood(given: Given, p: MixtureParameters) -> float:
    """Sum over rows of the log density of what is seen: SciPy's normals, and the box's volume by hand."""
    total, D = 0.0, given.X.shape[1]
    for n, x in enumerate(given.X):
        o = np.flatnonzero(~np.isnan(x))
        E = np.zeros((D, D))
        if given.errors is not None:
            E = given.errors if given.errors.ndim == 1 else given.errors[n]
            E = np.diag(E) if E.ndim == 1 else E
        label = -1 if given.known_labels is None else given.known_labels[n]
        terms = [
            w * multivariate_normal.pdf(x[o], m[o], (S + E)[np.ix_(o, o)])
            for k, (w, m, S) in enumerate(zip(p.weights, p.means, p.covariances, strict=True))
            if label in (-1, k)
        ]
        density = sum(terms)
        if p.noise is not None:
            density *= 1 - p.noise.weight
            lower, upper = p.noise.background.lower[o], p.noise.background.upper[o]
            if label == -1 and ((x[o] >= lower) & (x[o] <= upper)).all():
                density += p.noise.weight / np.prod(upper - lower)
        total += (1.0 if given.weights is None else given.weights[n]) * np.log(density)
    return total


@pytest.mark.parametrize(("case", "K"), [*((case, 2) for case in EVERY_CASE), ("complete", 1), ("missing", 1)])
def test_the_posterior_with_noise_is_the_dense_one(rng, case, K):
    """The prior of the model without noise, the Beta of the share, and the likelihood row by row."""
    given = incomplete_rows(rng, EVERY_CASE[case], mixture(rng, K, 3), 30)
    edges = np.nanquantile(given.X, [0.05, 0.95], axis=0)  # some rows are outside
    prior = replace(priors.Prior().resolve(given.observations(), K, "full"), noise=priors.Beta(1.5, 4.0))
    ours = mixture_model(given.X, K, prior=prior, noise=edges, **given.keywords)
    plain = mixture_model(given.X, K, prior=prior, **given.keywords)
    space = unconstrained_space(ours)
    places = space.split(np.arange(space.size))
    others = np.setdiff1d(np.arange(space.size), places["noise_weight_logodds__"].astype(int))
    for _ in range(3):
        vector = 0.3 * rng.normal(size=space.size)
        drawn = constrain_draws(ours, vector[None])
        share = float(drawn["noise_weight"][0])
        p = MixtureParameters.from_covariances(drawn["weights"], drawn["means"], drawn["covariances"])[0]
        noisy = replace(p, noise=Noise(np.asarray(share), Background.box(*edges)))
        # of the logit: times share (1 - share)
        log_prior = log_density(plain)(vector[others]) - dense_log_likelihood(given, p)
        log_prior += beta.logpdf(share, 1.5, 4.0) + np.log(share) + np.log1p(-share)
        assert_allclose(log_density(ours)(vector), log_prior + dense_log_likelihood(given, noisy), rtol=1e-8)


LAW = [*((case, "full") for case in EVERY_CASE), *((case, "tied") for case in ("complete", "all, own errors"))]


@pytest.mark.parametrize(("case", "family"), [*LAW, ("complete", "diag"), ("complete", "VEV")])
def test_the_law_where_em_ends_the_likelihood_of_the_model_is_stationary(case, family, rng):
    kinds, n_noise = EVERY_CASE[case], 80
    # with fewer rows the covariance under the errors may be singular at the maximum
    given = incomplete_rows(rng, kinds, mixture(rng, 2, 3), 400)
    lower, upper = np.nanmin(given.X, axis=0) - 3, np.nanmax(given.X, axis=0) + 3
    X, labels = given.X.copy(), given.known_labels
    X[:n_noise] = np.where(np.isnan(X[:n_noise]), np.nan, rng.uniform(lower, upper, size=(n_noise, 3)))
    if labels is not None:
        labels = np.r_[np.full(n_noise, -1), labels[n_noise:]]
    keywords = given.keywords | {"known_labels": labels}
    weights = keywords.pop("weights")
    fitted = GaussianMixture(
        2, covariance_type=family, tol=1e-13, max_iter=20_000, random_state=0, noise=(lower, upper)
    ).fit(X, sample_weight=weights, **keywords)
    assert fitted.converged_ and 0.02 < fitted.noise_weight_ < 0.5
    model = mixture_model(X, 2, covariance_type=family, noise=(lower, upper), weights=weights, **keywords)
    point = unconstrained_point(model, starting_point(model, fitted.parameters_))
    there = unconstrained_space(model).split(point)
    # a gain below 1e-13 leaves a gradient of sqrt(2e-13 h), h the curvature per row, up to 50 in these coordinates
    assert np.abs(likelihood_gradient(model, there)).max() / len(X) <= 3e-6
    # and it can fail: one percent away it is far from zero
    moved = {value: part * 1.01 + 0.01 for value, part in there.items()}
    assert np.abs(likelihood_gradient(model, moved)).max() / len(X) > 1e-4


def likelihood_gradient(model, values) -> np.ndarray:
    """Gradient of the likelihood alone (no prior, no Jacobian) with respect to the unconstrained variables."""
    logp = model.logp(vars=model.potentials, jacobian=False)
    variables = [model.rvs_to_values[rv] for rv in model.free_RVs]
    gradients = pt.grad(logp, variables, disconnected_inputs="ignore")
    parts = pytensor.function(variables, gradients, mode=INTERPRETED)(*(values[v.name] for v in variables))
    return np.concatenate([np.ravel(part) for part in parts])


def test_the_model_tells_what_it_was_built_from(rng):
    X = rng.normal(size=(40, 2))
    model = mixture_model(X, 2, noise="box")
    assert [variable.name for variable in model.free_RVs][:3] == ["weights", "noise_weight", "means"]
    assert resolved_prior(model).noise == priors.Beta(1.0, 9.0)
    assert_array_equal(specification(model).background.lower, X.min(axis=0))
    without = mixture_model(X, 2)
    assert "noise_weight" not in without.named_vars and resolved_prior(without).noise is None
    fitted = GaussianMixture(2, random_state=0).fit(X)
    assert_allclose(starting_point(model, fitted.parameters_)["noise_weight"], 0.1)


def test_a_background_that_does_not_fit_is_refused(rng):
    X = rng.normal(size=(40, 2))
    with pytest.raises(ValueError, match="`noise` must be None, 'box'"):
        mixture_model(X, 2, noise="ball")
    with pytest.raises(ValueError, match="has edges for 3 features, and the data has 2"):
        mixture_model(X, 2, noise=np.array([[0.0] * 3, [1.0] * 3]))
    X[0, 0] = np.nan
    with pytest.raises(BackgroundError, match="hull"):
        mixture_model(X, 2, noise="hull")


@cache
def noisy_rows() -> np.ndarray:
    """Two groups of 30 and 20 rows in two features, and 10 rows anywhere."""
    rng = np.random.default_rng(5)
    groups = [rng.normal(size=(30, 2)), 0.5 * rng.normal(size=(20, 2)) + 4.0, rng.uniform(-8.0, 10.0, size=(10, 2))]
    return np.concatenate(groups)


SETTINGS = {"draws": 250, "tune": 400, "random_seed": 3, "progressbar": False}


@cache
def posterior(noise: str | None = "box", method: str = "nuts"):
    with warnings.catch_warnings():
        if noise is None:
            # the ten rows anywhere pull two components to several optima: of which of them these draws are is not asked
            warnings.simplefilter("ignore", OtherModeWarning)
        return bg.sample_posterior(noisy_rows(), 2, noise=noise, method=method, **SETTINGS)


def test_the_datatree_keeps_the_background_and_every_draw(tmp_path):
    dt = posterior()
    assert dt["posterior"][NOISE_WEIGHT].dims == ("chain", "draw")
    path = datatree.save(dt, tmp_path / "noise.nc")
    again = datatree.posterior_parameters(xr.load_datatree(path, engine="h5netcdf"))
    ours = datatree.posterior_parameters(dt)
    assert_array_equal(again.noise.weight, ours.noise.weight)
    assert again.noise.background.same_as(ours.noise.background)
    assert_array_equal(again.noise.background.upper, noisy_rows().max(axis=0))
    fit = datatree.em_fit(dt)
    assert fit.noise_weight_ == dt["em"][NOISE_WEIGHT].item() and fit.noise_background_.same_as(ours.noise.background)
    assert "noise" not in json.loads(posterior(None).attrs["bayesgmm"])


def test_the_share_of_noise_is_found_and_its_rows_are_in_the_log_likelihood():
    dt = posterior()
    share = dt["posterior"][NOISE_WEIGHT]
    # 10 of 60 rows under Beta(1, 9): if they were known the posterior would be Beta(11, 59)
    assert abs(float(share.mean()) - 11 / 70) < 2 * beta(11, 59).std()
    p = datatree.posterior_parameters(dt)[0, 0]
    X, pointwise = noisy_rows(), dt["log_likelihood"]["x"].isel(chain=0, draw=0).values
    expected = [dense_log_likelihood(Given(x[None], None, None, None, None), p) for x in X]
    assert_allclose(pointwise, expected, rtol=1e-8)


def test_laplace_has_the_moments_of_nuts():
    sampled, laplace = (posterior(method=method)["posterior"][NOISE_WEIGHT] for method in ("nuts", "laplace"))
    # a k-hat below 0.7 leaves a tenth of the 1000 weighted draws at the very least
    error = np.hypot(float(sampled.std()) / np.sqrt(effective_size(sampled.values)), float(laplace.std()) / 10)
    assert abs(float(sampled.mean()) - float(laplace.mean())) < K_SE * error


def test_a_start_with_another_background_is_refused():
    X = noisy_rows()
    fit = GaussianMixture(2, random_state=0, noise="box").fit(X)
    with pytest.raises(ValueError, match=r"`noise` is None: pass noise=start.noise_background_"):
        bg.sample_posterior(X, 2, start=fit)
    with pytest.raises(ValueError, match="`noise` is another one"):
        bg.sample_posterior(X, 2, start=fit, noise=np.array([[-20.0] * 2, [20.0] * 2]))


def test_a_refit_without_a_row_keeps_the_box_and_the_noise(monkeypatch):
    """A row on the edge of the box, refitted, against a posterior of the other rows in the box of all, made by hand."""
    dt, X = posterior(), noisy_rows()
    n = int(X[:, 0].argmax())
    smoothed = leave_one_out(dt, refit=False).elpd
    bad = smoothed.pareto_k.copy(data=np.where(np.arange(len(X)) == n, 1.0, 0.0))
    monkeypatch.setattr("bayesgmm.selection.leave_one_out._psis", lambda _: replace(smoothed, pareto_k=bad))
    found = leave_one_out(dt, random_seed=2)
    assert_array_equal(np.flatnonzero(found.refitted), [n])
    prior = resolved_prior(mixture_model(X, 2, noise="box"))
    edges = np.stack([X.min(axis=0), X.max(axis=0)])
    others = bg.sample_posterior(
        np.delete(X, n, axis=0), 2, noise=edges, prior=prior, **(SETTINGS | {"random_seed": 6})
    )
    row = Given(X[[n]], None, None, None, None)
    drawn = datatree.posterior_parameters(others)
    log_densities = np.array([[dense_log_likelihood(row, p) for p in chain] for chain in drawn])
    densities = np.exp(log_densities)
    error = densities.std() / densities.mean() / np.sqrt(effective_size(densities))
    difference = abs(float(found.elpd.elpd_i.values[n]) - np.log(densities.mean()))
    assert difference < K_SE * np.hypot(error, found.standard_error[n]) < 0.1
    # outside of a box of the others, or without noise, it would be far less likely
    clusters = [dense_log_likelihood(row, replace(p, noise=None)) for p in drawn[0]]
    assert np.max(clusters) < np.log(densities.mean()) - 2.0


ROWS = np.array([9.2, 9.5, 9.8, 10.3, 10.4, 14.0, 19.0])
PRIOR = bg.Prior(
    weights=priors.Dirichlet(1.0),
    means=priors.Normal(11.0, 3.0),
    covariances=priors.InverseWishart(6.0, 4.0),
    noise=priors.Beta(2.0, 5.0),
)


def exact_log_evidence(K: int, lower: float, upper: float) -> float:
    """Sum over every allocation of the rows to K components and the noise; each subset's marginal by quadrature."""
    N = len(ROWS)
    mu, log_s = np.linspace(-5.0, 27.0, 801), np.linspace(-4.0, 8.0, 601)
    log_prior = norm.logpdf(mu[:, None], 11.0, 3.0) + invgamma(3.0, scale=2.0).logpdf(np.exp(log_s)) + log_s
    cell = np.log(mu[1] - mu[0]) + np.log(log_s[1] - log_s[0])
    rows = np.array([norm.logpdf(x, mu[:, None], np.exp(0.5 * log_s)) for x in ROWS])
    marginal = {
        subset: logsumexp(log_prior + rows[list(subset)].sum(axis=0)) + cell
        for subset in (tuple(np.flatnonzero(mask)) for mask in product([0, 1], repeat=N))
    }
    terms = []
    for allocation in product(range(K + 1), repeat=N):
        z = np.array(allocation)
        counts = np.bincount(z, minlength=K + 1)
        term = betaln(2.0 + counts[K], 5.0 + N - counts[K]) - betaln(2.0, 5.0)
        term += gammaln(K) - gammaln(K + N - counts[K]) + gammaln(1.0 + counts[:K]).sum()
        term += sum(marginal[tuple(np.flatnonzero(z == k))] for k in range(K))
        terms.append(term - counts[K] * np.log(upper - lower))
    return float(logsumexp(terms))


@pytest.mark.parametrize("K", [1, 2])
def test_the_evidence_is_the_sum_over_every_allocation(K):
    dt = bg.sample_posterior(ROWS[:, None], K, prior=PRIOR, noise="box", draws=1000, random_seed=3, progressbar=False)
    found = log_evidence(dt, random_seed=4)
    exact = exact_log_evidence(K, 9.2, 19.0)
    assert found.standard_error < 0.05
    assert abs(found.value - exact) < K_SE * found.standard_error


def test_comparison_is_with_and_without_noise_and_says_on_what_it_hangs():
    found = bg.compare_posteriors({"plain": posterior(None), "noise": posterior()}, refit=False, random_seed=1)
    # the best of the optima without noise is below the one with it by far more than any error
    gap = posterior()["modes"]["log_evidence"].max() - posterior(None)["modes"]["log_evidence"].max()
    assert gap > 30 and found.best("LOO") == found.best("evidence") == found.best("BIC") == "noise"
    assert any("background" in sentence for sentence in found.sentences())
    alone = bg.compare_posteriors({"plain": posterior(None)}, refit=False, evidence=False)
    assert not any("background" in sentence for sentence in alone.sentences())


def test_the_key_of_the_background_is_in_the_root_attribute():
    assert set(json.loads(posterior().attrs["bayesgmm"])[NOISE]) == {"lower", "upper", "log_volume", "facets"}
