"""A posterior that is sound passes; each planted fault is found, named, and nothing else with it."""

import json

import arviz_stats
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import bayesgmm as bg
from bayesgmm.diagnostics.diagnose import diagnose
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior import datatree
from bayesgmm.posterior.align_labels import align_labels
from bayesgmm.posterior.datatree import posterior_parameters
from tests.support import noisy
from tests.support.posteriors import as_datatree, fake_posterior


def sound(K: int = 2) -> xr.DataTree:
    """Independent draws about a fit: nothing is amiss."""
    _, dt, _ = fake_posterior("faithful", K, chains=4, draws=250)
    dt = dt.copy(deep=True)
    shape = dt["posterior"]["weights"].shape[:2]
    rng = np.random.default_rng(5)
    dt["sample_stats"]["lp"][:] = rng.normal(size=shape)
    dt["sample_stats"]["energy"] = xr.DataArray(rng.normal(size=shape), dims=("chain", "draw"))
    return dt


def rebuilt(weights=None, means=None, covariances=None, K: int = 2) -> xr.DataTree:
    """The sound posterior with some of its parameters changed."""
    gm, _, X = fake_posterior("faithful", K, chains=4, draws=250)
    p = posterior_parameters(sound(K))
    changed = MixtureParameters.from_covariances(
        p.weights if weights is None else weights(p.weights.copy()),
        p.means if means is None else means(p.means.copy()),
        p.covariances if covariances is None else covariances(p.covariances.copy()),
    )
    return as_datatree(gm, X, changed)


def with_meta(dt: xr.DataTree, **facts) -> xr.DataTree:
    dt.attrs["bayesgmm"] = json.dumps(json.loads(dt.attrs["bayesgmm"]) | facts)
    return dt


def problems(dt: xr.DataTree) -> dict[str, str]:
    return {finding.name: finding.severity for finding in diagnose(dt).problems}


def test_a_sound_posterior_passes():
    found = diagnose(sound())
    assert found.ok and not found.problems
    assert {"R-hat", "effective sample size", "divergences", "E-BFMI", "labels"} <= {f.name for f in found.findings}
    assert "No problem found" in str(found)
    assert (found.components["identifiability"] > 0.99).all()
    assert found.components["rows"].sum() == pytest.approx(272, rel=0.01)


def test_numbers_are_arvizs():
    dt = sound()
    rows = diagnose(dt).table.set_index(["component", "quantity"])
    mean = dt["posterior"].dataset["means"].sel(component=1, feature="waiting")
    row = rows.loc[("component 1", "mean waiting [min]")]
    assert_allclose(row["rhat"], float(arviz_stats.rhat(mean)), rtol=1e-10)
    assert_allclose(row["ess_bulk"], float(arviz_stats.ess(mean)), rtol=1e-10)
    assert_allclose(row["ess_tail"], float(arviz_stats.ess(mean, method="tail", prob=(0.05, 0.95))), rtol=1e-10)
    lp = rows.loc[("", "log posterior")]
    assert_allclose(lp["rhat"], float(arviz_stats.rhat(dt["sample_stats"].dataset["lp"])), rtol=1e-10)


def test_numbers_at_the_rows_are_the_densities():
    dt = sound()
    found = diagnose(dt)
    density = bg.density(dt, datatree.view(dt).observations.values)["density"]
    assert len(found.density_rows) == 5
    for label in found.density_rows:
        drawn = found.table.set_index("quantity").loc[f"log density at row {label}", "mean"]
        # the mean of the logarithms, a little below the logarithm of the mean
        assert 0 <= np.log(float(density[int(label)])) - drawn < 0.5


def test_what_needs_no_labels_does_not_follow_them():
    dt = sound()
    p = posterior_parameters(dt)
    gm, _, X = fake_posterior("faithful", 2, chains=4, draws=250)
    order = np.random.default_rng(0).permuted(np.broadcast_to([0, 1], p.weights.shape), axis=-1)
    shuffled = as_datatree(gm, X, p.permute(order))
    here, there = (diagnose(tree).table.query("label_free and quantity != 'log posterior'") for tree in (dt, shuffled))
    # R-hat goes by ranks, which rounding can change
    assert_allclose(here[["mean", "sd", "rhat"]], there[["mean", "sd", "rhat"]], rtol=1e-3)
    # and aligning brings the others back
    assert diagnose(align_labels(shuffled)).table["rhat"].max() < 1.03


def test_a_chain_elsewhere():
    dt = rebuilt(means=lambda m: m + np.array([0.0, 0.0, 0.0, 5.0]).reshape(4, 1, 1, 1))
    found = diagnose(dt)
    assert found["R-hat"].severity == "error" and not found.ok
    assert found.findings[0].severity == "error"


def test_a_chain_kept_apart():
    dt = sound()
    assert "modes" not in problems(dt)
    elsewhere = dt["posterior"].to_dataset().isel(chain=[0]).copy(deep=True)
    elsewhere["means"] = elsewhere["means"] + 5.0
    dt["other_mode"] = xr.DataTree(elsewhere)
    assert "lower on average" in diagnose(dt)["modes"].seen


def test_optima_that_were_not_sampled():
    dt = sound()
    numbers = {"probability": ("mode", [0.8, 0.2]), "pareto_k": ("mode", [0.1, 0.2])}
    dt["modes"] = xr.DataTree(xr.Dataset(numbers))
    assert "the one sampled has probability 0.80" in diagnose(dt)["optima"].seen
    assert "probability 0.20" in diagnose(with_meta(dt, chain_modes=[1, 1, 0, 1]))["optima"].seen


def test_labels_of_components_that_are_alike():
    rng = np.random.default_rng(3)

    def alike(means):
        return means.mean(axis=(0, 1, 2)) + rng.normal(size=means.shape)

    dt = rebuilt(means=alike, covariances=lambda c: np.broadcast_to(c[:, :, :1], c.shape).copy())
    found = diagnose(dt)
    assert found["labels"].severity == "warning"
    assert (found.components["identifiability"] < 0.5).all()
    assert dt["posterior"].sizes["draw"] == 250


def test_a_component_without_rows():
    def emptied(weights):
        weights[:, ::4, 2] = 1e-9
        return weights / weights.sum(axis=-1, keepdims=True)

    found = diagnose(rebuilt(weights=emptied, K=3))
    assert "25% of the draws" in found["empty components"].seen
    assert found.components.loc[2, "empty"] == pytest.approx(0.25, abs=0.01)


def test_a_component_twice():
    def doubled(values):
        values[:, :, 1] = values[:, :, 0]
        return values

    found = diagnose(rebuilt(means=doubled, covariances=doubled, K=3))
    assert "100% of the draws" in found["duplicated components"].seen
    assert found.components.loc[0, "nearest"] == 1
    assert found.components.loc[0, "distance_upper"] == pytest.approx(0.0, abs=1e-8)


def test_ties_of_old_faithful_under_a_half_normal_prior():
    prior = bg.Prior(covariances=bg.priors.LKJ(2.0, sd=bg.priors.HalfNormal(5.0)))
    dt = with_meta(sound(), prior=prior.to_dict())
    assert problems(dt) == {"ties": "error"}
    assert "in column 'waiting' the value 78 occurs 15 times" in diagnose(dt)["ties"].seen


@pytest.mark.parametrize(("k", "expected"), [(0.2, {}), (0.95, {"k-hat": "error"})])
def test_an_approximation_has_k_hat_instead_of_chains(k, expected):
    dt = with_meta(sound(), method="laplace", laplace={"pareto_k": k})
    found = diagnose(dt)
    assert {p.name: p.severity for p in found.problems} == expected
    assert found.table["rhat"].isna().all()


def test_interrupted_sampling():
    dt = with_meta(sound(), interrupted=True, draws=1000, chains=4)
    assert problems(dt) == {"interruption": "warning"}
    assert "4 of 4 chains and 250 of 1000 draws" in diagnose(dt)["interruption"].seen


def test_one_chain_and_few_draws_say_what_cannot_be_said():
    gm, _, X = fake_posterior("faithful", 2, chains=4, draws=250)
    p = posterior_parameters(sound())
    one = diagnose(as_datatree(gm, X, p[:1]))
    assert one["number of chains"].severity == "warning"
    assert one.table["rhat"].isna().all() and one.table["ess_bulk"].notna().all()
    few = diagnose(as_datatree(gm, X, p[:, :3]))
    assert few["number of draws"].severity == "error"
    # three draws clear nothing
    assert few.findings == few.problems
    single = diagnose(as_datatree(gm, X, p[:1, :1]))
    assert single["number of draws"].seen.startswith("1 chain of 1 draw:")


def test_one_component():
    _, dt, _ = fake_posterior("galaxies", 1, chains=4, draws=250)
    found = diagnose(dt)
    assert found.ok
    assert "labels" not in {finding.name for finding in found.findings}


def test_saved_and_loaded_it_says_the_same(tmp_path):
    dt = sound()
    dt["sample_stats"]["diverging"][0, 0] = 1
    back = xr.load_datatree(datatree.save(dt, tmp_path / "posterior.nc"))
    assert str(diagnose(back)) == str(diagnose(dt))
    assert "1 of 1000 draws diverged" in str(diagnose(back))


def test_of_many_rows_some_are_looked_at(monkeypatch):
    whole = diagnose(sound())
    monkeypatch.setattr("bayesgmm.diagnostics.diagnose.MOST_ROWS", 100)
    some = diagnose(sound())
    assert "log likelihood of 100 rows" in set(some.table["quantity"])
    # rows held are brought up to the whole: 4 standard errors of a share of 100 rows
    share = whole.components.loc[0, "rows"] / 272
    error = np.sqrt(share * (1 - share) / 100)
    assert abs(some.components.loc[0, "rows"] / 272 - share) < 4 * error
    assert some.components["rows"].sum() == pytest.approx(272, rel=0.02)


def test_without_margins_the_draws_are_aligned_to_the_fit():
    dt = sound()
    expected = diagnose(dt).components["identifiability"]
    del dt["alignment"]
    assert_allclose(diagnose(dt).components["identifiability"], expected, atol=1e-9)


def test_units_do_not_matter():
    def scaled(factor):
        gm, _, X = fake_posterior("faithful", 2, chains=4, draws=250)
        p = posterior_parameters(sound()).affine(np.zeros(2), 1 / factor)
        fit = bg.from_parameters(*(getattr(gm.parameters_.affine(np.zeros(2), 1 / factor), n) for n in NAMES))
        fit.lower_bound_, fit.n_iter_ = 0.0, 1
        return diagnose(as_datatree(fit, X * factor, p))

    NAMES = ("weights", "means", "covariances")
    here, there = scaled(1.0), scaled(1e-4)
    assert here.sentences == there.sentences
    numbers = [column for column in here.components if column != "component"]
    assert_allclose(there.components[numbers], here.components[numbers], rtol=1e-5, atol=1e-6)


def test_what_is_no_posterior_is_refused():
    gm, dt, _ = fake_posterior()
    with pytest.raises(TypeError, match="only draws can be diagnosed"):
        diagnose(gm)
    bare = dt.copy()
    del bare["observed_data"]
    with pytest.raises(ValueError, match="no group 'observed_data'"):
        diagnose(bare)
    bare = dt.copy()
    bare.attrs = {}
    with pytest.raises(ValueError, match="no root attribute"):
        diagnose(bare)


def test_the_weight_of_noise_is_a_quantity_that_needs_no_labels():
    _, dt, draws, _ = noisy.noisy_posterior()
    found = diagnose(dt)
    row = found.table[found.table["quantity"] == "noise weight"]
    assert len(row) == 1
    assert row["label_free"].item()
    assert row["component"].item() == ""
    assert row["mean"].item() == pytest.approx(draws.noise.weight.mean())
    assert np.isfinite(row["rhat"].item())
    # the rows of both components together are those that are not noise
    r = noisy.over_draws(noisy.memberships, noisy.noisy_posterior()[3].values, draws)
    assert found.components["rows"].values == pytest.approx(np.median(r[:, :, :2].sum(axis=1), axis=0))
