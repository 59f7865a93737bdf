"""Tables without holes: named as the data are, of expectations or of one draw."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from bayesgmm.data.datasets import load_dataset
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.questions.completed_table import completed_table
from bayesgmm.questions.impute import impute


@pytest.fixture(scope="module")
def fit():
    return GaussianMixture(2, random_state=0).fit(load_dataset("faithful"))


def test_holes_are_filled_with_expectations_or_with_a_draw(fit):
    rows = pd.DataFrame({"eruptions": [4.0, np.nan, 1.8], "waiting": [np.nan, 80.0, 50.0]}, index=["a", "b", "c"])
    imputed = impute(fit, rows, n_draws=50, random_seed=3)
    table = completed_table(imputed)
    assert table.columns.tolist() == ["eruptions", "waiting"] and table.index.tolist() == ["a", "b", "c"]
    conditional = fit.conditional({"eruptions": 4.0})
    assert_allclose(table.loc["a", "waiting"], conditional.weights_ @ conditional.means_[:, 0])
    drawn, values = completed_table(imputed, 7), imputed["posterior_predictive/x_hidden"].values[0, 7]
    assert [drawn.loc["a", "waiting"], drawn.loc["b", "eruptions"]] == values.tolist()
    assert drawn.loc["c"].tolist() == [1.8, 50.0]


def test_it_survives_netcdf_and_csv(fit, tmp_path):
    imputed = impute(fit, [[np.nan, 80.0], [2.0, 50.0]], n_draws=20, random_seed=1)
    imputed.to_netcdf(tmp_path / "imputed.nc", engine="h5netcdf")
    back = xr.load_datatree(tmp_path / "imputed.nc")
    pd.testing.assert_frame_equal(completed_table(back, 3), completed_table(imputed, 3))
    completed_table(imputed).to_csv(tmp_path / "table.csv")
    assert not pd.read_csv(tmp_path / "table.csv").isna().any(axis=None)


def test_what_is_no_draw_or_not_imputed_is_refused(fit):
    imputed = impute(fit, [[1.0, np.nan]], n_draws=5)
    for bad in (5, -1, True):
        with pytest.raises(ValueError, match="`draw` must be an integer from 0 to 4"):
            completed_table(imputed, bad)
    with pytest.raises(ValueError, match="what `impute` returns"):
        completed_table(xr.DataTree())
