import json
import subprocess
import sys

import arviz as az
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm import sampling
from bayesgmm.datatree import meta, save
from bayesgmm.parameters import MixtureParameters
from tests.oracle import log_density

SETTINGS = {"draws": 300, "tune": 300, "chains": 2, "progressbar": False}


@pytest.fixture(scope="module")
def faithful() -> xr.DataArray:
    return bg.load_dataset("faithful")


@pytest.fixture(scope="module")
def posterior(faithful: xr.DataArray) -> xr.DataTree:
    return bg.sample_posterior(faithful, 2, random_seed=5, **SETTINGS)


def test_groups_dims_and_units_are_the_contract(posterior: xr.DataTree) -> None:
    wanted = {"posterior", "sample_stats", "log_likelihood", "observed_data", "em", "alignment"}
    assert wanted <= set(posterior.children)
    group = posterior["posterior"]
    assert group["weights"].dims == ("chain", "draw", "component")
    assert group["means"].dims == ("chain", "draw", "component", "feature")
    assert group["covariances"].dims == ("chain", "draw", "component", "feature", "feature_bis")
    assert posterior["log_likelihood/x"].dims == ("chain", "draw", "obs_id")
    assert posterior["observed_data/x"].dims == ("obs_id", "feature")
    assert list(group["feature"].values) == ["eruptions", "waiting"]
    assert group["means"].attrs["units"] == "min"
    assert {"diverging", "energy", "n_steps", "tree_depth", "acceptance_rate", "lp"} <= set(posterior["sample_stats"])


def test_meta_keeps_the_resolved_prior_and_where_the_time_went(posterior: xr.DataTree) -> None:
    stored = meta(posterior)
    prior = bg.Prior.from_dict(stored["prior"])
    assert prior.weights is not None and prior.means is not None and prior.covariances is not None
    assert bg.Prior.from_dict(json.loads(json.dumps(stored["prior"]))) == prior
    assert {"em", "model", "nuts", "nuts_compile", "nuts_sampling"} <= set(stored["seconds"])
    assert stored["interrupted"] is False


def test_the_pointwise_log_likelihood_is_the_log_density_of_each_draw(posterior: xr.DataTree) -> None:
    group, x = posterior["posterior"], posterior["observed_data/x"].values
    for chain, draw in [(0, 0), (1, 150), (1, 299)]:
        at = {"chain": chain, "draw": draw}
        drawn = (group[name].isel(at).values for name in ("weights", "means", "covariances"))
        expected = log_density(x, MixtureParameters.from_covariances(*drawn))
        np.testing.assert_allclose(posterior["log_likelihood/x"].isel(at), expected, rtol=1e-9)


def test_arviz_works_on_the_result_as_it_is(posterior: xr.DataTree) -> None:
    loo = az.loo(posterior)
    assert loo.n_data_points == 272
    summary = az.summary(posterior, var_names=["weights", "means"])
    assert len(summary) == 2 + 4


def test_draws_are_aligned_to_the_em_fit(posterior: xr.DataTree) -> None:
    means, em = posterior["posterior/means"], posterior["em/means"]
    assert (abs(means.mean(("chain", "draw")) - em) < 3 * means.std(("chain", "draw"))).all()
    assert float(posterior["alignment/margin"].min()) > 1.0


def test_same_seed_same_draws_on_one_core_or_two(faithful: xr.DataArray, posterior: xr.DataTree) -> None:
    for cores in (1, 2):
        again = bg.sample_posterior(faithful, 2, random_seed=5, cores=cores, **SETTINGS)
        for name in ("weights", "means", "covariances"):
            np.testing.assert_array_equal(again["posterior"][name], posterior["posterior"][name])


def test_a_given_start_is_the_em_group_and_the_reference_of_labels(faithful: xr.DataArray) -> None:
    em = bg.GaussianMixture(2, random_state=0).fit(faithful)
    flipped = bg.GaussianMixture(2, init_params=1 - em.predict(faithful)).fit(faithful)
    for start in (em, flipped):
        dt = bg.sample_posterior(
            faithful, 2, start=start, random_seed=1, draws=50, tune=100, chains=1, progressbar=False
        )
        np.testing.assert_allclose(dt["em/means"], start.means_)
        near = abs(dt["posterior/means"].mean(("chain", "draw")).values - start.means_) < 1.0
        assert near[:, 0].all()


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_every_family_in_one_dimension_and_two(covariance_type: str, faithful: xr.DataArray) -> None:
    for X in (faithful, faithful[:, :1]):
        dt = bg.sample_posterior(
            X, 2, covariance_type=covariance_type, random_seed=3, draws=60, tune=200, chains=2, progressbar=False
        )
        covariances = dt["posterior/covariances"].values
        D = X.shape[1]
        assert covariances.shape == (2, 60, 2, D, D)
        if covariance_type == "tied":
            np.testing.assert_allclose(covariances[:, :, 0], covariances[:, :, 1])
        if covariance_type in ("diag", "spherical") and D == 2:
            assert (covariances[..., 0, 1] == 0).all()


def test_every_function_gives_the_same_numbers_in_a_new_process(posterior: xr.DataTree, tmp_path) -> None:
    path = save(posterior, tmp_path / "posterior.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["posterior.nc"]
    script = f"""
import xarray as xr, numpy as np, bayesgmm as bg
with xr.open_datatree({str(path)!r}, engine="h5netcdf") as opened:
    dt = opened.load()
members, values = bg.membership(dt), bg.density(dt, [[3.0, 65.0], [2.0, 50.0]])
new = bg.generate(dt, n_datasets=3, random_seed=9)["posterior_predictive/x"]
print(members.probability_upper.values.sum().hex(), values.density_lower.values.sum().hex(), new.values.sum().hex())
"""
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    members, values = bg.membership(posterior), bg.density(posterior, [[3.0, 65.0], [2.0, 50.0]])
    new = bg.generate(posterior, n_datasets=3, random_seed=9)["posterior_predictive/x"]
    here = [members.probability_upper.values, values.density_lower.values, new.values]
    assert there == [float(part.sum()).hex() for part in here]


def test_a_chain_in_a_mode_of_its_own_is_kept_apart(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    assert sampling._split_modes(lp, has_elsewhere=True) == ([0, 1, 2, 3], [])
    lp[3] -= 20
    with pytest.warns(sampling.OtherModeWarning, match=r"(19|20)\.\d lower"):
        assert sampling._split_modes(lp, has_elsewhere=True) == ([0, 1, 2], [3])
    lp[1] -= 30
    with pytest.warns(sampling.OtherModeWarning, match="do not agree"):
        assert sampling._split_modes(lp, has_elsewhere=True) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "`n_components` must be an integer of at least 1; received 0"),
        ({"draws": 0}, "`draws` must be an integer of at least 1; received 0"),
        ({"chains": 1.5}, "`chains` must be an integer"),
        ({"cores": 0}, "`cores` must be an integer of at least 1"),
        ({"method": "gibbs"}, "`method` must be 'nuts'"),
        ({"covariance_type": "round"}, "`covariance_type` must be one of"),
        ({"start": "em"}, "`start` must be a fitted GaussianMixture"),
    ],
)
def test_bad_arguments_are_named_before_any_work(settings: dict, message: str, faithful: xr.DataArray) -> None:
    arguments = {"n_components": 2, "progressbar": False} | settings
    with pytest.raises(ValueError, match=message):
        bg.sample_posterior(faithful, **arguments)


def test_a_start_of_another_shape_is_refused(faithful: xr.DataArray) -> None:
    other_k = bg.GaussianMixture(3, random_state=0).fit(faithful)
    with pytest.raises(ValueError, match="`start` has 3 components, but n_components=2"):
        bg.sample_posterior(faithful, 2, start=other_k)
    other_columns = bg.GaussianMixture(2, random_state=0).fit(faithful.values)
    with pytest.raises(ValueError, match=r"\['x0', 'x1'\], but the data has \['eruptions', 'waiting'\]"):
        bg.sample_posterior(faithful, 2, start=other_columns)
