"""Tables with holes, of every kind, go through all that takes one: names, units and row labels come out again."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr

import bayesgmm as bg

RNG = np.random.default_rng(11)
VALUES = np.concatenate([RNG.normal([0, 10], [1, 2], (30, 2)), RNG.normal([8, 30], [1, 2], (30, 2))])
VALUES[3, 0] = VALUES[7, 1] = VALUES[40, 0] = np.nan
NAMES, LABELS = ["length", "time"], [f"r{n}" for n in range(60)]
FRAME = pd.DataFrame(VALUES, columns=NAMES, index=LABELS)
WITH_UNITS = FRAME.copy()
WITH_UNITS.attrs["units"] = {"length": "m", "time": "s"}
AXES = {"obs": LABELS, "feature": NAMES}

# table, names, units, row labels
PLAIN, BARE = (tuple(NAMES), ("", ""), LABELS), (("x0", "x1"), ("", ""), list(range(60)))
TABLES = {
    "array": (VALUES, BARE),
    "masked": (np.ma.masked_invalid(VALUES), BARE),
    "pandas": (WITH_UNITS, (tuple(NAMES), ("m", "s"), LABELS)),
    "nullable": (FRAME.convert_dtypes(), PLAIN),
    "objects": (FRAME.astype(object).where(FRAME.notna(), pd.NA), PLAIN),
    "polars": (pl.from_pandas(FRAME), (tuple(NAMES), ("", ""), list(range(60)))),
    "DataArray": (
        xr.DataArray(VALUES, dims=("obs", "feature"), coords={**AXES, "unit": ("feature", ["m", "s"])}),
        (tuple(NAMES), ("m", "s"), LABELS),
    ),
    "one unit": (
        xr.DataArray(VALUES, dims=("obs", "feature"), coords=AXES, attrs={"units": "mm"}),
        (tuple(NAMES), ("mm", "mm"), LABELS),
    ),
    "Dataset": (
        xr.Dataset({"length": ("obs", VALUES[:, 0], {"units": "m"}), "time": ("obs", VALUES[:, 1])}, {"obs": LABELS}),
        (tuple(NAMES), ("m", ""), LABELS),
    ),
}


@pytest.fixture(scope="module")
def reference():
    return bg.GaussianMixture(2, random_state=0).fit(VALUES)


def check_answers(source, X, names, units, labels):
    members = bg.membership(source, X, progressbar=False, n_simulated=0)
    assert members["obs_id"].values.tolist() == labels
    imputed = bg.impute(source, X, n_draws=20, random_seed=0)
    table = imputed["imputed"].to_dataset()
    assert table["obs_id"].values.tolist() == labels
    assert (tuple(table["feature"].values), tuple(table["unit"].values)) == (names, units)
    np.testing.assert_array_equal(table["hidden"] == 1, np.isnan(VALUES))
    completed = bg.completed_table(imputed, draw=3)
    assert (completed.index.tolist(), tuple(completed.columns)) == (labels, names)
    np.testing.assert_allclose(completed.values[~np.isnan(VALUES)], VALUES[~np.isnan(VALUES)])
    assert completed.notna().all(axis=None)
    return members


@pytest.mark.parametrize("kind", TABLES)
def test_a_fit_of_any_table_with_holes_keeps_what_the_table_says(kind, reference):
    X, (names, units, labels) = TABLES[kind]
    gm = bg.GaussianMixture(2, random_state=0).fit(X)
    assert (gm.feature_names, gm.units) == (names, units)
    np.testing.assert_allclose(gm.means_, reference.means_, rtol=1e-10)
    members = check_answers(gm, X, names, units, labels)
    np.testing.assert_allclose(members["probability"], reference.predict_proba(VALUES), atol=1e-10)
    best = bg.compare(X, [1, 2], covariance_type="VVV", n_init=1, random_state=0).best("bic")
    assert (best.n_components, best.feature_names, best.units) == (2, names, units)


@pytest.mark.parametrize("kind", ["nullable", "polars", "DataArray"])
def test_a_posterior_of_any_table_with_holes_keeps_what_the_table_says(kind):
    X, (names, units, labels) = TABLES[kind]
    dt = bg.sample_posterior(X, 2, method="laplace", draws=20, chains=2, random_seed=1, progressbar=False)
    observed = dt["observed_data/x"]
    assert (tuple(observed["feature"].values), tuple(observed["unit"].values)) == (names, units)
    assert observed["obs_id"].values.tolist() == labels
    np.testing.assert_array_equal(observed, VALUES)
    own, given = (check_answers(dt, rows, names, units, labels) for rows in (None, X))
    np.testing.assert_allclose(own["probability"], given["probability"], atol=1e-10)
