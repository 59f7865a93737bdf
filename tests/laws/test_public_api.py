"""The names and signatures that the rest of the world calls, and what importing them costs."""

import inspect
import json
import subprocess
import sys

import pytest

import bayesgmm as bg

NAMES = {
    "GaussianMixture",
    "Prior",
    "adjust_pseudo_posterior",
    "align_labels",
    "bootstrap",
    "bootstrap_test",
    "compare",
    "compare_posteriors",
    "completed_table",
    "impute",
    "filled_components",
    "posterior_of_components",
    "cross_validate",
    "leave_one_out",
    "log_evidence",
    "waic",
    "goodness_of_fit",
    "plot_conditional",
    "plot_generated",
    "quantile",
    "modes",
    "marginal",
    "highest_density_regions",
    "grid_axes",
    "conditional_mean",
    "conditional",
    "cdf",
    "density",
    "diagnose",
    "from_parameters",
    "generate",
    "load",
    "load_dataset",
    "membership",
    "plot_partition",
    "plot_merging",
    "plot_coclustering",
    "pseudo_class",
    "partition",
    "merge",
    "coclustering",
    "mixture_model",
    "plot_compare",
    "plot_components",
    "plot_density",
    "plot_membership",
    "priors",
    "sample_posterior",
    "standard_errors",
}

# The contract; more keyword-only arguments with defaults may follow, nothing may be missing or change its default.
SIGNATURES = {
    "compare": "(X, n_components=range(1, 10), *, covariance_type='all')",
    "adjust_pseudo_posterior": "(dt, *, clusters=None, strata=None, random_seed=None)",
    "align_labels": "(dt, method='em')",
    "bootstrap": "(fit, X, *, sample_weight=None, kind='parametric', n_bootstrap=1000, random_seed=None, "
    "progressbar=False)",
    "standard_errors": "(fit, X, sample_weight=None, *, kind=None, clusters=None, strata=None, errors=None, "
    "known_labels=None)",
    "bootstrap_test": "(X, n_components, *, covariance_type='full', sample_weight=None, n_bootstrap=99, n_init=5, "
    "random_seed=None, progressbar=False)",
    "compare_posteriors": "(posteriors, *, evidence=True, refit=True, random_seed=None, progressbar=False)",
    "cross_validate": "(X, n_components=range(1, 10), *, covariance_type='full', sample_weight=None, errors=None, "
    "known_labels=None, n_folds=10, n_init=5, random_state=None, progressbar=False)",
    "leave_one_out": "(dt, *, refit=True, draws=500, tune=500, random_seed=None, progressbar=False)",
    "log_evidence": "(dt, *, n_proposals=None, random_seed=None)",
    "waic": "(dt)",
    "posterior_of_components": "(evidences, prior=None, *, ci_prob=None, random_seed=None)",
    "filled_components": "(dt, *, random_seed=None)",
    "conditional": "(dt, values)",
    "conditional_mean": "(dt, given, *, ci_prob=None, predictive=True)",
    "marginal": "(dt, features)",
    "cdf": "(dt, points, *, ci_prob=None)",
    "quantile": "(dt, probabilities, *, ci_prob=None)",
    "highest_density_regions": "(dt, probabilities=(0.5, 0.89), points=None, *, n_samples=10_000, ci_prob=None, "
    "random_seed=None)",
    "modes": "(dt, *, ci_prob=None)",
    "grid_axes": "(dt, features=None, n_points=200, *, tail=1e-4)",
    "density": "(dt, points, *, ci_prob=None)",
    "goodness_of_fit": "(dt, X=None, *, refit=None, n_datasets=199, max_rows=2000, level=0.05, classifier=None, "
    "random_seed=None, progressbar=True)",
    "diagnose": "(dt)",
    "from_parameters": "(weights, means, covariances, *, covariance_type='full', feature_names=None)",
    "generate": "(dt, n_obs=None, *, n_datasets=1, random_seed=None)",
    "impute": "(dt, X=None, *, n_draws=1000, ci_prob=None, random_seed=None)",
    "completed_table": "(imputed, draw=None)",
    "load": "(path)",
    "load_dataset": "(name)",
    "coclustering": "(dt, X=None)",
    "partition": "(dt, X=None, *, loss='vi')",
    "pseudo_class": "(dt, X=None, n_draws=20, random_seed=None)",
    "merge": "(dt, X=None)",
    "membership": "(dt, X=None, *, ci_prob=None)",
    "mixture_model": "(X, n_components, *, covariance_type='full', prior=None)",
    "sample_posterior": "(X, n_components, *, covariance_type='full', prior=None, start=None, method='nuts', "
    "draws=1000, tune=1000, chains=4, cores=None, random_seed=None, progressbar=True)",
    "Prior": "(weights=None, means=None, covariances=None)",
    "GaussianMixture": "(n_components=1, *, covariance_type='full', tol=..., reg_covar=..., max_iter=..., n_init=..., "
    "init_params=..., weights_init=None, means_init=None, precisions_init=None, random_state=None, warm_start=False)",
    "GaussianMixture.fit": "(self, X, y=None, sample_weight=None)",
    "GaussianMixture.fit_predict": "(self, X, y=None, sample_weight=None)",
    "GaussianMixture.predict": "(self, X)",
    "GaussianMixture.predict_proba": "(self, X)",
    "GaussianMixture.score_samples": "(self, X)",
    "GaussianMixture.score": "(self, X, y=None, sample_weight=None)",
    "GaussianMixture.bic": "(self, X)",
    "GaussianMixture.aic": "(self, X)",
    "GaussianMixture.icl": "(self, X)",
    "GaussianMixture.sample": "(self, n_samples=1)",
    "GaussianMixture.marginal": "(self, features)",
    "GaussianMixture.conditional": "(self, values)",
    "GaussianMixture.cdf": "(self, x)",
    "GaussianMixture.quantile": "(self, q)",
    "GaussianMixture.save": "(self, path)",
    "GaussianMixture.load": "(path)",
    "GaussianMixture.to_scikit_learn": "(self)",
    "GaussianMixture.from_scikit_learn": "(mixture)",
    "GaussianMixture.from_parameters": "(weights, means, covariances, *, covariance_type='full', feature_names=None)",
    "priors.Dirichlet": "(concentration)",
    "priors.Normal": "(mu, sigma)",
    "priors.InverseWishart": "(dof, scale)",
    "priors.LKJ": "(eta, sd)",
    "priors.LogNormal": "(mu, sigma)",
    "priors.InverseGamma": "(alpha, beta)",
    "priors.HalfNormal": "(sigma)",
}
ATTRIBUTES = (
    "weights_ means_ covariances_ precisions_ precisions_cholesky_ "
    "converged_ n_iter_ lower_bound_ lower_bounds_ n_parameters_"
).split()


def test_exactly_these_names_are_public():
    assert set(bg.__all__) == NAMES
    assert set(dir(bg)) >= NAMES
    assert all(getattr(bg, name) is not None for name in NAMES)
    assert isinstance(bg.__version__, str)
    with pytest.raises(AttributeError, match="has no attribute 'fit'; it has GaussianMixture"):
        _ = bg.fit


def public(dotted):
    found = bg
    for part in dotted.split("."):
        found = getattr(found, part)
    return found


def contract(text):
    """The signature that a text describes."""
    return inspect.signature(eval(f"lambda {text[1:-1]}: None"))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_contracts(name):
    promised, found = contract(SIGNATURES[name]).parameters, inspect.signature(public(name)).parameters
    for parameter in promised.values():
        ours = found[parameter.name]
        assert ours.kind == parameter.kind, parameter.name
        if parameter.default is ...:
            assert ours.default is not inspect.Parameter.empty
        elif parameter.default is not inspect.Parameter.empty:
            assert ours.default == parameter.default, parameter.name
    positional = [p.name for p in found.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == [p.name for p in promised.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    for name_, parameter in found.items():
        if name_ not in promised:
            assert parameter.default is not inspect.Parameter.empty, f"{name_} is new and has no default"


def test_plots_take_the_posterior_first_and_arvizs_options_by_keyword():
    for name in ("plot_components", "plot_density", "plot_membership"):
        parameters = list(inspect.signature(public(name)).parameters.values())
        assert parameters[0].name == "dt"
        keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        assert {"plot_collection", "backend", "visuals"} <= keywords


def test_a_fit_has_the_attributes_of_the_contract():
    mixture = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("galaxies"))
    assert all(hasattr(mixture, name) for name in ATTRIBUTES)


@pytest.mark.parametrize("name", sorted(NAMES - {"priors"}))
def test_public_objects_say_what_they_do(name):
    first = inspect.getdoc(public(name)).splitlines()[0]
    assert first.endswith(".") and len(first) <= 80


SESSION = """
import json, sys
import bayesgmm as bg
X = bg.load_dataset("galaxies")
mixture = bg.GaussianMixture(2, random_state=0).fit(X)
mixture.predict(X), mixture.predict_proba(X), mixture.score(X), mixture.bic(X), mixture.sample(3)
bg.compare(X, [1, 2], n_init=1, random_state=0).best()
bg.membership(mixture, X), bg.density(mixture, X), bg.generate(mixture, 3)
loaded = sorted({name.split(".")[0] for name in sys.modules})

for name in ("compare", "density", "membership", "generate"):
    vars(bg).pop(name)
from bayesgmm.selection.compare import Comparison
from bayesgmm.questions.density import density
import bayesgmm.questions.membership, bayesgmm.questions.generate
functions = [callable(getattr(bg, name)) for name in ("compare", "density", "membership", "generate")]
from bayesgmm import density as again
print(json.dumps({"loaded": loaded, "functions": functions, "the same": again is density}))
"""


@pytest.fixture(scope="module")
def session():
    """What a fresh process says that fits by EM, then imports modules by their full names."""
    new = subprocess.run([sys.executable, "-c", SESSION], capture_output=True, text=True, check=True)
    return json.loads(new.stdout)


def test_importing_and_fitting_by_em_is_light(session):
    """Nobody who fits by EM waits for PyMC, PyTensor or ArviZ."""
    heavy = {"pymc", "pytensor", "numba", "nutpie", "matplotlib"}
    heavy |= {"arviz", "arviz_base", "arviz_stats", "arviz_plots"}
    assert heavy & set(session["loaded"]) == set()


def test_a_function_is_not_hidden_by_the_module_it_lives_in(session):
    """Importing bayesgmm.density makes the module an attribute of the package; the public name is the function."""
    assert session["functions"] == [True] * 4
    assert session["the same"]
