"""Data are checked once, at the door; shift and scale are what NumPy says; the data themselves are never copied."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.checks import row_slices
from bayesgmm.data.observations import as_new_observations, as_observations
from bayesgmm.data.tables import DataError
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.strategies import mixtures, problems, random_mixture, random_rows, seeds

GOOD = np.array([[1.0, 5.0], [2.0, 4.0], [3.0, 9.0], [4.0, 1.0]])


@given(problem=problems())
def test_shift_and_scale_are_the_weighted_mean_and_root_mean_variance(problem):
    observations = problem.observations
    mean = np.average(observations.values, axis=0, weights=observations.weights)
    variances = np.average((observations.values - mean) ** 2, axis=0, weights=observations.weights)
    assert_allclose(observations.shift, mean, rtol=1e-12)
    assert_allclose(observations.variances, variances, rtol=1e-12)
    assert_allclose(observations.scale, np.sqrt(variances.mean()), rtol=1e-12)
    assert_allclose(observations.log_jacobian, observations.n_features * np.log(observations.scale), atol=1e-12)


@given(problem=problems())
def test_covariance_is_numpys(problem):
    observations = problem.observations
    weights = np.ones(observations.n_rows) if observations.weights is None else observations.weights
    expected = np.cov(observations.values.T, aweights=weights, bias=True)
    assert_allclose(
        observations.covariance(), expected.reshape(observations.covariance().shape), rtol=1e-10, atol=1e-12
    )


def test_moments_survive_a_mean_1e8_spreads_from_zero(rng):
    offsets = np.round(rng.normal(size=(10_000, 2)), 6)
    observations = as_observations(offsets + 1e8)
    assert_allclose(observations.shift - 1e8, offsets.mean(axis=0), atol=1e-7)
    # each value itself is rounded by up to 1e8 * eps / 2 = 7e-9
    assert_allclose(observations.variances, offsets.var(axis=0), rtol=1e-7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_blocks_are_standardised_in_double_precision_without_a_copy_of_the_data(rng, dtype, order):
    values = np.round(rng.normal(scale=50, size=(9000, 3))).astype(dtype, order=order)
    observations = as_observations(values)
    assert np.shares_memory(observations.values, values)
    out = np.empty((3, 40))
    assert observations.standard_block(slice(8950, 8990), out) is out
    expected = (values[8950:8990].astype(np.float64) - observations.shift) / observations.scale
    assert_allclose(out, expected.T, rtol=1e-14, atol=1e-15)


@given(problem=problems())
def test_to_standard_and_back_is_the_identity(problem):
    observations, parameters = problem
    standard = observations.to_standard(parameters)
    back = observations.from_standard(standard)
    assert_allclose(standard.means, (parameters.means - observations.shift) / observations.scale, atol=1e-12)
    assert_allclose(standard.covariances, parameters.covariances / observations.scale**2, rtol=1e-12)
    for name in ("weights", "means", "covariances", "precision_cholesky"):
        assert_allclose(getattr(back, name), getattr(parameters, name), rtol=1e-10, atol=1e-10)


def test_some_rows_keep_the_shift_and_scale_of_all(rng):
    frame = pd.DataFrame(random_rows(rng, 20, 2), columns=["a", "b"], index=[f"row {n}" for n in range(20)])
    observations = as_observations(frame, weights=np.arange(20.0))
    some = observations.take(np.array([3, 7, 7]))
    assert_array_equal(some.values, frame.to_numpy()[[3, 7, 7]])
    assert_array_equal(some.weights, [3, 7, 7])
    assert list(some.row_labels) == ["row 3", "row 7", "row 7"]
    assert (some.scale, some.shift.tolist()) == (observations.scale, observations.shift.tolist())
    assert some.unweighted().weights is None
    assert some.unweighted().total_weight == 3 and some.total_weight == 17


@given(n_rows=st.integers(1, 100), block=st.integers(1, 40))
def test_row_slices_cover_every_row_once(n_rows, block):
    slices = row_slices(n_rows, block)
    assert_array_equal(np.concatenate([np.arange(n_rows)[rows] for rows in slices]), np.arange(n_rows))
    assert all(0 < rows.stop - rows.start <= block for rows in slices)


def test_observations_pass_through_but_not_with_other_weights_or_features():
    observations = as_observations(pd.DataFrame(GOOD, columns=["length", "width"]))
    parameters = random_mixture(np.random.default_rng(0), 2, 2)
    assert as_observations(observations) is observations
    assert as_new_observations(observations, parameters, ("length", "width")) is observations
    with pytest.raises(DataError, match="carry their own"):
        as_observations(observations, weights=np.ones(4))
    with pytest.raises(DataError, match="same order"):
        as_new_observations(observations, parameters, ("width", "length"))
    with pytest.raises(DataError, match="X has 2 features"):
        as_new_observations(observations, parameters, ("width",))


@given(parameters=mixtures(batch=(3,)), seed=seeds)
def test_new_rows_are_seen_from_the_mixture_itself(parameters, seed):
    """Its mean and variance: laws of total expectation and variance, checked on the mixture of all batches."""
    X = np.random.default_rng(seed).normal(size=(1, parameters.n_features))
    names = tuple("abcd"[: parameters.n_features])
    observations = as_new_observations(X, parameters, names)
    means, variances = [], []
    for one in (parameters[s] for s in range(3)):
        centre = one.weights @ one.means
        means.append(centre)
        variances.append(
            sum(
                w * (np.diag(S) + (m - centre) ** 2)
                for w, m, S in zip(one.weights, one.means, one.covariances, strict=True)
            )
        )
    assert_allclose(observations.shift, np.mean(means, axis=0), atol=1e-12)
    assert_allclose(observations.scale, np.sqrt(np.mean(variances)), rtol=1e-12)
    assert observations.feature_names == names


def with_value(value):
    frame = pd.DataFrame(GOOD, columns=["length", "width"], index=["p", "q", "r", "s"])
    frame.loc["r", "width"] = value
    return frame


REFUSED = {
    "infinity": (with_value(-np.inf), "contains infinity: column 'width', row r"),
    "a row of NaN": (np.where(np.arange(4)[:, None] == 2, np.nan, GOOD), "row 2 of X have no value at all"),
    "a column of NaN": (np.where(np.arange(2) == 1, np.nan, GOOD), "column 'x1' has no value at all"),
    "constant": (pd.DataFrame(GOOD).assign(c=7), "column 'c' is constant .every value is 7"),
    "no rows": (GOOD[:0], r"0 sample\(s\).*no rows"),
    "no columns": (GOOD[:, :0], r"0 feature\(s\)"),
    "one row": (GOOD[:1], "at least 2 rows"),
    "too large": (GOOD * 1e160, "column 'x0' has variance .*rescale"),
    "too small": (GOOD * 1e-160, "column 'x0' has variance .*rescale"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_data_without_a_mixture_are_refused_by_column_and_row(kind):
    X, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        as_observations(X)


WRONG_WEIGHTS = {
    "too few": ([1.0, 1.0], r"sample_weight.shape == \(2,\), expected \(4,\)"),
    "a matrix": (np.ones((4, 1)), r"sample_weight.shape == \(4, 1\), expected \(4,\)"),
    "negative": ([1.0, -1.0, 1.0, 1.0], "not negative, received -1.0 in row 1"),
    "NaN": ([1.0, 1.0, np.nan, 1.0], "finite and not negative, received none in row 2"),
    "infinite": ([np.inf, 1.0, 1.0, 1.0], "finite and not negative, received inf in row 0"),
    "all zero": (np.zeros(4), "every weight is zero"),
    "text": (list("abcd"), "`sample_weight`. must be numbers"),
    "constant where it counts": ([1.0, 1.0, 0.0, 0.0], "column 'c' is constant"),
    "one row that counts": ([0.0, 1.0, 0.0, 0.0], "at least 2 rows"),
}


@pytest.mark.parametrize("kind", WRONG_WEIGHTS)
def test_weights_that_cannot_weigh_are_refused(kind):
    weights, message = WRONG_WEIGHTS[kind]
    with pytest.raises(DataError, match=message):
        as_observations(pd.DataFrame(GOOD, columns=["a", "b"]).assign(c=[0, 0, 1, 2]), weights=weights)


def test_a_single_weight_is_every_rows():
    assert_array_equal(as_observations(GOOD, weights=2).weights, np.full(4, 2.0))


def test_missing_values_are_marked_and_moments_are_of_the_others():
    X = np.where(GOOD == GOOD[1, 0], np.nan, GOOD)
    observations = as_observations(X)
    assert_array_equal(observations.missing, np.isnan(X))
    assert_allclose(observations.shift, np.nanmean(X, axis=0))
    assert_allclose(observations.variances, np.nanvar(X, axis=0))
    assert observations.incomplete
    assert not as_observations(GOOD).incomplete
    assert np.linalg.eigvalsh(observations.covariance())[0] > 0


WRONG_ERRORS = {
    "negative": (np.where(np.arange(8).reshape(4, 2) == 5, -1.0, 1.0), "error variance of column 'x1', row 2, is -1"),
    "NaN": (np.where(np.arange(8).reshape(4, 2) == 2, np.nan, 1.0), "column 'x0', row 1, is missing"),
    "too short": (np.ones((3, 2)), r"received shape \(3, 2\)"),
    "not positive": (np.broadcast_to([[1.0, 2.0], [2.0, 1.0]], (4, 2, 2)), "rows 0, 1, 2, 3 is not positive semidef"),
    "not symmetric": (np.broadcast_to([[1.0, 0.5], [0.0, 1.0]], (4, 2, 2)), "not symmetric"),
    "text": ([["a", "b"]] * 4, "`errors` must be numbers"),
}


@pytest.mark.parametrize("kind", WRONG_ERRORS)
def test_errors_that_are_no_covariances_are_refused(kind):
    errors, message = WRONG_ERRORS[kind]
    with pytest.raises(DataError, match=message):
        as_observations(GOOD, errors=errors)


def test_errors_of_a_feature_are_those_of_every_row():
    assert_array_equal(as_observations(GOOD, errors=[1.0, 4.0]).errors, np.tile([1.0, 4.0], (4, 1)))
    assert as_observations(GOOD, errors=np.zeros((4, 2))).errors is None


def test_known_labels_are_numbers_or_names():
    assert_array_equal(as_observations(GOOD, known_labels=[1, -1, np.nan, 0]).known_labels, [1, -1, -1, 0])
    named = as_observations(GOOD, known_labels=["b", None, "a", "b"])
    assert_array_equal(named.known_labels, [1, -1, 0, 1])
    assert named.label_names == ("a", "b")
    assert as_observations(GOOD, known_labels=[-1] * 4).known_labels is None
    for wrong, message in (
        ([0.5, 0, 0, 0], "label of row 0 is 0.5"),
        ([-2, 0, 0, 0], "-2"),
        ([0, 1], "one label for each"),
    ):
        with pytest.raises(DataError, match=message):
            as_observations(GOOD, known_labels=wrong)


def test_new_rows_may_be_few_or_constant_but_must_have_the_features():
    parameters = random_mixture(np.random.default_rng(0), 2, 2)
    names = ("length", "width")
    frame = pd.DataFrame(GOOD, columns=names)
    for X in (frame, frame.iloc[:1], GOOD, np.ones((3, 2))):
        assert as_new_observations(X, parameters, names).n_features == 2
    with pytest.raises(DataError, match=r"the columns are \['width', 'length'\].*fitted to \['length', 'width'\]"):
        as_new_observations(frame[["width", "length"]], parameters, names)
    with pytest.raises(DataError, match=r"X has 1 features, but \w+ is expecting 2 features as input .length, width."):
        as_new_observations(GOOD[:, :1], parameters, names)
    partial = as_new_observations(with_value(np.nan).reset_index(drop=True), parameters, names)
    assert partial.missing.sum() == 1
    with pytest.raises(DataError, match="no rows"):
        as_new_observations(GOOD[:0], parameters, names)


def test_a_fit_without_names_takes_any_names_but_not_its_own_in_another_order():
    parameters = random_mixture(np.random.default_rng(0), 2, 2)
    frame = pd.DataFrame(GOOD, columns=["length", "width"])
    assert as_new_observations(frame, parameters, ("x0", "x1")).feature_names == ("x0", "x1")
    with pytest.raises(DataError, match="same order"):
        as_new_observations(frame.set_axis(["x1", "x0"], axis=1), parameters, ("x0", "x1"))


def test_a_draw_far_from_the_others_does_not_break_the_view():
    far = MixtureParameters.from_covariances(np.ones((2, 1)), np.array([[[0.0]], [[1e9]]]), np.ones((2, 1, 1, 1)))
    observations = as_new_observations([[0.5]], far, ("a",))
    assert np.isfinite(observations.shift).all() and 0 < observations.scale < np.inf


def test_what_is_known_of_rows_is_made_once_for_each_key_and_goes_with_them():
    observations, made = as_observations(GOOD), []

    def make():
        made.append(len(made))
        return made[-1]

    assert [observations.remember(key, make) for key in ("a", ("b", 1), "a", ("b", 1))] == [0, 1, 0, 1]
    assert observations.unweighted().remember("a", make) == 2, "other rows know nothing of it"
    kept = weakref.ref(observations.remember("rows", lambda: as_observations(GOOD)).row_labels)
    del observations
    gc.collect()
    assert kept() is None


def test_weights_are_counts_where_they_are_whole():
    plain, whole, sampling = (as_observations(GOOD, weights=w) for w in (None, [1, 0, 2, 1], [0.5, 1, 1, 2]))
    np.testing.assert_array_equal(plain.counts, np.ones(4))
    assert whole.counts is whole.weights
    assert plain.has_whole_weights and whole.has_whole_weights and not sampling.has_whole_weights
