"""Laws of incomplete rows that are no single module's: EM with itself, and EM with the PyMC model.

Rows have missing values, errors, weights, known components, each alone and together (`tests.incomplete_cases`).
"""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from bayesgmm.data.datasets import load_dataset
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.model.points import starting_point
from bayesgmm.sampler.unconstrained import unconstrained_point, unconstrained_space
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture
from tests.support.reference import INTERPRETED

FAMILIES = ["full", "tied", "diag", "spherical", "VEV"]
every_case = pytest.mark.parametrize("case", CASES)


def fit(given, K, **settings) -> GaussianMixture:
    keywords = given.keywords
    weights = keywords.pop("weights")
    return GaussianMixture(K, random_state=0, **settings).fit(given.X, sample_weight=weights, **keywords)


def mixture_of(p: MixtureParameters) -> GaussianMixture:
    return GaussianMixture.from_parameters(p.weights, p.means, p.covariances)


def likelihood_gradient(model, values) -> np.ndarray:
    """Gradient of the likelihood alone (no prior, no Jacobian) with respect to the unconstrained variables."""
    logp = model.logp(vars=model.potentials, jacobian=False)
    variables = [model.rvs_to_values[rv] for rv in model.free_RVs]
    gradients = pt.grad(logp, variables, disconnected_inputs="ignore")
    parts = pytensor.function(variables, gradients, mode=INTERPRETED)(*(values[v.name] for v in variables))
    return np.concatenate([np.ravel(part) for part in parts])


@every_case
@pytest.mark.parametrize("family", FAMILIES)
def test_the_law_where_em_ends_the_likelihood_of_the_model_is_stationary(case, family, rng):
    given = incomplete_rows(rng, CASES[case], mixture(rng, 2, 3), 200)
    fitted = fit(given, 2, covariance_type=family, tol=1e-13, max_iter=20_000)
    assert fitted.converged_ and fitted.admissible_
    model = mixture_model(given.X, 2, covariance_type=family, **given.keywords)
    point = unconstrained_point(model, starting_point(model, fitted.parameters_))
    there = unconstrained_space(model).split(point)
    assert np.abs(likelihood_gradient(model, there)).max() / len(given.X) <= 1e-6
    # and it can fail: one percent away it is far from zero
    moved = {value: part * 1.01 + 0.01 for value, part in there.items()}
    assert np.abs(likelihood_gradient(model, moved)).max() / len(given.X) > 1e-4


@every_case
@pytest.mark.parametrize("family", FAMILIES)
def test_the_log_likelihood_of_what_is_seen_never_falls(case, family, rng):
    given = incomplete_rows(rng, CASES[case], mixture(rng, 3, 2, apart=1.5), 150)
    settings = {"acceleration": None, "tol": 1e-6, "max_iter": 5000, "init_params": "random"}
    path = fit(given, 3, covariance_type=family, **settings).lower_bounds_
    assert len(path) > 3
    assert (np.diff(path) >= -1e-12 * np.abs(path[0])).all()


@pytest.mark.parametrize("kinds", [("missing",), ("variances",), ("missing", "covariances", "labels")])
def test_whole_weights_are_repeated_rows(kinds, rng):
    # of 120 rows the covariance under the errors is singular at the maximum, and a last bit takes it to the floor
    given = incomplete_rows(rng, (*kinds, "weights"), mixture(rng, 2, 3), 400)
    again = np.repeat(np.arange(400), given.weights.astype(int))

    def repeated(part):
        return None if part is None else part[again]

    start = fit(given, 2)
    one = fit(given, 2, init_params=start, max_iter=8000)
    keywords = {"errors": repeated(given.errors), "known_labels": repeated(given.known_labels)}
    two = GaussianMixture(2, init_params=start, max_iter=8000).fit(given.X[again], **keywords)
    assert_allclose(one.lower_bound_, two.lower_bound_, rtol=1e-10)
    # and one step from the same place, which no stopping rule can blur
    settings = {"init_params": mixture_of(mixture(rng, 2, 3)), "max_iter": 1, "acceleration": None}
    with pytest.warns(ConvergenceWarning):
        a, b = fit(given, 2, **settings), GaussianMixture(2, **settings).fit(given.X[again], **keywords)
    for name in ("weights_", "means_", "covariances_"):
        assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-10, atol=1e-10)


def test_zero_errors_and_unknown_labels_are_none():
    X = load_dataset("faithful").values
    plain = GaussianMixture(2, random_state=0).fit(X)
    same = GaussianMixture(2, random_state=0).fit(X, errors=np.zeros(X.shape), known_labels=np.full(len(X), -1))
    assert plain.lower_bound_ == same.lower_bound_
    np.testing.assert_array_equal(plain.means_, same.means_)


def test_dropping_incomplete_rows_is_worse(rng):
    """With 30 % of cells missing in 4 features a quarter of rows is whole: its estimates are further off."""
    truth, ours, theirs = mixture(rng, 2, 4), [], []
    for _ in range(10):
        given = incomplete_rows(rng, ("missing",), truth, 400, share=0.3)
        complete = given.X[~np.isnan(given.X).any(axis=1)]
        assert len(complete) < 0.4 * len(given.X)
        for fits, X in ((ours, given.X), (theirs, complete)):
            found = GaussianMixture(2, init_params=mixture_of(truth)).fit(X)
            fits.append(np.square(found.means_ - truth.means).mean())
    assert np.mean(ours) < 0.7 * np.mean(theirs)
