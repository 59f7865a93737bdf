"""The DataTree: what the contract says is in it, and every answer the same after a trip through a file."""

import json
import os
import stat
import subprocess
import sys

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior import datatree
from bayesgmm.questions.membership import membership
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture
from tests.support.posteriors import answers, as_datatree, fake_posterior, one_draw, scattered_draws

DIMS = {
    "weights": ("chain", "draw", "component"),
    "means": ("chain", "draw", "component", "feature"),
    "covariances": ("chain", "draw", "component", "feature", "feature_bis"),
}


@pytest.mark.parametrize("name", ["faithful", "galaxies"])
def test_groups_and_dimensions_are_the_contracts(name):
    gm, dt, X = fake_posterior(name)
    assert {"posterior", "sample_stats", "observed_data", "em", "alignment"} <= set(dt.children)
    for variable, dims in DIMS.items():
        assert dt["posterior"][variable].dims == dims
        assert dt["em"][variable].dims == dims[2:]
        assert_array_equal(dt["em"][variable], getattr(gm, f"{variable}_"))
    assert dt["observed_data"]["x"].dims == ("obs_id", "feature")
    assert_array_equal(dt["observed_data"]["x"], X)
    assert dt["alignment"]["permutation"].dims == ("chain", "draw", "component")
    assert dt["alignment"]["cost"].dims == ("chain", "draw")
    for group in dt.children.values():
        assert not set(group.data_vars) & set(group.dims), "a variable never bears a dimension's name"


def test_units_and_names_are_kept():
    _, dt, _ = fake_posterior()
    posterior = dt["posterior"].to_dataset()
    assert posterior["feature"].values.tolist() == posterior["feature_bis"].values.tolist() == ["eruptions", "waiting"]
    assert [posterior[v].attrs["units"] for v in DIMS] == ["1", "min", "(min) x (min)"]
    assert datatree.view(dt).units == ("min", "min")


def test_the_log_likelihood_of_the_fit_is_stored():
    gm, dt, X = fake_posterior()
    assert dt["em"].attrs["log_likelihood"] == pytest.approx(gm.score(X) * len(X))
    assert dt["em"].attrs["status"] == "CONVERGED"


def test_the_root_says_how_it_was_made_in_one_json_string():
    _, dt, _ = fake_posterior()
    assert isinstance(dt.attrs["bayesgmm"], str)
    said = datatree.meta(dt)
    assert said == json.loads(dt.attrs["bayesgmm"])
    assert (said["n_components"], said["covariance_type"], said["schema_version"]) == (2, "full", 1)
    with pytest.raises(ValueError, match="no root attribute 'bayesgmm'"):
        datatree.meta(xr.DataTree())
    assert datatree.meta(xr.DataTree(), missing_ok=True) == {}


def test_what_is_said_anew_replaces_what_was_and_keeps_the_version():
    dt = xr.DataTree()
    datatree.write_meta(dt, {"method": "nuts", "draws": 3})
    datatree.write_meta(dt, {"method": "laplace"})
    assert datatree.meta(dt) == {"schema_version": datatree.SCHEMA_VERSION, "method": "laplace"}
    dt.attrs["bayesgmm"] = '{"method": "nuts"}'
    assert datatree.meta(dt) == {"method": "nuts"}


def test_what_cannot_be_read_is_refused_with_the_reason():
    dt = xr.DataTree()
    dt.attrs["bayesgmm"] = "method nuts"
    with pytest.raises(ValueError, match="'bayesgmm' is not the JSON of `sample_posterior`: Expecting value"):
        datatree.meta(dt)
    datatree.write_meta(dt, {"schema_version": datatree.SCHEMA_VERSION + 1})
    with pytest.raises(ValueError, match="schema version 2, and this version of bayesgmm reads up to 1: update"):
        datatree.meta(dt)


def test_arviz_takes_it_as_it_is():
    _, dt, _ = fake_posterior()
    assert_allclose(arviz_stats.rhat(dt)["weights"], 1.0, atol=0.1)
    table = arviz_stats.summary(dt)
    assert "means[0, eruptions]" in table.index


def test_parameters_go_in_and_come_out():
    _, dt, _ = fake_posterior()
    out = datatree.posterior_parameters(dt)
    assert out.batch_shape == (2, 100)
    again = datatree.parameter_dataset(out, ("eruptions", "waiting"), ("min", "min"))
    for variable in DIMS:
        assert_array_equal(again[variable], dt["posterior"][variable])
    assert datatree.posterior_parameters(dt, "em").batch_shape == ()
    shuffled = dt.copy()
    shuffled["posterior"] = xr.DataTree(
        dt["posterior"].to_dataset().transpose("feature_bis", "feature", "component", "draw", "chain")
    )
    assert_array_equal(datatree.posterior_parameters(shuffled).means, out.means)


def test_a_fit_and_a_posterior_are_seen_alike():
    gm, dt, X = fake_posterior()
    fit, posterior = datatree.view(gm), datatree.view(dt)
    assert (fit.has_draws, posterior.has_draws) == (False, True)
    assert fit.parameters.batch_shape == (1,) and posterior.parameters.batch_shape == (200,)
    assert fit.feature_names == posterior.feature_names == ("eruptions", "waiting")
    assert fit.observations is None
    assert_array_equal(posterior.observe(None).values, X)


def test_what_has_no_mixture_in_it_is_refused_by_name():
    _, dt, _ = fake_posterior()
    with pytest.raises(TypeError, match="expected a posterior"):
        datatree.view({"weights": 1})
    with pytest.raises(ValueError, match="no group 'posterior'; it has"):
        datatree.view(xr.DataTree.from_dict({"prior": xr.Dataset()}))
    lacking = xr.DataTree.from_dict({"posterior": dt["posterior"].to_dataset().drop_vars("means")})
    with pytest.raises(ValueError, match=r"lacks \['means'\]"):
        datatree.view(lacking)


def test_saved_and_loaded_in_a_new_process_the_numbers_are_the_same(tmp_path):
    _, dt, _ = fake_posterior()
    path = datatree.save(dt, tmp_path / "posterior.nc")
    code = (
        "import json, sys, xarray as xr; from tests.support.posteriors import answers\n"
        "print(json.dumps(answers(xr.open_datatree(sys.argv[1]))))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    new = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(new.stdout) == answers(dt)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", "b", "c", "d", "e", "f"]),
        pd.Index([1.5, 2, 3, 4, 5, 6]),
        pd.date_range("2020-01-01", periods=6),
        pd.MultiIndex.from_product([["u", "v"], [1, 2, 3]]),
        pd.Index([1, "b", None, 4, 5, 6], dtype=object),
        pd.CategoricalIndex(list("abcdef")),
        pd.date_range("2020-01-01", periods=6, tz="UTC"),
    ],
    ids=["text", "numbers", "dates", "levels", "mixed", "categories", "zoned dates"],
)
def test_any_row_labels_can_be_saved(index, tmp_path, rng):
    gm, _, _ = one_draw()
    frame = pd.DataFrame(rng.normal([2, 60], 1, size=(6, 2)), columns=["eruptions", "waiting"], index=index)
    draws = scattered_draws(gm.parameters_, 50, rng, 1, 2)
    dt = as_datatree(gm, frame, draws)
    path = datatree.save(dt, tmp_path / "posterior.nc")
    with xr.open_datatree(path) as again:
        assert_array_equal(membership(again)["obs_id"], membership(dt)["obs_id"])


def test_the_pointwise_log_likelihood_is_a_group_of_its_own(rng):
    gm, _, X = one_draw()
    draws = scattered_draws(gm.parameters_, 50, rng, 2, 3)
    values = rng.normal(size=(2, 3, len(X)))
    dt = datatree.posterior_datatree(
        as_observations(X), draws, sample_stats={}, log_likelihood=values, em=gm, alignment={}, meta={}
    )
    assert dt["log_likelihood"]["x"].dims == ("chain", "draw", "obs_id")
    assert_array_equal(dt["log_likelihood"]["x"], values)


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    _, dt, _ = fake_posterior()
    path = tmp_path / "posterior.nc"
    path.write_bytes(b"old")

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", interrupted)
    with pytest.raises(KeyboardInterrupt):
        datatree.save(dt, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["posterior.nc"]


def test_a_saved_file_can_be_replaced_and_read_by_whom_the_system_says(tmp_path):
    _, dt, _ = fake_posterior()
    path = tmp_path / "posterior.nc"
    datatree.save(dt, path)
    assert datatree.save(dt, path) == path
    (tmp_path / "usual").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_units_of_one_attribute():
    assert datatree.unit_text(("mm", "mm")) == "mm"
    assert datatree.unit_text(("mm", "g")) == "mm, g"
    assert datatree.unit_text(("", "")) == ""


def test_labels_that_netcdf_takes():
    assert datatree.netcdf_labels(np.array([1, 2])).dtype.kind == "i"
    assert datatree.netcdf_labels(np.array(["2020-01-01"], dtype="datetime64[ns]")).dtype.kind == "M"
    assert datatree.netcdf_labels(np.array([1, None], dtype=object)).tolist() == ["1", "None"]
    assert datatree.netcdf_labels(np.array([True, False])).tolist() == ["True", "False"]


def test_one_dimension_keeps_every_axis():
    _, dt, _ = fake_posterior("galaxies")
    assert dt["posterior"]["covariances"].shape == (2, 100, 2, 1, 1)
    assert isinstance(datatree.view(dt).parameters, MixtureParameters)


@pytest.mark.parametrize("case", CASES)
def test_all_that_was_known_of_the_rows_comes_back_from_a_file(case, rng, tmp_path):
    p = mixture(rng, 2, 3)
    given = incomplete_rows(rng, CASES[case], p, 30)
    if given.known_labels is not None:
        names = np.array(["Adelie", "Gentoo", None], dtype=object)
        given = given._replace(known_labels=names[given.known_labels])
    observations = given.observations()
    fitted = GaussianMixture(
        2, max_iter=1, init_params=GaussianMixture.from_parameters(p.weights, p.means, p.covariances)
    )
    with pytest.warns(UserWarning):
        fitted.fit(observations)
    draws = scattered_draws(p, 30, rng, 1, 20)
    dt = datatree.posterior_datatree(
        observations,
        draws,
        sample_stats={"lp": np.zeros((1, 20))},
        log_likelihood=None,
        em=fitted,
        alignment=align(draws, p)._asdict(),
        meta={"n_components": 2, "known_components": [0]},
    )
    datatree.save(dt, tmp_path / "dt.nc")
    back = xr.load_datatree(tmp_path / "dt.nc")
    assert datatree.fixed_labels(back) == (0,)
    found = datatree.view(back).observations
    for name in ("values", "missing", "weights", "errors", "known_labels"):
        ours, theirs = getattr(found, name), getattr(observations, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            if name == "errors" and theirs.shape != ours.shape:
                theirs = np.broadcast_to(theirs, ours.shape)
            assert_array_equal(ours, theirs)
    assert found.label_names == observations.label_names
    expected = membership(dt, intervals=False)
    xr.testing.assert_allclose(membership(back, intervals=False), expected, rtol=1e-12)
    if given.known_labels is not None:
        known = observations.known_labels
        assert_array_equal(expected["label"].values[known >= 0], known[known >= 0])
