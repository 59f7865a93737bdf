"""A comparison is the fits one would make by hand, side by side, with the doubtful ones shown as such."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.datasets import load_dataset
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import FAMILIES
from bayesgmm.selection.compare import compare
from tests.support.truth import TRUTH

COLUMNS = (
    "covariance_type n_components loglik n_parameters bic aic icl entropy converged admissible n_iter "
    "n_starts starts_at_best smallest_component status"
).split()


@pytest.fixture(scope="module")
def faithful():
    X = load_dataset("faithful")
    return X, compare(X, range(1, 4), n_init=2, random_state=0)


def test_has_a_row_for_each_model_in_the_order_asked_for(faithful):
    _, found = faithful
    assert list(found.table.columns) == COLUMNS
    grid = list(zip(found.table["covariance_type"], found.table["n_components"], strict=True))
    assert grid == [(family, k) for family in FAMILIES for k in (1, 2, 3)]
    assert set(found.fits) == set(grid)


def test_each_row_is_the_fit_one_makes_by_hand(faithful):
    X, found = faithful
    for row in found.table.itertuples():
        fit = found.fits[row.covariance_type, row.n_components]
        assert_allclose([row.bic, row.aic, row.icl], [fit.bic(X), fit.aic(X), fit.icl(X)], rtol=1e-12)
        assert_allclose(row.loglik, fit.score(X) * len(X), rtol=1e-12)
        assert_allclose(row.smallest_component, fit.weights_.min() * len(X), rtol=1e-12)
        assert (row.n_parameters, row.n_iter) == (fit.n_parameters_, fit.n_iter_)
        assert row.status == fit.status_.value or (row.converged and not row.admissible)
        assert (row.converged, row.admissible) == (fit.converged_, fit.admissible_)
    assert found.table["n_starts"].tolist() == [1 if k == 1 else 2 for k in found.table["n_components"]]
    assert found.table["starts_at_best"].between(0.5, 1.0).all()
    by_hand = GaussianMixture(3, covariance_type="VEV", init_params="hierarchical").fit(X)
    alone = compare(X, 3, covariance_type="VEV", n_init=1)
    assert_array_equal(alone.fits["VEV", 3].means_, by_hand.means_)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_the_best_is_the_smallest_admissible(faithful, criterion):
    _, found = faithful
    admissible = found.table[found.table["admissible"]]
    row = admissible.sort_values(criterion).iloc[0]
    assert found.best(criterion) is found.fits[row["covariance_type"], row["n_components"]]
    assert found.best() is found.best("bic")


def test_an_inadmissible_fit_never_wins():
    """Equal rows in a component of their own have an enormous likelihood."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 1)), np.full((20, 1), 4.0)])
    found = compare(X, [1, 2], covariance_type="full", random_state=0)
    spike = found.table.iloc[1]
    assert not spike["admissible"] and spike["bic"] < found.table.iloc[0]["bic"]
    assert "floor" in spike["status"]
    assert found.best().n_components == 1


def test_every_model_of_fewer_rows_than_columns_is_admissible_or_says_why_not():
    X = np.random.default_rng(0).normal(size=(30, 50))
    found = compare(X, [1, 2], n_init=2, random_state=0)
    assert len(found.table) == 28
    for row in found.table.itertuples():
        pooled = row.covariance_type in ("EII", "EEI")
        assert row.admissible == (pooled and row.smallest_component > 1), row.covariance_type
        assert row.admissible or "floor" in row.status or "too few for 50 features" in row.status, row.covariance_type
    alone = found.table.set_index(["covariance_type", "n_components"]).loc[("spherical", 1)]
    assert alone["converged"] and "expects 30 rows: too few for 50 features" in alone["status"]


def test_without_an_admissible_fit_there_is_no_best():
    X = np.repeat(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 4, axis=0)
    found = compare(X, 3, covariance_type="full", random_state=0, n_init=1)
    with pytest.raises(ValueError, match="no model gave an admissible fit"):
        found.best()


def test_finds_the_clusters_that_are_there():
    rng = np.random.default_rng(1)
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    X = centres[np.arange(240) % 3] + rng.normal(size=(240, 2))
    best = compare(X, range(1, 5), covariance_type=["spherical", "full"], n_init=3, random_state=0).best()
    assert (best.n_components, best.covariance_type) == (3, "spherical")


@pytest.mark.parametrize(("name", "most"), [("faithful", 5), ("iris", 9)])
def test_every_family_meets_or_beats_mclusts_best_bic(name, most):
    """From our own starts; the fit that does it is admissible. mclust looked at 1 to 9, and found 3 and 2 the best."""
    theirs = pd.read_csv(TRUTH / "mclust" / f"{name}_all_models.csv")["bic_mclust"].max()
    found = compare(load_dataset(name), range(1, most + 1), n_init=2, random_state=0)
    assert len(found.table) == 14 * most
    best = found.table[found.table["admissible"]].nsmallest(1, "bic").iloc[0]
    assert best["bic"] <= -theirs + 1e-6
    assert found.best() is found.fits[best["covariance_type"], best["n_components"]]
    assert best["smallest_component"] > found.best().means_.shape[1]


def test_one_feature_has_two_families():
    found = compare(load_dataset("galaxies"), range(1, 4), n_init=1)
    assert list(found.fits) == [(family, k) for family in ("E", "V") for k in (1, 2, 3)]
    with pytest.raises(ValueError, match="'V' is for one feature; the data has 2"):
        compare(load_dataset("faithful"), 2, covariance_type="V")


def test_weights_are_repeated_rows():
    X = load_dataset("faithful").values
    weights = np.arange(len(X)) % 3
    weighted = compare(X, [1, 2], covariance_type=["EEV", "VVI"], sample_weight=weights, n_init=1).table
    repeated = compare(np.repeat(X, weights, axis=0), [1, 2], covariance_type=["EEV", "VVI"], n_init=1).table
    for column in ("loglik", "bic", "aic", "icl", "entropy", "smallest_component"):
        assert_allclose(weighted[column], repeated[column], rtol=1e-5, err_msg=column)


def test_a_model_that_cannot_be_fitted_says_why_and_stops_no_other():
    X = np.concatenate([np.random.default_rng(0).normal(size=(40, 2)), np.full((10, 2), 9.0)])
    found = compare(X, [1, 2], covariance_type=["EII", "VVV"], reg_covar=0.0, n_init=1)
    failed = found.table.set_index(["covariance_type", "n_components"]).loc[("full", 2)]
    assert np.isnan(failed["loglik"]) and not failed["admissible"]
    assert "collapsed" in failed["status"]
    assert found.best().covariance_type == "EII"


def test_mclusts_own_best_of_these_families_is_found():
    """BIC is no worse than the best of mclust's converged fits, and prefers the same mixture: EEE, 3 components."""
    X = load_dataset("faithful")
    theirs = pd.read_csv(TRUTH / "mclust" / "faithful_tight.csv").query("model in ['VVV', 'EEE'] and G <= 4")
    found = compare(X, range(1, 5), covariance_type=["VVV", "EEE"], n_init=3, random_state=0)
    assert found.table.loc[found.table["admissible"], "bic"].min() <= -theirs["bic_mclust"].max() + 1e-4
    assert (found.best().covariance_type, found.best().n_components) == ("tied", 3)


@pytest.mark.parametrize(
    ("counts", "families"),
    [(2, "tied"), (np.int64(2), "EEE"), ([2], ["tied"]), (np.array([2]), ("EEE",)), (range(2, 3), iter(["tied"]))],
)
def test_one_model_can_be_asked_for_in_many_ways(counts, families):
    found = compare(load_dataset("galaxies"), counts, covariance_type=families, n_init=1, random_state=0)
    assert list(found.fits) == [("tied", 2)]


def test_names_survive_and_the_best_predicts_frames_in_silence():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 2)), columns=["a", "b"])
    best = compare(frame, [1], covariance_type="full", random_state=0).best()
    assert best.feature_names == ("a", "b")
    assert_array_equal(best.predict(frame), np.zeros(50))


def test_progress_is_told_after_each_model():
    told = []
    compare(load_dataset("galaxies"), [1, 2], covariance_type="full", n_init=1, on_fit=lambda *seen: told.append(seen))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": []}, "nothing to compare"),
        ({"covariance_type": []}, "nothing to compare"),
        ({"n_components": [1, 0]}, "`n_components`.*received 0"),
        ({"n_components": [1, 1.5]}, "`n_components`.*received 1.5"),
        ({"n_components": True}, "`n_components`.*received True"),
        ({"n_components": [1, 100]}, "n_components=100 needs at least 100 rows"),
        ({"covariance_type": ["full", "round"]}, "`covariance_type`.*received 'round'"),
    ],
)
def test_every_model_is_checked_before_the_first_is_fitted(settings, message):
    told = []
    with pytest.raises(ValueError, match=message):
        compare(load_dataset("galaxies"), **{"on_fit": lambda *seen: told.append(seen), **settings})
    assert told == []


def test_an_unknown_criterion_is_answered_with_the_known_ones(faithful):
    with pytest.raises(ValueError, match="one of bic, aic, icl; received 'loo'"):
        faithful[1].best("loo")
