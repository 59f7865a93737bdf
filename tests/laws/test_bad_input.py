"""What cannot be fitted is refused before any work, with the column, the row or the argument named."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from bayesgmm.data.observations import MOST_SPREADS
from bayesgmm.em import solver
from bayesgmm.em.collapse import CollapseError, CollapseWarning
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel import complete
from bayesgmm.posterior.sampling import sample_posterior
from bayesgmm.selection.compare import compare

RNG = np.random.default_rng(8)
GOOD = pd.DataFrame(RNG.normal(size=(40, 2)), columns=["length", "width"])


@pytest.fixture
def no_work(monkeypatch):
    """Fail when a pass over the data begins, or a start is looked for."""

    def refuse(*args, **kwargs):
        raise AssertionError("work began before the input was checked")

    monkeypatch.setattr(complete, "_over_chunks", refuse)
    monkeypatch.setattr("bayesgmm.em.starts.requested.from_method", refuse)
    monkeypatch.setattr("bayesgmm.posterior.sampling.model_of", refuse)


def with_value(value):
    frame = GOOD.copy()
    frame.loc[7, "width"] = value
    return frame


def with_row(value):
    frame = GOOD.copy()
    frame.loc[7] = value
    return frame


DATA = {
    "a row of NaN": (with_row(np.nan), "row 7 of X have no value at all"),
    "a column of NaN": (GOOD.assign(width=np.nan), "column 'width' has no value at all"),
    "infinity": (with_value(np.inf), "infinity: column 'width', row 7"),
    "text": (GOOD.assign(species="setosa"), "column 'species' is not numeric.*'setosa'"),
    "constant": (GOOD.assign(site=4), "column 'site' is constant"),
    "few distinct rows": (GOOD.iloc[[0, 1] * 10], "only 2 distinct rows"),
    "few rows": (GOOD.iloc[:2], "n_components=3 needs at least 3 rows"),
    "no rows": (GOOD.iloc[:0], "no rows"),
    "no columns": (GOOD[[]], "0 feature"),
    "1-D": (GOOD["width"].to_numpy(), r"got 1D array.*reshape\(-1, 1\)"),
    "3-D": (GOOD.to_numpy()[None], "3 dimensions"),
    "complex": (GOOD.to_numpy() + 1j, "Complex"),
    "same name twice": (GOOD.set_axis(["width", "width"], axis=1), "'width'"),
}


FITS = {
    "fit": lambda X, K, weights=None, **known: GaussianMixture(K).fit(X, sample_weight=weights, **known),
    "fit_predict": lambda X, K: GaussianMixture(K).fit_predict(X),
    "compare": lambda X, K, weights=None, **known: compare(X, [K], sample_weight=weights, **known),
    "sample_posterior": lambda X, K, **known: sample_posterior(X, K, progressbar=False, **known),
}


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("kind", DATA)
def test_data_are_refused_by_column_and_row(kind, fit, no_work):
    X, message = DATA[kind]
    with pytest.raises(ValueError, match=message):
        FITS[fit](X, 3)


NAMED = GOOD.set_axis([f"r{n}" for n in range(40)])


def changed(array, where, value):
    array = np.array(array, dtype=np.result_type(array, type(value)) if not isinstance(value, str) else object)
    array[where] = value
    return array


COVARIANCES = np.tile(0.01 * np.eye(2), (40, 1, 1))
VARIANCES = np.full((40, 2), 0.01)
KNOWN = {
    "a weight is negative": ({"weights": changed(np.ones(40), 5, -1.0)}, "weights.*received -1.0 in row r5"),
    "a weight is missing": ({"weights": changed(np.ones(40), 5, np.nan)}, "weights.*received none in row r5"),
    "a weight is masked": (
        {"weights": np.ma.masked_array(np.ones(40), np.arange(40) == 5)},
        "weights.*received none in row r5",
    ),
    "a weight is infinite": ({"weights": changed(np.ones(40), 5, np.inf)}, "weights.*received inf in row r5"),
    "weights are too few": ({"weights": np.ones(39)}, r"\(39,\), expected \(40,\): one weight for each row"),
    "weights are text": ({"weights": ["heavy"] * 40}, "row weights.*must be numbers.*'heavy'"),
    "every weight is zero": ({"weights": np.zeros(40)}, "every weight is zero"),
    "errors are too few": ({"errors": VARIANCES[:-1]}, r"each value, \(40, 2\).*received shape \(39, 2\)"),
    "one column of errors": ({"errors": VARIANCES[:, 0]}, r"each feature, \(2,\).*received shape \(40,\)"),
    "an error is negative": ({"errors": changed(VARIANCES, (4, 1), -1.0)}, "column 'width', row r4, is -1"),
    "an error is missing": ({"errors": changed(VARIANCES, (4, 1), np.nan)}, "column 'width', row r4, is missing"),
    "an error is masked": (
        {"errors": np.ma.masked_array(VARIANCES, np.arange(80).reshape(40, 2) == 9)},
        "column 'width', row r4, is missing",
    ),
    "an error is infinite": ({"errors": changed(VARIANCES, (4, 1), np.inf)}, "column 'width', row r4, is inf"),
    "errors are text": ({"errors": [["small", "large"]] * 40}, "`errors` must be numbers.*'small'"),
    "an error covariance is not positive definite": (
        {"errors": changed(COVARIANCES, 9, np.array([[1.0, 2.0], [2.0, 1.0]]))},
        "error covariance of row r9 is not positive semidefinite",
    ),
    "an error covariance is not symmetric": (
        {"errors": changed(COVARIANCES, (9, 0, 1), 0.5)},
        "error covariance of row r9 is not symmetric",
    ),
    "an error covariance is not finite": (
        {"errors": changed(COVARIANCES, 9, np.nan)},
        "error covariance of row r9 is not finite",
    ),
    "a label beyond the components": (
        {"known_labels": changed(np.full(40, -1), 3, 7)},
        "row r3 is known to be of component 7, but n_components=2",
    ),
    "a name beyond the components": (
        {"known_labels": changed(np.array(["a", "b"] * 20), 3, "c")},
        "row r3 is known to be of component 'c', one of 3 labels, but n_components=2",
    ),
    "a label below minus one": ({"known_labels": changed(np.full(40, -1), 3, -2)}, "label of row r3 is -2"),
    "a label is no whole number": ({"known_labels": changed(np.full(40, np.nan), 3, 0.5)}, "label of row r3 is 0.5"),
    "names among numbers": ({"known_labels": ["a", 1] * 20}, "label of row r0 is a: .*or names for all"),
    "labels all of one class": (
        {"known_labels": np.zeros(40, dtype=int)},
        "every row has a known component and none is of component 1: lower `n_components`",
    ),
    "names all of one class": ({"known_labels": ["a"] * 40}, "none is of component 1"),
    "labels are too few": ({"known_labels": np.zeros(39)}, r"`known_labels` has shape \(39,\), expected \(40,\)"),
    "labels are a table": ({"known_labels": np.zeros((40, 1))}, r"`known_labels` has shape \(40, 1\)"),
}


@pytest.mark.parametrize("fit", ["fit", "compare", "sample_posterior"])
@pytest.mark.parametrize("kind", KNOWN)
def test_what_is_known_of_rows_is_refused_by_row(kind, fit, no_work):
    known, message = KNOWN[kind]
    with pytest.raises(ValueError, match=message):
        FITS[fit](NAMED, 2, **known)


def test_errors_whose_columns_have_names_are_taken_by_name():
    errors = pd.DataFrame({"width": 0.3, "length": 0.01}, index=GOOD.index)
    by_position = GaussianMixture(1).fit(GOOD, errors=errors[["length", "width"]].to_numpy())
    for given in (errors, errors.iloc[0], errors.astype("Float64"), pl.DataFrame(errors)):
        np.testing.assert_array_equal(GaussianMixture(1).fit(GOOD, errors=given).covariances_, by_position.covariances_)


@pytest.mark.parametrize("unknown", ["", None, np.nan, pd.NA])
def test_a_label_that_files_leave_empty_is_unknown(unknown):
    labels = np.array(["a", "b", unknown, unknown] * 10, dtype=object)
    assert GaussianMixture(2, random_state=0).fit(GOOD, known_labels=labels).label_names_ == ("a", "b")


SETTINGS = {
    "n_components 0": ({"n_components": 0}, "`n_components` must be an integer of at least 1; received 0"),
    "n_components 1.5": ({"n_components": 1.5}, "`n_components`.*received 1.5"),
    "n_components True": ({"n_components": True}, "`n_components`.*received True"),
    "n_components None": ({"n_components": None}, "`n_components`.*received None"),
    "max_iter 0": ({"max_iter": 0}, "`max_iter`.*received 0"),
    "n_init -1": ({"n_init": -1}, "`n_init`.*received -1"),
    "tol negative": ({"tol": -1e-3}, "`tol`.*received -0.001"),
    "tol NaN": ({"tol": np.nan}, "`tol`.*received nan"),
    "tol text": ({"tol": "small"}, "`tol`.*received 'small'"),
    "reg_covar 1": ({"reg_covar": 1}, "`reg_covar`.*received 1"),
    "covariance_type": ({"covariance_type": "round"}, "`covariance_type` must be one of .*'full'.*received 'round'"),
    "init_params": ({"init_params": "magic"}, "`init_params` must be one of 'kmeans'.*received 'magic'"),
    "init_params unfitted": ({"init_params": GaussianMixture(2)}, "not fitted"),
    "labels of other rows": ({"init_params": np.arange(30) % 2}, r"`init_params` must be labels \(40,\)"),
    "one label": ({"init_params": np.zeros(40)}, "`init_params` has 1 distinct labels"),
    "three responsibilities": ({"init_params": np.full((40, 3), 1 / 3)}, "`init_params` has 3 columns"),
    "weights_init shape": ({"weights_init": [1.0]}, r"`weights_init` must have shape \(2,\); received \(1,\)"),
    "weights_init sum": ({"weights_init": [0.5, 0.6]}, "`weights_init`"),
    "weights_init negative": ({"weights_init": [1.5, -0.5]}, "`weights_init`"),
    "means_init shape": ({"means_init": np.zeros((2, 3))}, r"`means_init` must have shape \(2, 2\); received \(2, 3\)"),
    "means_init NaN": ({"means_init": np.full((2, 2), np.nan)}, "`means_init`"),
    "precisions_init shape": ({"precisions_init": np.eye(2)}, r"`precisions_init` must have shape \(2, 2, 2\)"),
    "precisions_init singular": ({"precisions_init": np.zeros((2, 2, 2))}, "`precisions_init`"),
    "precisions_init negative": ({"precisions_init": -np.stack([np.eye(2)] * 2)}, "`precisions_init`"),
    "random_state": ({"random_state": "lucky"}, "random_state|RandomState"),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_are_refused_by_name(kind):
    settings, message = SETTINGS[kind]
    with pytest.raises((ValueError, NotFittedError), match=message):
        GaussianMixture(**{"n_components": 2, **settings}).fit(GOOD)


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_are_refused_before_any_work(kind, no_work):
    with pytest.raises((ValueError, NotFittedError)):
        GaussianMixture(**{"n_components": 2, **SETTINGS[kind][0]}).fit(GOOD)


@pytest.mark.parametrize("weights", [np.ones(3), -np.ones(40), np.full(40, np.nan), np.zeros(40), ["a"] * 40])
def test_wrong_weights_are_refused(weights, no_work):
    with pytest.raises(ValueError, match=r"weight"):
        GaussianMixture(2).fit(GOOD, sample_weight=weights)


@pytest.mark.parametrize("call", ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl"])
def test_new_rows_are_checked_like_old_ones(call):
    mixture = GaussianMixture(2, random_state=0).fit(GOOD)
    for X, message in (
        (with_row(np.nan), "row 7 of X have no value at all"),
        (GOOD[["width", "length"]], "same order"),
        (GOOD.assign(more=1.0), "X has 3 features, but GaussianMixture is expecting 2 features"),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(mixture, call)(X)


@pytest.mark.parametrize("call", ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl", "sample"])
def test_what_is_not_fitted_has_no_answer(call):
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(2), call)(3 if call == "sample" else GOOD)


@pytest.mark.parametrize("n_samples", [0, -1, 1.5])
def test_a_number_of_samples_is_positive(n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        GaussianMixture(1).fit(GOOD).sample(n_samples)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (([0.5, 0.5], [0.0, 1.0], np.ones((2, 1, 1))), r"`means` must have shape \(K, D\)"),
        (([0.5, 0.6], [[0.0], [1.0]], np.ones((2, 1, 1))), "`weights`"),
        (([0.5, 0.5], [[0.0], [1.0]], np.array([[[1.0]], [[-1.0]]])), "component 1 is not positive definite"),
    ],
)
def test_parameters_that_are_no_mixture_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture.from_parameters(*parameters)


EQUAL = pd.DataFrame(
    np.concatenate([RNG.normal(size=(30, 2)), np.full((12, 2), 6.1)]),
    columns=["length", "width"],
    index=[f"row {n}" for n in range(42)],
)


@pytest.mark.parametrize("family", ["full", "diag", "spherical"])
def test_without_a_floor_a_collapse_is_an_error_that_names_component_and_rows(family):
    mixture = GaussianMixture(2, covariance_type=family, reg_covar=0, random_state=0)
    with pytest.raises(CollapseError, match=r"component \d collapsed.*row 30, row 31, .* and 6 more.*`reg_covar`") as e:
        mixture.fit(EQUAL)
    assert e.value.component in (0, 1)


def test_a_start_that_is_collapsed_names_its_rows_too():
    labels = np.repeat([0, 1], [30, 12])
    with pytest.raises(CollapseError, match=r"component 1 collapsed.*row 30"):
        GaussianMixture(2, reg_covar=0, init_params=labels).fit(EQUAL)


@pytest.mark.parametrize("family", ["full", "diag", "spherical"])
def test_with_the_floor_a_collapse_is_a_warning_that_names_component_and_rows(family):
    mixture = GaussianMixture(2, covariance_type=family, random_state=0)
    with pytest.warns(CollapseWarning, match=r"component \d: rows row 30, row 31, .* and 6 more"):
        mixture.fit(EQUAL)
    assert not mixture.admissible_
    assert mixture.status_ is solver.Status.COLLAPSED
    assert np.isfinite(mixture.score(EQUAL))


def test_warnings_point_at_the_line_that_fits():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        GaussianMixture(2, random_state=0).fit(EQUAL)
        GaussianMixture(2, random_state=0).fit_predict(EQUAL)
        GaussianMixture(2, random_state=0, max_iter=1).fit(GOOD)
    assert [warning.filename for warning in caught] == [__file__] * 3


def test_every_start_collapsing_is_an_error():
    with pytest.raises(CollapseError, match="every one of 3 starts collapsed"):
        GaussianMixture(2, reg_covar=0, n_init=3, random_state=0).fit(EQUAL)


def test_rows_out_of_every_reach_are_refused_by_name():
    """Their squared distance overflows: log densities would be NaN, and memberships too."""
    mixture = GaussianMixture(2, random_state=0).fit(GOOD)
    far = GOOD.iloc[:2].copy()
    far.loc[1, "width"] = 1e200
    with pytest.raises(ValueError, match=r"column 'width', row 1: 1e\+200"):
        mixture.score_samples(far)
    far.loc[1, "width"] = 0.1 * MOST_SPREADS
    assert -np.inf < mixture.score_samples(far)[1] < -1e3 * MOST_SPREADS
    assert mixture.predict_proba(far)[1].sum() == 1.0
