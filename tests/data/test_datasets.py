"""The embedded data are the published ones: facts stated by others, not read from our own files."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from bayesgmm.data.datasets import load_dataset
from tests.support.truth import TRUTH

SHAPES = {
    "faithful": (272, 2),
    "galaxies": (82, 1),
    "iris": (150, 4),
    "penguins": (344, 4),
    "penguins_raw": (344, 6),
    "pulsars": (68, 1),
}
UNITS = {
    "faithful": ["min"] * 2,
    "galaxies": ["1000 km/s"],
    "iris": ["cm"] * 4,
    "penguins": ["mm"] * 3 + ["g"],
    "penguins_raw": ["mm"] * 3 + ["g", "‰", "‰"],
    "pulsars": ["M☉"],
}


@pytest.mark.parametrize("name", SHAPES)
def test_is_a_labelled_float_table_with_units_and_source(name):
    data = load_dataset(name)
    assert data.name == name
    assert data.dims == ("obs_id", "feature")
    assert data.shape == SHAPES[name]
    assert data.dtype == np.float64
    np.testing.assert_array_equal(data["obs_id"], np.arange(len(data)))
    assert data["unit"].dims == ("feature",)
    assert data["unit"].values.tolist() == UNITS[name]
    assert set(data.attrs) == {"title", "source", "licence"}


def test_faithful_has_the_summary_that_r_prints():
    data = load_dataset("faithful")
    assert data["feature"].values.tolist() == ["eruptions", "waiting"]
    np.testing.assert_allclose(data.mean("obs_id"), [3.488, 70.897], atol=5e-4)
    np.testing.assert_array_equal(data.min("obs_id"), [1.6, 43])
    np.testing.assert_array_equal(data.median("obs_id"), [4, 76])
    np.testing.assert_array_equal(data.max("obs_id"), [5.1, 96])


def test_galaxies_are_in_thousands_of_km_per_second_with_the_78th_corrected():
    velocity = load_dataset("galaxies").sel(feature="velocity").values
    assert (velocity.min(), velocity.max()) == (9.172, 34.279)
    assert velocity[77] == 26.960
    # R's MASS::galaxies has mean 20828.17 km/s, with 26690 for the 78th.
    np.testing.assert_allclose(1000 * velocity.mean() - 270 / 82, 20828.17, atol=5e-3)


def test_iris_has_the_published_class_means():
    data = load_dataset("iris")
    means = data.groupby("species").mean()
    assert means["species"].values.tolist() == ["setosa", "versicolor", "virginica"]
    published = [[5.006, 3.428, 1.462, 0.246], [5.936, 2.770, 4.260, 1.326], [6.588, 2.974, 5.552, 2.026]]
    np.testing.assert_allclose(means, published, atol=1e-12)
    # where the copy in wide circulation differs from Fisher's table
    np.testing.assert_array_equal(data[[34, 37]], [[4.9, 3.1, 1.5, 0.2], [4.9, 3.6, 1.4, 0.1]])


def test_penguins_have_the_counts_and_means_of_palmerpenguins():
    data = load_dataset("penguins")
    counted = {name: dict(zip(*np.unique(data[name], return_counts=True), strict=True)) for name in ("species", "sex")}
    assert counted["species"] == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    assert counted["sex"] == {"": 11, "female": 165, "male": 168}
    assert set(data["island"].values) == {"Biscoe", "Dream", "Torgersen"}
    assert set(data["year"].values) == {2007, 2008, 2009}
    np.testing.assert_allclose(data.mean("obs_id"), [43.92, 17.15, 200.9, 4202], rtol=3e-4)


def test_penguins_keep_their_two_rows_without_measurements():
    missing = load_dataset("penguins").isnull()
    assert int(missing.any("feature").sum()) == 2
    assert int(missing.all("feature").sum()) == 2


def test_penguins_raw_are_the_same_penguins_and_lack_the_isotopes_that_their_comments_say():
    raw, penguins = load_dataset("penguins_raw"), load_dataset("penguins")
    np.testing.assert_array_equal(raw[:, :4], penguins)
    for name in ("species", "island", "sex"):
        np.testing.assert_array_equal(raw[name], penguins[name])
    missing = raw.isnull()
    assert missing.sum("obs_id").values.tolist() == [2, 2, 2, 2, 14, 13]
    too_little = np.char.find(raw["comment"].values.astype(str), "Not enough blood for isotopes") >= 0
    assert missing.sel(feature="delta_15_n").values[too_little].all() and too_little.sum() == 9


def test_pulsars_have_the_masses_that_others_list_with_them():
    """Alsing, Silva and Berti (2018) list these, from the same measurements, with the same errors."""
    data = load_dataset("pulsars")
    by_star = {star: n for n, star in enumerate(data["star"].values.tolist())}
    elsewhere = {
        "J0337+1715": (1.4378, 0.0013),
        "J0348+0432": (2.01, 0.04),
        "J0437-4715": (1.44, 0.07),
        "J0751+1807": (1.72, 0.07),
        "J1012+5307": (1.83, 0.11),
        "J1802-2124": (1.24, 0.11),
        "J2234+0611": (1.393, 0.013),
        "J1807-2500B": (1.3655, 0.0021),
        "J1141-6545": (1.27, 0.01),
        "Vela X-1": (2.12, 0.16),
        "SMC X-1": (1.21, 0.12),
        "LMC X-4": (1.57, 0.11),
    }
    for star, (mass, error) in elsewhere.items():
        n = by_star[star]
        assert (data.values[n, 0], data["error_minus"].values[n], data["error_plus"].values[n]) == (mass, error, error)
    counted = dict(zip(*np.unique(data["kind"], return_counts=True), strict=True))
    assert counted == {"double neutron star": 22, "recycled pulsar": 27, "burster": 7, "slow pulsar": 12}
    assert data["error_plus"].attrs["units"] == "M☉"


@pytest.mark.parametrize("name", SHAPES)
def test_survives_netcdf(name, tmp_path):
    data = load_dataset(name)
    data.to_netcdf(tmp_path / "data.nc", engine="h5netcdf")
    again = xr.load_dataarray(tmp_path / "data.nc", engine="h5netcdf")
    xr.testing.assert_identical(again, data)


def test_each_call_gives_data_of_its_own():
    load_dataset("faithful").values[:] = 0.0
    assert float(load_dataset("faithful").min()) == 1.6


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'geyser'; the data sets are 'faithful', 'galaxies', 'iris', 'penguins', "):
        load_dataset("geyser")


@pytest.mark.parametrize(
    ("name", "file"), [("faithful", "faithful"), ("iris", "iris"), ("galaxies", "galaxies_corrected")]
)
def test_equals_the_data_of_the_outside_numbers(name, file):
    outside = np.genfromtxt(TRUTH / "data" / f"{file}.csv", delimiter=",", skip_header=1, ndmin=2)
    np.testing.assert_array_equal(load_dataset(name), outside[:, : SHAPES[name][1]])


def test_import_is_light():
    heavy = "{'pymc', 'pytensor', 'arviz'}"
    code = f"import sys, bayesgmm.data.datasets; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
