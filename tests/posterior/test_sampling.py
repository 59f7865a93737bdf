import json
import subprocess
import sys
import warnings
from collections.abc import Callable

import arviz as az
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.data.tables import DataError
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import meta, save, view
from bayesgmm.posterior.sampling import LaplaceWarning, PseudoPosteriorWarning
from tests.support.oracle import log_density

PRIOR_OF_FAITHFUL = bg.Prior(
    means=bg.priors.Normal((3.5, 70.0), (2.0, 27.0)),
    covariances=bg.priors.InverseWishart(4.0, ((0.6, 6.0), (6.0, 90.0))),
)
SETTINGS = {"draws": 300, "tune": 300, "chains": 2, "progressbar": False}


@pytest.fixture(scope="module")
def faithful() -> xr.DataArray:
    return bg.load_dataset("faithful")


@pytest.fixture(scope="module")
def posterior(faithful: xr.DataArray) -> xr.DataTree:
    return bg.sample_posterior(faithful, 2, random_seed=5, cores=2, **SETTINGS)


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
    assert list(stored["seconds"]) == ["em", "model", "compilation", "modes", "sampling", "alignment"]
    assert min(stored["seconds"].values()) > 0
    assert stored["interrupted"] is False and stored["whitened"] is True
    assert stored["log_likelihood_every"] == 1


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
    again = bg.sample_posterior(faithful, 2, random_seed=5, cores=1, **SETTINGS)
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


@pytest.mark.parametrize(("covariance_type", "D"), [("tied", 2), ("VEV", 2), ("diag", 1)])
def test_covariances_of_other_families_have_the_same_shape(covariance_type: str, D: int, faithful) -> None:
    """A few families, as each is compiled; what they say of every family is tested uncompiled."""
    dt = bg.sample_posterior(
        faithful[:, :D],
        2,
        covariance_type=covariance_type,
        random_seed=3,
        draws=60,
        tune=200,
        chains=2,
        progressbar=False,
    )
    covariances = dt["posterior/covariances"].values
    assert covariances.shape == (2, 60, 2, D, D)
    if covariance_type == "tied":
        np.testing.assert_allclose(covariances[:, :, 0], covariances[:, :, 1])
    if covariance_type == "VEV":
        values = np.linalg.eigvalsh(covariances)
        np.testing.assert_allclose(values[:, :, 0, 1] / values[:, :, 0, 0], values[:, :, 1, 1] / values[:, :, 1, 0])


@pytest.fixture(scope="module")
def approximation(faithful: xr.DataArray) -> xr.DataTree:
    return bg.sample_posterior(faithful, 2, method="laplace", random_seed=5, progressbar=False)


def test_laplace_agrees_with_nuts_on_separated_clusters(posterior: xr.DataTree, approximation: xr.DataTree) -> None:
    for name in ("weights", "means", "covariances"):
        nuts, laplace = posterior["posterior"][name], approximation["posterior"][name]
        assert laplace.dims == nuts.dims and laplace.sizes["chain"] == 4 and laplace.sizes["draw"] == 1000
        sd = nuts.std(("chain", "draw"))
        size = meta(approximation)["laplace"]["effective_size"]
        error = np.hypot(az.mcse(nuts.to_dataset())[name], sd / np.sqrt(size))
        z = (laplace.mean(("chain", "draw")) - nuts.mean(("chain", "draw"))) / error
        # 14 numbers, some twice: 4.5 standard errors
        assert float(abs(z).max()) < 4.5
        # the standard error of a standard deviation, from 400 effective draws of NUTS at the least, five times
        np.testing.assert_allclose(laplace.std(("chain", "draw")), sd, rtol=5 / np.sqrt(2 * 400))


def test_laplace_tells_its_k_hat_and_counts_its_passes(approximation: xr.DataTree) -> None:
    facts = meta(approximation)
    assert facts["laplace"]["pareto_k"] < 0.7 and facts["laplace"]["importance_draws"] == 4000
    p = facts["laplace"]["n_unconstrained"]
    assert p == 11
    assert facts["passes"]["modes"] <= 2 * 2 * p + 50
    assert {"lp", "log_p", "log_g"} == set(approximation["sample_stats"])
    assert float(approximation["modes/probability"].sum()) == pytest.approx(1.0)


def test_leave_one_out_of_the_approximation_is_that_of_nuts(posterior: xr.DataTree, approximation: xr.DataTree) -> None:
    def approximate(draws: slice) -> float:
        part = approximation.isel(draw=draws)
        stats = part["sample_stats"]
        return float(az.loo_approximate_posterior(part, log_p=stats["log_p"], log_q=stats["log_g"]).elpd)

    def exact(draws: slice) -> float:
        return float(az.loo(posterior.isel(draw=draws), pointwise=True).elpd)

    def error(estimate: Callable[[slice], float], n_draws: int) -> float:
        with warnings.catch_warnings():
            # of so few draws the largest k passes ArviZ's bar for them
            warnings.filterwarnings("ignore", message="Estimated shape parameter")
            fifths = [estimate(slice(n_draws * i // 5, n_draws * (i + 1) // 5)) for i in range(5)]
        return float(np.std(fifths, ddof=1) / np.sqrt(5))

    difference = approximate(slice(None)) - exact(slice(None))
    # four standard errors, themselves known from five parts of the draws each
    assert abs(difference) < 4 * np.hypot(error(approximate, 1000), error(exact, 300))


def test_an_approximation_survives_netcdf(approximation: xr.DataTree, tmp_path) -> None:
    path = save(approximation, tmp_path / "laplace.nc")
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        again = opened.load()
    assert meta(again) == meta(approximation)
    for group in ("posterior", "sample_stats", "importance", "modes"):
        xr.testing.assert_equal(again[group].to_dataset(), approximation[group].to_dataset())
    assert (bg.membership(again)["label"] == bg.membership(approximation)["label"]).all()


def test_laplace_in_one_dimension_with_one_component_is_the_posterior_by_quadrature() -> None:
    x = np.random.default_rng(3).normal(10.0, 2.0, size=60)
    prior = bg.Prior(means=bg.priors.Normal(8.0, 1.0), covariances=bg.priors.InverseWishart(6.0, 9.0))
    dt = bg.sample_posterior(x[:, None], 1, prior=prior, method="laplace", random_seed=1, progressbar=False)
    # InverseGamma(dof / 2, scale / 2) on the variance
    mu, variance = np.meshgrid(np.linspace(7, 12, 801), np.exp(np.linspace(np.log(1), np.log(16), 801)))
    log_p = -0.5 * (mu - 8.0) ** 2 - (3.0 + 1.0) * np.log(variance) - 4.5 / variance + np.log(variance)
    log_p -= 0.5 * 60 * np.log(variance) + 0.5 * ((x[:, None, None] - mu) ** 2).sum(axis=0) / variance
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    size = meta(dt)["laplace"]["effective_size"]
    for name, grid in (("means", mu), ("covariances", variance)):
        exact, drawn = (p * grid).sum(), dt["posterior"][name].values.ravel()
        assert abs(drawn.mean() - exact) < 4.5 * drawn.std() / np.sqrt(size)
        sd = np.sqrt((p * (grid - exact) ** 2).sum())
        assert drawn.std() == pytest.approx(sd, rel=5 / np.sqrt(size))


def test_a_posterior_that_is_no_gaussian_is_said_to_be_none() -> None:
    # two components where there is one: they can be anywhere
    x = np.random.default_rng(0).normal(size=(40, 2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dt = bg.sample_posterior(x, 2, method="laplace", random_seed=2, progressbar=False)
    said = [str(warning.message) for warning in caught if issubclass(warning.category, LaplaceWarning)]
    assert meta(dt)["laplace"]["pareto_k"] > 0.7
    assert len(said) == 1 and "not to be trusted. Use method='nuts'" in said[0]


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "`n_components` must be an integer of at least 1; received 0"),
        ({"draws": 0}, "`draws` must be an integer of at least 1; received 0"),
        ({"chains": 1.5}, "`chains` must be an integer"),
        ({"cores": 0}, "`cores` must be an integer of at least 1"),
        ({"method": "gibbs"}, "`method` must be 'nuts' or 'laplace'"),
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


def test_rows_wholly_missing_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="rows 3, 271 of X have no"):
        bg.sample_posterior(bg.load_dataset("penguins"), 3, **SETTINGS)


def test_nuts_takes_all_that_hides_a_part_of_the_data_at_once(tmp_path) -> None:
    """Penguins with missing values, errors, weights and some species known: components are the species."""
    X = bg.load_dataset("penguins").dropna("obs_id", how="all")
    rng = np.random.default_rng(4)
    species = X["species"].values.astype(object)
    known = np.where(rng.random(len(species)) < 0.3, species, None)
    weights = rng.integers(0, 3, size=len(species))
    hidden = rng.random(X.shape) < 0.1
    hidden[np.arange(len(X)), rng.integers(4, size=len(X))] = False
    errors = (0.2 * X.std("obs_id").values) ** 2
    settings = SETTINGS | {"draws": 200, "tune": 200}
    dt = bg.sample_posterior(
        X.where(~hidden), 3, weights=weights, errors=errors, known_labels=known, random_seed=1, **settings
    )
    said = meta(dt)
    assert said["weights"] == "frequency" and said["n_exchangeable"] == 0 and said["known_components"] == [0, 1, 2]
    assert float(az.rhat(dt["posterior"].to_dataset())["means"].max()) < 1.05
    assert (dt["alignment"]["permutation"] == np.arange(3)).all()
    save(dt, tmp_path / "dt.nc")
    back = xr.load_datatree(tmp_path / "dt.nc")
    label = bg.membership(back)["label"].values
    assert (np.unique(species)[label] == species).mean() > 0.95
    assert_rows_are_those_of_one_draw(back)
    filled = bg.impute(back, n_draws=50, random_seed=1)
    assert filled["imputed/hidden"].values.all() and np.isfinite(filled["imputed/x"]).all()
    new = bg.generate(back, measurement_errors=True, random_seed=1)["posterior_predictive/x"]
    assert new.sizes["obs_id"] == len(X)


def assert_rows_are_those_of_one_draw(dt: xr.DataTree) -> None:
    """The pointwise log likelihood is `map_rows` of the stored rows under the stored draws."""
    seen = view(dt)
    expected = map_rows(normalise, seen.observations, seen.parameters[7])
    np.testing.assert_allclose(dt["log_likelihood/x"].values.reshape(-1, len(expected))[7], expected, rtol=1e-10)


def test_sampling_weights_are_scaled_and_said_to_make_a_pseudo_posterior(faithful: xr.DataArray) -> None:
    weights = np.random.default_rng(1).random(len(faithful)) + 0.1
    settings = SETTINGS | {"method": "laplace", "random_seed": 1}
    with pytest.warns(PseudoPosteriorWarning, match="worth about .* equal rows"):
        dt = bg.sample_posterior(faithful, 2, weights=weights, **settings)
    assert meta(dt)["weights"] == "sampling"
    assert dt["constant_data/row_weights"].sum() == pytest.approx(len(faithful))
    with pytest.warns(PseudoPosteriorWarning):
        scaled = bg.sample_posterior(faithful, 2, weights=1e3 * weights, **settings)
    np.testing.assert_allclose(scaled["posterior/means"], dt["posterior/means"], rtol=1e-6)


def test_whole_weights_are_the_posterior_of_repeated_rows(faithful: xr.DataArray) -> None:
    """The same log density in both models, and so the same posterior; and the same mode where Laplace stands."""
    weights = np.random.default_rng(1).integers(0, 3, size=len(faithful))
    settings = SETTINGS | {"method": "laplace", "random_seed": 1, "prior": PRIOR_OF_FAITHFUL}
    one = bg.sample_posterior(faithful, 2, weights=weights, **settings)
    two = bg.sample_posterior(faithful.values[np.repeat(np.arange(len(faithful)), weights)], 2, **settings)
    for name in ("log_posterior", "log_evidence"):
        np.testing.assert_allclose(one["modes"][name][0], two["modes"][name][0], rtol=1e-4)
    np.testing.assert_allclose(one["modes/means"][0], two["modes/means"][0], rtol=1e-5)
