"""GaussianMixture is what a user of scikit-learn expects, and agrees with scikit-learn where that is right."""

import doctest
import inspect
import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.mixture
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

from bayesgmm.data.datasets import load_dataset
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.solver import Status
from bayesgmm.em.starts.methods import METHODS
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support import oracle
from tests.support.strategies import random_mixture

FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
families = pytest.mark.parametrize("family", FAMILIES)
scikit_learns = pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])


def two_clusters(rng, n=150):
    first = rng.normal(size=(2 * n // 3, 3))
    second = rng.normal(size=(n // 3, 3)) @ np.array([[1.0, 0.5, 0], [0, 1.0, 0.3], [0, 0, 0.5]]) + [5.0, 3.0, -4.0]
    return np.concatenate([first, second])


@pytest.fixture
def X(rng):
    return two_clusters(rng)


@pytest.fixture
def fitted(X):
    return GaussianMixture(2, random_state=0).fit(X)


def scikit_learn(family, start, X):
    return sklearn.mixture.GaussianMixture(
        2, covariance_type=family, tol=1e-13, max_iter=10_000, reg_covar=0, **start
    ).fit(X)


def common_start(family, X):
    precisions = {"tied": np.eye(3) / 4, "diag": np.full((2, 3), 1 / 4), "spherical": np.full(2, 1 / 4)}.get(
        family, np.stack([np.eye(3) / 4] * 2)
    )
    return {"weights_init": [0.3, 0.7], "means_init": X[[0, -1]], "precisions_init": precisions}


@scikit_learns
def test_reaches_scikit_learns_optimum_from_the_same_start(family, X):
    start = common_start(family, X)
    theirs = scikit_learn(family, start, X)
    ours = GaussianMixture(2, covariance_type=family, tol=1e-13, max_iter=10_000, reg_covar=0, **start).fit(X)
    for name in FITTED:
        assert getattr(ours, name).shape == getattr(theirs, name).shape, name
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-4, atol=1e-6, err_msg=name)
    assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=1e-10)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.n_parameters_ == theirs._n_parameters()


@scikit_learns
def test_answers_are_scikit_learns_at_the_same_parameters(family, X):
    theirs = scikit_learn(family, common_start(family, X), X)
    ours = GaussianMixture.from_parameters(theirs.weights_, theirs.means_, theirs.covariances_, covariance_type=family)
    assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-9)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    for criterion in ("score", "bic", "aic"):
        assert_allclose(getattr(ours, criterion)(X), getattr(theirs, criterion)(X), rtol=1e-10)


def test_parameters_and_methods_are_named_as_scikit_learns():
    theirs = set(inspect.signature(sklearn.mixture.GaussianMixture).parameters) - {"verbose", "verbose_interval"}
    assert theirs <= set(inspect.signature(GaussianMixture).parameters)
    public = {name for name in dir(sklearn.mixture.GaussianMixture) if not name.startswith("_")}
    assert public <= set(dir(GaussianMixture)), public - set(dir(GaussianMixture))


@pytest.mark.parametrize("noise", [None, "box"])
@pytest.mark.filterwarnings("ignore::bayesgmm.em.collapse.CollapseWarning")
def test_scikit_learns_own_checks_pass(noise):
    """All but the array API's, which scikit-learn itself skips unless SciPy is told to."""
    results = check_estimator(GaussianMixture(noise=noise), on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert sum(result["status"] == "passed" for result in results) > 40


def test_memberships_sum_to_one_and_say_what_predict_says(fitted, X):
    r = fitted.predict_proba(X)
    assert r.shape == (150, 2)
    assert_allclose(r.sum(axis=1), 1.0, rtol=1e-14)
    assert_array_equal(r.argmax(axis=1), fitted.predict(X))
    assert_allclose(r, oracle.memberships(X, fitted.parameters_), atol=1e-10)
    assert_allclose(fitted.score_samples(X), oracle.log_density(X, fitted.parameters_), rtol=1e-10)


def test_fit_predict_is_fit_then_predict(X):
    mixture = GaussianMixture(2, random_state=0)
    assert_array_equal(mixture.fit_predict(X), mixture.predict(X))


def test_lower_bounds_are_mean_log_densities_on_the_way_up(fitted, X):
    assert len(fitted.lower_bounds_) == fitted.n_iter_
    assert fitted.lower_bound_ == fitted.lower_bounds_[-1]
    assert_allclose(fitted.lower_bound_, fitted.score(X), rtol=1e-12)
    assert (np.diff(fitted.lower_bounds_) > -1e-12).all()
    assert fitted.converged_ and fitted.admissible_ and fitted.status_ is Status.CONVERGED


def test_precisions_are_inverses(fitted):
    assert_allclose(fitted.precisions_ @ fitted.covariances_, np.stack([np.eye(3)] * 2), atol=1e-9)
    U = fitted.precisions_cholesky_
    assert_allclose(U @ np.swapaxes(U, 1, 2), fitted.precisions_, rtol=1e-12)
    assert isinstance(fitted.parameters_, MixtureParameters)


@families
def test_integer_weights_are_repeated_rows(family, X, rng):
    weights = rng.integers(0, 3, size=len(X)).astype(float)
    start = common_start(family, X)
    weighted = GaussianMixture(2, covariance_type=family, **start).fit(X, sample_weight=weights)
    repeated = GaussianMixture(2, covariance_type=family, **start).fit(np.repeat(X, weights.astype(int), axis=0))
    for name in FITTED:
        assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-6, atol=1e-9, err_msg=name)
    assert_allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=1e-10)
    assert_allclose(weighted.score(X, sample_weight=weights), weighted.lower_bound_, rtol=1e-10)


def test_sampling_has_the_moments_of_the_mixture():
    rng = np.random.default_rng(3)
    truth = random_mixture(rng, 3, 2)
    mixture = GaussianMixture.from_parameters(truth.weights, truth.means, truth.covariances)
    mixture._sampler = np.random.default_rng(4)
    n, k = 40_000, 5  # k standard errors
    X, labels = mixture.sample(n)
    assert X.shape == (n, 2) and labels.shape == (n,)
    share = np.bincount(labels, minlength=3) / n
    assert (np.abs(share - truth.weights) < k * np.sqrt(truth.weights * (1 - truth.weights) / n)).all()
    for c in range(3):
        rows, S = X[labels == c], truth.covariances[c]
        assert (np.abs(rows.mean(axis=0) - truth.means[c]) < k * np.sqrt(np.diag(S) / len(rows))).all()
        # Var of a sample covariance entry of normal rows: (S_ij^2 + S_ii S_jj) / n
        error = np.sqrt((S**2 + np.outer(np.diag(S), np.diag(S))) / len(rows))
        assert (np.abs(np.cov(rows.T) - S) < k * error).all()


def test_samples_are_new_on_each_call_and_the_same_for_one_seed(X):
    first, second = (GaussianMixture(2, random_state=5).fit(X) for _ in range(2))
    a, b = first.sample(4)[0], first.sample(4)[0]
    assert not np.array_equal(a, b)
    assert_array_equal(second.sample(4)[0], a)
    assert_array_equal(second.sample(4)[0], b)
    assert first.sample()[0].shape == (1, 3)


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_the_fit(method, X):
    fits = [
        GaussianMixture(3, init_params=method, random_state=s, n_init=2, max_iter=20, tol=0.5).fit(X) for s in (1, 1)
    ]
    assert_array_equal(fits[0].means_, fits[1].means_)
    state = np.random.RandomState(1)
    assert_array_equal(
        GaussianMixture(3, init_params=method, random_state=state, n_init=2, max_iter=20, tol=0.5).fit(X).means_,
        fits[0].means_,
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_two_clear_clusters(method, X, fitted):
    mixture = GaussianMixture(2, init_params=method, n_init=3, random_state=0, max_iter=5000).fit(X)
    assert_allclose(mixture.lower_bound_, fitted.lower_bound_, atol=1e-6)


def test_more_starts_are_never_worse(rng):
    X = rng.normal(size=(100, 2)) * [1, 5]
    bounds = []
    for n_init in (1, 3, 8):
        mixture = GaussianMixture(
            3, covariance_type="spherical", init_params="random_from_data", n_init=n_init, random_state=0, max_iter=3000
        )
        bounds.append(mixture.fit(X).lower_bound_)
    assert bounds == sorted(bounds)


def test_a_start_is_labels_responsibilities_or_a_mixture(X, fitted):
    labels = fitted.predict(X)
    for given in (labels, np.array(["a", "b"])[labels], fitted.predict_proba(X), fitted):
        mixture = GaussianMixture(2, init_params=given).fit(X)
        assert_allclose(mixture.means_, fitted.means_, rtol=1e-3)
    assert GaussianMixture(2, init_params=fitted).fit(X).n_iter_ <= 3


@pytest.mark.parametrize("source", ["full", "spherical"])
@families
def test_a_mixture_of_another_family_is_a_start(source, family, X):
    """The path begins inside the family, so it never falls."""
    start = GaussianMixture(2, covariance_type=source, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = GaussianMixture(2, covariance_type=family, init_params=start, max_iter=1).fit(X)
    assert first.score(X) >= first.lower_bound_ - 1e-10
    inside = GaussianMixture.from_parameters(first.weights_, first.means_, first.covariances_, covariance_type=family)
    assert_allclose(inside.parameters_.covariances, first.parameters_.covariances, rtol=1e-9, atol=1e-12)
    mixture = GaussianMixture(2, covariance_type=family, init_params=start).fit(X)
    assert (np.diff(mixture.lower_bounds_) > -1e-10).all()
    direct = GaussianMixture(2, covariance_type=family, random_state=0).fit(X)
    assert_allclose(mixture.lower_bound_, direct.lower_bound_, atol=1e-6)


def test_parts_of_a_start_can_be_given(X):
    """What is given is where the fit begins: held there, it is what comes out."""
    frozen = ("weights", "means", "covariances")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        one_step = [
            GaussianMixture(2, max_iter=1, random_state=0, frozen=[part], **{name: value}).fit(X)
            for part, (name, value) in zip(frozen, common_start("full", X).items(), strict=True)
        ]
    assert_allclose(one_step[0].weights_, [0.3, 0.7])
    assert_allclose(one_step[1].means_, X[[0, -1]])
    assert_allclose(one_step[2].covariances_, np.stack([np.eye(3) * 4] * 2))


def test_warm_start_goes_on_where_the_last_fit_stopped(X):
    slow = GaussianMixture(2, init_params="random", random_state=0, max_iter=4, warm_start=True)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        slow.fit(X)
    assert not slow.converged_
    reached = slow.score(X)
    assert reached > slow.lower_bound_
    slow.set_params(max_iter=5000).fit(X)
    assert slow.lower_bounds_[0] == pytest.approx(reached, abs=1e-12)
    assert slow.converged_
    with pytest.raises(ValueError, match=r"warm_start.* has 2 components in 3 features; expected 3 in 3"):
        slow.set_params(n_components=3).fit(X)


def test_a_copy_by_pickle_answers_alike_and_a_clone_is_not_fitted(fitted, X):
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(again.sample(3)[0], fitted.sample(3)[0])
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params() and not hasattr(fresh, "means_")


TABLES = {
    "float32": lambda X: X.astype(np.float32),
    "Fortran order": np.asfortranarray,
    "lists": lambda X: X.tolist(),
    "objects": lambda X: X.astype(object),
    "pandas": lambda X: pd.DataFrame(X, columns=["a", "b", "c"]),
    "polars": lambda X: pl.DataFrame(X, schema=["a", "b", "c"]),
    "xarray": lambda X: xr.DataArray(X, dims=("n", "f"), coords={"f": ["a", "b", "c"]}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_any_table_gives_the_same_fit_in_double_precision(kind, X, fitted):
    table = TABLES[kind](X)
    mixture = GaussianMixture(2, random_state=0).fit(table)
    assert mixture.means_.dtype == np.float64
    tolerance = 1e-4 if kind == "float32" else 1e-9
    assert_allclose(mixture.means_, fitted.means_, rtol=tolerance, atol=tolerance)
    assert_allclose(mixture.predict_proba(table), fitted.predict_proba(X), atol=10 * tolerance)
    named = kind in ("pandas", "polars", "xarray")
    assert mixture.feature_names == (("a", "b", "c") if named else ("x0", "x1", "x2"))
    assert mixture.n_features_in_ == 3


def test_integers_are_numbers(X):
    counts = np.round(X * 10).astype(int)
    assert_allclose(
        GaussianMixture(2, random_state=0).fit(counts).means_,
        GaussianMixture(2, random_state=0).fit(counts.astype(float)).means_,
    )


def test_one_series_is_one_feature(X):
    mixture = GaussianMixture(2, random_state=0).fit(pd.Series(X[:, 0], name="length"))
    assert mixture.means_.shape == (2, 1) and mixture.covariances_.shape == (2, 1, 1)
    assert mixture.feature_names == ("length",)


@pytest.mark.parametrize("fit_kind", ["pandas", "polars", "xarray"])
@pytest.mark.parametrize("predict_kind", ["pandas", "polars", "xarray"])
def test_names_are_kept_and_checked_across_kinds_of_tables(fit_kind, predict_kind, X):
    mixture = GaussianMixture(2, random_state=0).fit(TABLES[fit_kind](X))
    assert list(mixture.feature_names_in_) == ["a", "b", "c"]
    assert_array_equal(mixture.predict(TABLES[predict_kind](X)), mixture.predict(TABLES[fit_kind](X)))
    other = pd.DataFrame(X, columns=["a", "c", "b"])
    with pytest.raises(ValueError, match=r"columns are \['a', 'c', 'b'\].*fitted to \['a', 'b', 'c'\]"):
        mixture.predict(other)


def test_units_are_kept(rng):
    mixture = GaussianMixture(2, random_state=0).fit(load_dataset("faithful"))
    assert mixture.units == ("min", "min")
    assert mixture.feature_names == ("eruptions", "waiting")


def test_given_parameters_predict_score_and_sample(X, fitted):
    mixture = GaussianMixture.from_parameters(fitted.weights_, fitted.means_, fitted.covariances_)
    assert_allclose(mixture.score_samples(X), fitted.score_samples(X), rtol=1e-12)
    assert mixture.sample(2)[0].shape == (2, 3)
    assert mixture.n_components == 2 and mixture.n_parameters_ == fitted.n_parameters_


def test_the_examples_of_the_class_run():
    """Its module is the package, where pytest does not look for them."""
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    found = [example for example in finder.find(GaussianMixture, module=False, globs={}) if example.examples]
    assert {example.name for example in found} == {"GaussianMixture", "GaussianMixture.conditional"}
    assert sum(runner.run(example).failed for example in found) == 0


def test_memory_does_not_grow_with_the_rows():
    """The whole fit beside the data, at two sizes that both exceed the rows a start looks at."""

    def peak(N):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(N, 10)) + 4 * rng.normal(size=(10, 10))[rng.integers(10, size=N)]
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            GaussianMixture(10, max_iter=2, random_state=0).fit(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # far enough apart that what two threads happen to hold at once does not count
    small, large = 30_000, 480_000
    peak(small)  # what is allocated once for all
    assert peak(large) - peak(small) < 0.05 * (large - small) * 10 * 8
