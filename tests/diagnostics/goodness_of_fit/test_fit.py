"""Generated data matches where it should, and what does not match is named."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data.observations import as_observations
from bayesgmm.diagnostics.goodness_of_fit import goodness_of_fit
from bayesgmm.diagnostics.goodness_of_fit.loo import leave_one_out_pit
from bayesgmm.mixture.noise import Background, BackgroundError
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.posterior.datatree import view
from tests.support import noisy
from tests.support.posteriors import as_datatree, fake_posterior, scattered_draws

QUICK = {"n_datasets": 39, "random_seed": 1, "progressbar": False}


def fitted(X, K=2):
    return bg.GaussianMixture(K, random_state=0, n_init=2).fit(X)


@pytest.fixture(scope="module")
def from_the_model():
    X = draw_rows(np.random.default_rng(11), fake_posterior()[0].parameters_, 300)[0]
    return X, fitted(X)


def test_data_from_the_model_matches(from_the_model):
    X, gm = from_the_model
    found = goodness_of_fit(gm, X, **QUICK)
    assert found.matches and found.refitted
    assert found.verdict.startswith("Generated data matches the real in all 13 checks")
    assert found.verdict in str(found)
    assert found.n_rows == 300 and found.n_datasets == 39 and found.loo_pit is None
    assert list(found.table.columns) == [
        "check",
        "of",
        "data",
        "generated_low",
        "generated_high",
        "p_value",
        "p_adjusted",
        "matches",
    ]
    assert (found.table["p_adjusted"] >= found.table["p_value"] - 1e-12).mean() > 0.7


def ring(rng, n):
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * rng.normal(size=(n, 2))


def test_a_ring_does_not(rng):
    X = ring(rng, 300)
    found = goodness_of_fit(fitted(X), X, **QUICK)
    assert not found.matches
    failed = set(found.table["check"][~found.table["matches"]])
    assert {"pair", "neighbours"} <= failed
    assert "x0 and x1 go together in another way" in found.verdict


def test_heavy_tails_do_not(rng):
    X = rng.standard_t(2, size=(300, 2))
    found = goodness_of_fit(fitted(X), X, **QUICK)
    assert not found.matches
    assert "heavier tails than a normal" in found.verdict


def test_integers_do_not(rng):
    X = pd.DataFrame({"visits": rng.poisson(20, 300), "hours": rng.normal(size=300)})
    found = goodness_of_fit(fitted(X, 1), X, **QUICK)
    failed = found.table[~found.table["matches"]]
    assert failed[["check", "of"]].values.tolist() == [["rounding", "visits"]]
    assert "but it is not rounded: visits is recorded in steps of 1, generated values do not repeat" in found.verdict


def test_too_few_components_are_seen_on_new_rows_too(rng):
    X = np.concatenate([rng.normal(size=(200, 2)), rng.normal(6, 1, size=(200, 2))])
    half = rng.permutation(400)
    gm = fitted(X[half[:200]], 1)
    found = goodness_of_fit(gm, X[half[200:]], refit=False, **QUICK)
    assert not found.matches and not found.refitted
    assert set(found.table["check"][~found.table["matches"]]) >= {"marginal", "tails"}


def test_a_posterior_knows_its_rows():
    _, dt, X = fake_posterior()
    found = goodness_of_fit(dt, **QUICK)
    assert found.refitted and found.n_rows == len(X)
    assert found.table["check"][~found.table["matches"]].tolist() == ["rounding", "rounding"]
    assert "eruptions is recorded in steps of 0.001" in found.verdict
    assert found.loo_pit["loo_pit"].dims == ("obs_id", "feature")
    assert ((found.loo_pit["loo_pit"] >= 0) & (found.loo_pit["loo_pit"] <= 1)).all()
    assert (found.loo_pit["p_value"] > 1e-3).all()
    assert found.distances["observed"].dims == ("component", "probability")
    assert (found.distances["lower"] <= found.distances["upper"]).all()
    assert not goodness_of_fit(dt, X, **QUICK).refitted


def test_the_seed_decides(from_the_model):
    X, gm = from_the_model
    quick = {**QUICK, "n_datasets": 19}
    first, again, other = (goodness_of_fit(gm, X, **{**quick, "random_seed": s}).table for s in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)


def test_many_rows_are_sampled(from_the_model):
    X, gm = from_the_model
    assert goodness_of_fit(gm, X, max_rows=100, **{**QUICK, "n_datasets": 19}).n_rows == 100


def test_wrong_input_is_named(from_the_model):
    X, gm = from_the_model
    with pytest.raises(ValueError, match="keeps no data"):
        goodness_of_fit(gm)
    with pytest.raises(ValueError, match="`n_datasets` must be an integer of at least 19; received 5"):
        goodness_of_fit(gm, X, n_datasets=5)
    with pytest.raises(ValueError, match="3 rows are too few"):
        goodness_of_fit(gm, X[:3])
    with pytest.raises(ValueError, match="`level`"):
        goodness_of_fit(gm, X, level=0)


@pytest.fixture(scope="module")
def with_noise():
    p = fake_posterior()[0].parameters_
    box = Background.box(np.array([0.0, 30.0]), np.array([9.0, 130.0]))
    p = noisy.with_noise(p, 0.25, box)
    return draw_rows(np.random.default_rng(5), p, 400)[0], p


def test_data_with_noise_matches_a_mixture_that_has_it(with_noise):
    X, p = with_noise
    gm = bg.GaussianMixture(2, random_state=0, noise=p.noise.background).fit(X)
    assert goodness_of_fit(gm, X, **QUICK).matches
    bare = goodness_of_fit(bg.GaussianMixture(2, random_state=0).fit(X), X, **QUICK)
    assert not bare.matches


def test_leave_one_out_pit_of_noise_is_uniform(with_noise):
    X, p = with_noise
    rng = np.random.default_rng(2)
    draws = noisy.with_noise(
        scattered_draws(p, len(X), rng, 2, 100), rng.beta(100, 300, size=(2, 100)), p.noise.background
    )
    found = leave_one_out_pit(view(as_datatree(noisy.as_mixture(p, fake_posterior()[0]), X, draws)), np.zeros(2), rng)
    assert (found["p_value"] > 1e-3).all()


def test_noise_in_a_hull_is_refused():
    fit, _, _, X = noisy.noisy_posterior(hull=True, draws=10)
    with pytest.raises(BackgroundError, match="does not know noise in a hull yet"):
        goodness_of_fit(fit, X, **QUICK)


def test_rows_that_are_not_like_generated_ones_are_refused():
    X = bg.load_dataset("faithful")
    gm = bg.GaussianMixture(2, random_state=0).fit(X)
    holes = X.copy()
    holes[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"of the data row 3 are not: pass the complete rows as `X`"):
        bg.goodness_of_fit(gm, holes, n_datasets=19, progressbar=False)
    with pytest.raises(ValueError, match="measured with errors"):
        bg.goodness_of_fit(gm, as_observations(X, errors=[0.01, 1.0]), n_datasets=19, progressbar=False)
