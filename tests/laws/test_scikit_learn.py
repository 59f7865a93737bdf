"""scikit-learn's own tests of its Gaussian mixture, from the installed wheel, run on ours.

Every test of theirs is either run here or listed with the reason why it says nothing about us.
"""

import ast
import importlib.util
import inspect
import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import ConvergenceWarning

from bayesgmm.em.collapse import CollapseWarning
from bayesgmm.em.estimator import GaussianMixture

PATH = Path(sklearn.__file__).parent / "mixture" / "tests" / "test_gaussian_mixture.py"

PRIVATE = "calls private functions of scikit-learn, no estimator"
TEXT = "asserts scikit-learn's own text of an error or warning; ours names the argument and what to do"
NO_ZERO = "max_iter=0 asks for the start itself; ours takes at least one E-step and its M-step"

NOT_APPLICABLE = {
    "test_suffstat_sk_full": PRIVATE,
    "test_suffstat_sk_tied": PRIVATE,
    "test_suffstat_sk_diag": PRIVATE,
    "test_gaussian_suffstat_sk_spherical": PRIVATE,
    "test_compute_log_det_cholesky": PRIVATE,
    "test_gaussian_mixture_log_probabilities": PRIVATE,
    "test_gaussian_mixture_precisions_init": "calls the private methods _initialize and _set_parameters",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts calls of a private function",
    "test_gaussian_mixture_n_parameters": "calls the private method _n_parameters; ours is the attribute n_parameters_",
    "test_gaussian_mixture_aic_bic": "calls the private method _n_parameters; ours is the attribute n_parameters_",
    "test_check_weights": TEXT,
    "test_check_means": TEXT,
    "test_check_precisions": TEXT,
    "test_gaussian_mixture_fit_convergence_warning": TEXT,
    "test_regularisation": TEXT + "; then it fits ten components to two distinct rows, which ours refuses",
    "test_gaussian_mixture_verbose": "the argument verbose, which ours has not",
    "test_init_means_not_duplicated": NO_ZERO,
    "test_max_iter_zero": NO_ZERO,
    "test_gaussian_mixture_precisions_init_diag": "its start is KMeans(random_state=0), and n_iter_ the same from ours",
    "test_gaussian_mixture_array_api_compliance": "array API: ours takes tables and NumPy arrays",
    "test_gaussian_mixture_raises_where_array_api_not_implemented": "array API: ours takes tables and NumPy arrays",
}

# They assert that attributes have the dtype of X; ours are float64 whatever it is, because sums are kept in float64.
FLOAT64_ONLY = {
    "test_gaussian_mixture_fit_predict",
    "test_gaussian_mixture_fit",
    "test_score",
    "test_fitted_precision_covariance_concistency",
    "test_means_for_all_inits",
}

FIXTURES = {"global_dtype": [np.float32, np.float64], "global_random_seed": [0, 7, 42]}


def load_theirs():
    spec = importlib.util.spec_from_file_location("scikit_learns_tests_of_mixtures", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.GaussianMixture = GaussianMixture
    return module


THEIRS = load_theirs()
TESTS = {name: value for name, value in vars(THEIRS).items() if name.startswith("test_") and callable(value)}


def marks(name, kind):
    return [mark for mark in getattr(TESTS[name], "pytestmark", ()) if mark.name == kind]


def arguments(name):
    """Every set of arguments that pytest would call one of their tests with."""
    choices = []
    for mark in marks(name, "parametrize"):
        keys, rows = mark.args
        keys = [key.strip() for key in keys.split(",")] if isinstance(keys, str) else list(keys)
        choices.append([dict(zip(keys, row if len(keys) > 1 else (row,), strict=True)) for row in rows])
    for fixture in inspect.signature(TESTS[name]).parameters:
        if fixture in FIXTURES:
            values = FIXTURES[fixture][1:] if fixture == "global_dtype" and name in FLOAT64_ONLY else FIXTURES[fixture]
            choices.append([{fixture: value} for value in values])
    return [{key: value for part in parts for key, value in part.items()} for parts in itertools.product(*choices)]


CASES = [
    pytest.param(name, given, id="-".join([name, *(getattr(v, "__name__", str(v)) for v in given.values())]))
    for name in TESTS
    if name not in NOT_APPLICABLE
    for given in arguments(name)
]


def run(name, given):
    with warnings.catch_warnings():
        # scikit-learn lets warnings pass, or ignores them by their text, which is not ours
        for category in (ConvergenceWarning, CollapseWarning):
            warnings.simplefilter("ignore", category)
        TESTS[name](**given)


@pytest.mark.parametrize("name, given", CASES)
def test_theirs_passes_on_ours(name, given):
    run(name, given)


# test_score asserts the dtype of its rows too
@pytest.mark.parametrize("name, given", [case for case in CASES if case.values[0] in FLOAT64_ONLY - {"test_score"}])
def test_theirs_passes_on_rows_in_single_precision(name, given, monkeypatch):
    """The rows and starts are float32, the attributes float64."""
    original = THEIRS.RandomData
    monkeypatch.setattr(THEIRS, "RandomData", lambda rng, **options: original(rng, **{**options, "dtype": np.float32}))
    run(name, given)


def test_every_test_of_theirs_is_run_or_has_its_reason():
    written = {
        node.name for node in ast.parse(PATH.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    }
    written = {name for name in written if name.startswith("test_")}
    chosen = {case.values[0] for case in CASES}
    assert chosen | set(NOT_APPLICABLE) == written == set(TESTS)
    assert not chosen & set(NOT_APPLICABLE)
    assert FLOAT64_ONLY <= chosen


def test_theirs_know_no_other_fixture_than_we_give():
    for case in CASES:
        name, given = case.values
        assert set(inspect.signature(TESTS[name]).parameters) == set(given)
