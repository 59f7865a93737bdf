"""Memberships of a fit and of a posterior: one implementation, so one draw is the fit."""

import dataclasses
import sys

import arviz_base
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import entr, logsumexp

import bayesgmm as bg
from bayesgmm.data.observations import as_new_observations, as_observations
from bayesgmm.em.estimator import GaussianMixture, from_parameters
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.questions.membership import membership
from bayesgmm.questions.summaries import sweep
from tests.support import noisy, oracle
from tests.support.posteriors import as_datatree, fake_posterior, one_draw


def draws_of(dt):
    """Memberships (S, N, K) draw by draw, by SciPy."""
    posterior = dt["posterior"].to_dataset().stack(s=("chain", "draw"), create_index=False)
    X = dt["observed_data"].to_dataset()["x"].values
    out = []
    for s in range(posterior.sizes["s"]):
        one = posterior.isel(s=s)
        p = oracle.MixtureParameters.from_covariances(
            one["weights"].values, one["means"].values, one["covariances"].values
        )
        out.append(oracle.memberships(X, p))
    return np.array(out)


@pytest.fixture(scope="module")
def by_hand():
    _, dt, _ = fake_posterior()
    return dt, draws_of(dt)


def test_the_probability_is_the_mean_over_draws(by_hand):
    dt, r = by_hand
    found = membership(dt)
    assert_allclose(found["probability"], r.mean(axis=0), atol=1e-9)
    assert_allclose(found["probability"].sum("component"), 1.0, rtol=1e-12)


def test_label_and_agreement_count_draws(by_hand):
    dt, r = by_hand
    found = membership(dt)
    label = r.mean(axis=0).argmax(axis=1)
    assert_array_equal(found["label"], label)
    assert_allclose(found["label_agreement"], (r.argmax(axis=2) == label).mean(axis=0), atol=1e-12)
    assert 0 < found["label_agreement"].min() < 1


@pytest.mark.parametrize("prob", [None, 0.5])
def test_intervals_are_quantiles_over_draws(by_hand, prob):
    dt, r = by_hand
    found = membership(dt, ci_prob=prob)
    used = arviz_base.rcParams["stats.ci_prob"] if prob is None else prob
    assert found.attrs["ci_prob"] == used
    lower, upper = np.quantile(r, [(1 - used) / 2, (1 + used) / 2], axis=0)
    assert_allclose(found["probability_lower"], lower, atol=1e-9)
    assert_allclose(found["probability_upper"], upper, atol=1e-9)


def test_intervals_follow_arvizs_settings(by_hand):
    dt, _ = by_hand
    wide, narrow = (membership(dt, ci_prob=prob) for prob in (0.95, 0.5))
    assert (wide["probability_lower"] <= narrow["probability_lower"]).all()
    with arviz_base.rc_context({"stats.ci_prob": 0.5}):
        assert membership(dt).equals(narrow)
    with arviz_base.rc_context({"stats.ci_kind": "hdi", "stats.ci_prob": 0.5}):
        hdi = membership(dt)
    width = {
        name: found["probability_upper"] - found["probability_lower"] for name, found in (("eti", narrow), ("hdi", hdi))
    }
    # the narrowest interval; quantiles interpolate between draws, where an HDI ends on them
    assert float(width["hdi"].mean()) < float(width["eti"].mean())


@pytest.mark.parametrize("name", ["faithful", "galaxies"])
def test_one_draw_is_the_fit(name):
    gm, dt, X = one_draw(name)
    bayes, fit = membership(dt), membership(gm, X)
    assert_allclose(fit["probability"], gm.predict_proba(X), atol=1e-13)
    assert_allclose(bayes["probability"], gm.predict_proba(X), atol=1e-10)
    assert_allclose(bayes["probability_lower"], bayes["probability_upper"], atol=1e-14)
    assert_array_equal(bayes["label"], gm.predict(X))
    assert_array_equal(bayes["label_agreement"], 1.0)


def test_a_fit_has_no_interval():
    gm, _, X = fake_posterior()
    found = membership(gm, X)
    assert set(found.data_vars) == {"probability", "label", "entropy", "log_density", "tail_probability"}
    assert "ci_prob" not in found.attrs
    with pytest.raises(ValueError, match="keeps no data: pass the rows as `X`"):
        membership(gm)


def test_dimensions_and_labels_are_those_of_the_rows():
    gm, dt, X = fake_posterior()
    found = membership(dt)
    assert found["probability"].dims == ("obs_id", "component")
    assert found["label"].dtype == np.int64
    assert_array_equal(found["obs_id"], np.arange(len(X)))
    frame = pd.DataFrame(X.values[:3], columns=["eruptions", "waiting"], index=["p", "q", "r"])
    for source in (dt, gm):
        new = membership(source, frame)
        assert new["obs_id"].values.tolist() == ["p", "q", "r"]
        assert_allclose(new["probability"], membership(source, X)["probability"][:3], atol=1e-12)


def test_rows_named_by_text_survive_in_the_posterior():
    gm, dt, X = fake_posterior()
    frame = pd.DataFrame(X.values, columns=["eruptions", "waiting"], index=[f"eruption {n}" for n in range(len(X))])
    named = as_datatree(
        gm,
        frame,
        oracle.MixtureParameters.from_covariances(
            *(dt["posterior"].to_dataset()[v].values for v in ("weights", "means", "covariances"))
        ),
    )
    assert membership(named)["obs_id"].values[:2].tolist() == ["eruption 0", "eruption 1"]


@pytest.mark.parametrize("wrong", [0.0, 1.0, 94])
def test_a_wrong_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="`ci_prob`"):
        membership(fake_posterior()[1], ci_prob=wrong)


def test_what_is_neither_fit_nor_posterior_is_refused():
    _, dt, X = fake_posterior()
    with pytest.raises(TypeError, match=r"expected a posterior .* or a fitted GaussianMixture"):
        membership(X)
    with pytest.raises(ValueError, match="fitted to"):
        membership(dt, X[:, ::-1])
    with pytest.raises(ValueError, match="not fitted"):
        membership(GaussianMixture(2), X)


def test_memberships_sum_to_one_draw_by_draw(rng):
    log_joint = rng.normal(scale=30, size=(50, 3, 40))
    mean, best, log_density = sweep(values := log_joint.copy())
    assert_allclose(values.sum(axis=1), 1.0, rtol=1e-12)
    assert_allclose(mean.sum(axis=0), 1.0, rtol=1e-12)
    assert_array_equal(best, log_joint.argmax(axis=1))
    assert_allclose(log_density, logsumexp(log_joint, axis=(0, 1)) - np.log(50), rtol=1e-12)


def test_rows_that_switch_are_counted_draw_by_draw(by_hand):
    dt, r = by_hand
    found = membership(dt, ci_prob=0.8)
    counts = (r.argmax(axis=2) != found["label"].values).sum(axis=1)
    assert_allclose(found["n_switched"], counts.mean())
    assert_allclose(found["n_switched"], (1 - found["label_agreement"]).sum())
    assert_allclose([found["n_switched_lower"], found["n_switched_upper"]], np.quantile(counts, [0.1, 0.9]))


def test_entropy_is_that_of_the_mean(by_hand):
    dt, r = by_hand
    found = membership(dt)
    assert_allclose(found["entropy"], entr(r.mean(axis=0)).sum(axis=1), atol=1e-9)
    assert 0 <= float(found["entropy"].min()) and float(found["entropy"].max()) <= np.log(2)


def test_the_em_value_stands_beside_whatever_the_order_of_its_components():
    gm, dt, X = fake_posterior()
    assert_allclose(membership(dt)["probability_em"], gm.predict_proba(X), atol=1e-10)
    other = dt.copy()
    other["em"] = dt["em"].to_dataset().isel(component=[1, 0]).assign_coords(component=[0, 1])
    assert_allclose(membership(other, X[:5])["probability_em"], gm.predict_proba(X[:5]), atol=1e-10)
    del other["em"]
    assert "probability_em" not in membership(other)


def test_tail_probability_of_one_component_is_chi_squared(rng):
    D, M = 3, 20_000
    root = rng.normal(size=(D, D))
    covariance = root @ root.T + np.eye(D)
    gm = from_parameters(np.ones(1), np.ones((1, D)), covariance[None])
    X = np.ones(D) + np.linspace(0, 3, 9)[:, None] * root[:, 0]
    squared = ((X - 1) @ np.linalg.inv(covariance) * (X - 1)).sum(axis=1)
    expected = stats.chi2.sf(squared, D)
    found = membership(gm, X, n_simulated=M)["tail_probability"].values
    # 5 standard errors, and the one row that is counted in
    assert (np.abs(found - expected) < 5 * np.sqrt(expected * (1 - expected) / M) + 1 / M).all()


def test_rows_of_the_mixture_have_uniform_tail_probabilities_and_strange_rows_small_ones():
    _, dt, X = fake_posterior()
    found = membership(dt)
    assert stats.kstest(found["tail_probability"], "uniform").pvalue > 1e-3
    strange = membership(dt, X.values[:2] + np.array([0, 60]))["tail_probability"]
    assert (strange == 1 / 2001).all()
    assert "tail_probability" not in membership(dt, n_simulated=0)
    assert membership(dt).equals(found)
    with pytest.raises(ValueError, match="`n_simulated` must be an integer"):
        membership(dt, n_simulated=-1)


@pytest.mark.parametrize("rows", ["complete", "with missing values", "ill-conditioned"])
@pytest.mark.parametrize("name, K", [("faithful", 2), ("galaxies", 3)])
def test_the_compiled_pass_is_numpys(name, K, rows, monkeypatch):
    _, dt, X = fake_posterior(name, K)
    new = X.values.copy()
    if rows == "with missing values" and name == "faithful":
        new[::3, 0] = np.nan
    if rows == "ill-conditioned":
        monkeypatch.setattr(sys.modules["bayesgmm.kernel.forms"], "LARGEST_CONDITION", 0.0)
    plain = membership(dt, new)
    monkeypatch.setattr(sys.modules["bayesgmm.questions.summaries"], "COMPILED_FROM", 0)
    fast = membership(dt, new)
    assert set(fast.data_vars) == set(plain.data_vars)
    for variable in plain.data_vars:
        assert_allclose(fast[variable], plain[variable], rtol=1e-9, atol=1e-12, err_msg=str(variable))


def test_highest_density_intervals_are_numpys_however_many_rows(monkeypatch):
    _, dt, _ = fake_posterior()
    with arviz_base.rc_context({"stats.ci_kind": "hdi"}):
        plain = membership(dt)
        monkeypatch.setattr(sys.modules["bayesgmm.questions.summaries"], "COMPILED_FROM", 0)
        assert membership(dt).equals(plain)


def test_without_intervals_the_rest_is_the_same():
    _, dt, _ = fake_posterior()
    full, short = membership(dt), membership(dt, intervals=False)
    assert set(full.data_vars) - set(short.data_vars) == {"probability_lower", "probability_upper"}
    assert short.equals(full[list(short.data_vars)])


@pytest.fixture(scope="module")
def with_noise():
    _, dt, draws, X = noisy.noisy_posterior()
    return dt, noisy.over_draws(noisy.memberships, X.values, draws)


@pytest.mark.parametrize("least", [0.0, np.inf])
def test_noise_takes_its_part_of_the_probability(with_noise, monkeypatch, least):
    # compiled, and in NumPy
    monkeypatch.setattr(sys.modules["bayesgmm.questions.summaries"], "COMPILED_FROM", least)
    dt, r = with_noise
    found = membership(dt)
    lower, upper = np.quantile(r, [0.055, 0.945], axis=0)
    for name, expected in (("", r.mean(axis=0)), ("_lower", lower), ("_upper", upper)):
        assert_allclose(found[f"probability{name}"], expected[:, :2], atol=1e-9)
        assert_allclose(found[f"noise_probability{name}"], expected[:, 2], atol=1e-9)
    assert_allclose(found["probability"].sum("component") + found["noise_probability"], 1.0, rtol=1e-12)
    assert_allclose(found["entropy"], entr(r.mean(axis=0)).sum(axis=1), atol=1e-9)


def test_noise_is_a_label_of_its_own(with_noise):
    dt, r = with_noise
    found = membership(dt)
    best = r.mean(axis=0).argmax(axis=1)
    assert_array_equal(found["label"], np.where(best == 2, -1, best))
    assert (found["label"][-noisy.N_NOISE :] == -1).mean() > 0.7
    assert_allclose(found["label_agreement"], (r.argmax(axis=2) == best).mean(axis=0), atol=1e-12)
    assert_allclose(found["n_switched"], (r.argmax(axis=2) != best).sum(axis=1).mean(), rtol=1e-12)


def test_a_row_outside_of_the_background_is_no_noise(with_noise):
    dt, _ = with_noise
    _, _, draws, X = noisy.noisy_posterior()
    outside = ~draws.noise.background.contains(X.values)
    assert outside.any()
    assert_array_equal(membership(dt)["noise_probability"][outside], 0.0)


def test_the_density_is_that_of_noise_too_and_so_are_the_rows_that_tails_are_judged_by(with_noise):
    dt, _ = with_noise
    _, _, draws, X = noisy.noisy_posterior()
    p = noisy.over_draws(noisy.density, X.values, draws).mean(axis=0)
    found = membership(dt, n_simulated=4000)
    assert_allclose(found["log_density"], np.log(p), atol=1e-9)
    # rows of the mixture themselves: their tail probabilities are uniform; two samples, each with its own error, 5 of
    # them, at a share that rows of noise alone would more than fill
    rows = np.concatenate([draw_rows(np.random.default_rng(s), draws[s], 40)[0] for s in range(draws.batch_shape[0])])
    tail = membership(dt, rows, n_simulated=4000)["tail_probability"].values
    error = np.sqrt(0.05 * 0.95 * (1 / len(rows) + 1 / 4000))
    assert abs((tail <= 0.05).mean() - 0.05) < 5 * error


def test_one_draw_with_noise_is_the_fit():
    gm, dt, X = noisy.one_noisy_draw()
    of_fit, of_draw = membership(gm, X), membership(dt)
    for name in ("probability", "noise_probability", "label", "entropy", "log_density", "tail_probability"):
        assert_allclose(of_fit[name], of_draw[name], atol=1e-12)
    assert_allclose(of_draw["noise_probability_em"], of_draw["noise_probability"], atol=1e-12)
    assert_allclose(of_draw["probability_em"], of_draw["probability"], atol=1e-12)


def test_missing_values_leave_the_noise_of_what_is_seen():
    _, dt, draws, X = noisy.noisy_posterior()
    rows = np.array(X.values[-4:])
    rows[:2, 0] = np.nan
    found = membership(dt, rows)
    seen = noisy.over_draws(noisy.memberships, rows[:2, 1:], draws.marginal([1])).mean(axis=0)
    whole = noisy.over_draws(noisy.memberships, rows[2:], draws).mean(axis=0)
    assert_allclose(found["noise_probability"], np.concatenate([seen, whole])[:, 2], atol=1e-9)


def test_a_mixture_without_noise_says_nothing_of_it(by_hand):
    assert not [name for name in membership(by_hand[0]) if "noise" in name]


def test_a_row_of_a_known_component_is_no_noise():
    fit, _, X = noisy.one_noisy_draw()
    known = np.full(len(X), -1)
    known[-5:] = [0, 1, 0, 1, 0]
    rows = dataclasses.replace(as_observations(X), known_labels=known)
    draws = MixtureParameters.stack([MixtureParameters.stack([fit.parameters_])])
    found, free = membership(as_datatree(fit, rows, draws)), membership(as_datatree(fit, X, draws))
    assert_array_equal(found["noise_probability"][-5:], 0.0)
    assert_array_equal(found["label"][-5:], known[-5:])
    assert_allclose(found["noise_probability"][:-5], free["noise_probability"][:-5], atol=1e-12)


def test_the_tail_of_a_row_is_among_rows_that_are_seen_alike():
    """With one component: the tail of chi-square, of as many degrees as values are seen, errors in the covariance."""
    X = bg.load_dataset("iris").values[:, :3]
    gm = bg.GaussianMixture(1).fit(X)
    mean, covariance = gm.means_[0], gm.covariances_[0]
    rows = X[:9].copy()
    rows[::3, 1] = np.nan
    rows[1::3, 0] = rows[1::3, 2] = np.nan
    errors = np.zeros((9, 3))
    errors[[2, 5]] = [0.2, 0.5, 1.0]
    observations = as_new_observations(rows, gm.parameters_.flat(), gm.feature_names, errors=errors)
    M = 4000
    # four kinds, and so a quarter of the rows for each
    found = membership(gm, observations, n_simulated=4 * M, progressbar=False)["tail_probability"]
    assert found.attrs["n_simulated"] == M
    for row, error, tail in zip(rows, errors, found.values, strict=True):
        o = ~np.isnan(row)
        spread = covariance[np.ix_(o, o)] + np.diag(error[o])
        distance = (row[o] - mean[o]) @ np.linalg.solve(spread, row[o] - mean[o])
        exact = stats.chi2.sf(distance, o.sum())
        assert abs(tail - exact) < 4 * np.sqrt(exact * (1 - exact) / M) + 1 / M


def test_rows_of_too_many_kinds_have_no_tail_but_the_complete_ones_do():
    X = bg.load_dataset("faithful")
    gm = bg.GaussianMixture(2, random_state=0).fit(X)
    errors = np.c_[np.arange(272) * 1e-3, np.zeros(272)]
    observations = as_new_observations(X, gm.parameters_.flat(), gm.feature_names, errors=errors)
    found = membership(gm, observations, progressbar=False)["tail_probability"].values
    assert_array_equal(np.isnan(found), np.arange(272) > 0)
    assert_allclose(found[0], membership(gm, X, progressbar=False)["tail_probability"].values[0])
