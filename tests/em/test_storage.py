"""A saved mixture answers the same to the last bit; a file that is none says so by its name."""

import json

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesgmm as bg
from bayesgmm.em.storage import SCHEMA, StorageError

TYPES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="module")
def X():
    return bg.load_dataset("faithful")


@pytest.fixture
def saved(tmp_path, X):
    path = tmp_path / "mixture.json"
    bg.GaussianMixture(2, random_state=0).fit(X).save(path)
    return path


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("table", ["labelled", "array"])
def test_a_loaded_mixture_is_the_saved_one_to_the_last_bit(covariance_type, table, X, tmp_path):
    data = X if table == "labelled" else np.asarray(X)
    mixture = bg.GaussianMixture(2, covariance_type=covariance_type, n_init=2, random_state=3, tol=1e-7).fit(data)
    mixture.sample(5)
    path = tmp_path / "mixture.json"
    mixture.save(path)
    loaded = bg.load(path)
    assert isinstance(loaded, bg.GaussianMixture)
    for method in ("predict_proba", "score_samples", "predict"):
        np.testing.assert_array_equal(getattr(loaded, method)(data), getattr(mixture, method)(data))
    assert loaded.bic(data) == mixture.bic(data)
    names = [name for name in vars(mixture) if name.endswith("_")]
    assert {name for name in vars(loaded) if name.endswith("_")} == set(names)
    for name in names:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(mixture, name), err_msg=name)
    assert loaded.get_params() == mixture.get_params()
    assert (loaded.feature_names, loaded.units) == (mixture.feature_names, mixture.units)
    for theirs, ours in zip(mixture.sample(7), loaded.sample(7), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    feature = mixture.feature_names[0]
    for theirs, ours in zip(mixture.marginal([feature]).sample(7), loaded.marginal([feature]).sample(7), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_mixture_without_a_seed_draws_anew_after_loading(X, tmp_path):
    bg.GaussianMixture(2).fit(X).save(tmp_path / "mixture.json")
    first, second = (bg.load(tmp_path / "mixture.json").sample(3)[0] for _ in range(2))
    assert (first != second).all()


def test_how_the_fit_ended_is_kept(X, tmp_path):
    mixture = bg.GaussianMixture(3, random_state=0, max_iter=3)
    with pytest.warns(ConvergenceWarning):
        mixture.fit(X)
    mixture.save(tmp_path / "mixture.json")
    loaded = bg.load(tmp_path / "mixture.json")
    assert loaded.status_ is mixture.status_ and not loaded.converged_ and not loaded.admissible_


def test_settings_that_are_arrays_are_left_out_and_the_mixture_still_fits(X, tmp_path):
    start = bg.GaussianMixture(2, random_state=0).fit(X)
    mixture = bg.GaussianMixture(np.int64(2), init_params=start, means_init=start.means_, max_iter=np.int64(50)).fit(X)
    mixture.save(tmp_path / "mixture.json")
    loaded = bg.load(tmp_path / "mixture.json")
    assert loaded.init_params == "kmeans" and loaded.means_init is None and loaded.max_iter == 50
    assert loaded.fit(X).converged_


def test_a_mixture_of_given_parameters_is_kept_with_its_names(tmp_path):
    mixture = bg.from_parameters([1.0], [[1.0, 2.0]], [np.eye(2)], feature_names=["a", "b"])
    mixture.save(tmp_path / "mixture.json")
    loaded = bg.load(tmp_path / "mixture.json")
    assert loaded.feature_names == ("a", "b") and loaded.lower_bounds_ == [] and np.isnan(loaded.lower_bound_)


def test_the_file_is_plain_json_that_says_what_it_is(saved):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(saved.read_text(encoding="utf-8"), parse_constant=refuse)
    assert document["kind"] == "bayesgmm.GaussianMixture" and document["schema"] == SCHEMA
    assert set(document["versions"]) == {"bayesgmm", "numpy", "scipy", "scikit-learn"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        bg.load(saved).save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def change(path, **values):
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **values}), encoding="utf-8")


def test_half_a_file_is_named(saved):
    saved.write_bytes(saved.read_bytes()[:300])
    with pytest.raises(StorageError, match=r"mixture\.json is not a mixture: it is not JSON, or only a part"):
        bg.load(saved)


@pytest.mark.parametrize("content", [b"\x89PNG\xff\xfe", b"", b"a,b\n1,2\n"])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    (tmp_path / "other.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"other\.json is not a mixture"):
        bg.load(tmp_path / "other.json")


@pytest.mark.parametrize("content", ["[1, 2]", "{}", '{"kind": "model"}', "null"])
def test_json_that_is_no_mixture_is_named(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(StorageError, match=r"other\.json is JSON, but not a mixture"):
        bg.load(tmp_path / "other.json")


def test_a_newer_file_asks_for_an_upgrade(saved):
    change(saved, schema=SCHEMA + 1, versions={"bayesgmm": "9.1"})
    with pytest.raises(StorageError, match=r"mixture\.json was written by bayesgmm 9\.1 .* upgrade"):
        bg.load(saved)


def test_a_missing_part_is_named(saved):
    document = json.loads(saved.read_text(encoding="utf-8"))
    del document["means"]
    saved.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(StorageError, match=r"mixture\.json is damaged: it has no 'means'"):
        bg.load(saved)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"weights": [0.9, 0.9]}, "sum to one"),
        ({"weights": [1.0]}, "must agree"),
        ({"means": "far"}, "could not convert"),
        ({"covariances": np.zeros((2, 2, 2)).tolist()}, "not positive definite"),
        ({"covariances": np.stack([np.eye(2)] * 2).tolist()}, "does not belong to `covariances`"),
        ({"feature_names": ["eruptions"]}, "1 feature names"),
        ({"settings": None}, "damaged"),
        ({"lower_bounds": 3}, "damaged"),
        ({"attributes": {"n_iter_": 1}}, "has no 'converged_'"),
        ({"attributes": {"converged_": True, "admissible_": True, "n_iter_": 1, "fit": 0}}, "`attributes` are.*fit"),
        ({"settings": {"colour": "red"}}, "does not know.*colour"),
        ({"settings": {"covariance_type": "round"}}, "does not know.*round"),
        ({"status": "TIRED"}, "does not know.*TIRED"),
        ({"sampler": {}}, "does not know"),
    ],
)
def test_wrong_contents_are_named_with_the_file(saved, values, message):
    change(saved, **values)
    with pytest.raises(StorageError, match=rf"(?s)mixture\.json .*{message}"):
        bg.load(saved)


def test_a_missing_file_is_the_operating_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        bg.load(tmp_path / "nowhere.json")
