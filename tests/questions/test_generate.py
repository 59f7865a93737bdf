"""Generated data have the posterior predictive distribution: its moments, up to k standard errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest

import bayesgmm as bg
from bayesgmm.data.observations import as_observations
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import posterior_datatree
from bayesgmm.questions.generate import generate
from tests.support import noisy
from tests.support.incomplete_cases import incomplete_rows, mixture
from tests.support.posteriors import as_datatree, fake_posterior, one_draw

K_ERRORS = 5


def moments(dt):
    """Mean and covariance of each draw's mixture, (S, D) and (S, D, D)."""
    posterior = dt["posterior"].to_dataset().stack(s=("chain", "draw"), create_index=False)
    w, m, S = (posterior[name].transpose("s", "component", ...).values for name in ("weights", "means", "covariances"))
    mean = np.einsum("sk,ski->si", w, m)
    second = np.einsum("sk,skij->sij", w, S + m[..., :, None] * m[..., None, :])
    return mean, second - mean[:, :, None] * mean[:, None, :]


def test_has_the_moments_of_the_predictive_distribution():
    """The mean over datasets, with its error: between draws of the parameters plus within a dataset."""
    _, dt, _ = fake_posterior()
    mean, covariance = moments(dt)
    n, S = 50, 200  # every draw once
    x = generate(dt, n, n_datasets=S, random_seed=2)["posterior_predictive/x"].values[0]
    # every draw is used exactly once, so that the mean over datasets misses only what is random within each
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2).mean(axis=0) / (n * S))
    assert (np.abs(x.mean(axis=(0, 1)) - mean.mean(axis=0)) < K_ERRORS * error).all()


def test_the_spread_between_datasets_carries_what_is_unknown_about_the_parameters():
    """Var(dataset mean) = Var(mean | parameters) + E[covariance] / n, where the fit alone has only the second part."""
    gm, dt, _ = fake_posterior()
    mean, covariance = moments(dt)
    n, S = 2000, 200
    within = np.diagonal(covariance, axis1=1, axis2=2).mean(axis=0) / n
    expected = mean.var(axis=0) + within
    of_posterior, of_fit = (
        generate(source, n, n_datasets=S, random_seed=3)["posterior_predictive/x"].values[0].mean(axis=1).var(axis=0)
        for source in (dt, gm)
    )
    # a variance of S nearly normal numbers has relative standard error sqrt(2 / S)
    error = K_ERRORS * np.sqrt(2 / S)
    assert (np.abs(of_posterior / expected - 1) < error).all()
    assert (np.abs(of_fit / within - 1) < error).all()
    assert (of_posterior > 2 * of_fit).all()


def test_one_draw_is_the_fit():
    gm, dt, _ = one_draw()
    bayes, fit = (
        generate(source, 30, n_datasets=2, random_seed=1)["posterior_predictive"].to_dataset() for source in (dt, gm)
    )
    assert_allclose(bayes["x"], fit["x"], rtol=1e-9)
    assert_array_equal(bayes["component_label"], fit["component_label"])


def test_labels_say_which_component_a_row_came_from():
    gm, _, _ = fake_posterior()
    found = generate(gm, 3000, random_seed=0)["posterior_predictive"].to_dataset().isel(chain=0, draw=0)
    for k in range(2):
        rows = found["x"].values[found["component_label"].values == k]
        error = np.sqrt(np.diag(gm.covariances_[k]) / len(rows))
        assert (np.abs(rows.mean(axis=0) - gm.means_[k]) < K_ERRORS * error).all()


def test_has_the_dimensions_of_a_posterior_predictive_group():
    _, dt, X = fake_posterior()
    group = generate(dt, n_datasets=3, random_seed=0)["posterior_predictive"].to_dataset()
    assert group["x"].dims == ("chain", "draw", "obs_id", "feature")
    assert group["x"].shape == (1, 3, len(X), 2)
    assert group["component_label"].dims == ("chain", "draw", "obs_id")
    assert group["feature"].values.tolist() == ["eruptions", "waiting"]
    assert group["x"].attrs["units"] == "min"


def test_more_datasets_than_draws_use_draws_again():
    _, dt, _ = one_draw()
    assert generate(dt, 2, n_datasets=5)["posterior_predictive"].sizes["draw"] == 5


def test_the_seed_decides():
    _, dt, _ = fake_posterior()
    first, again, other = (generate(dt, 5, random_seed=seed)["posterior_predictive/x"] for seed in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)
    generator = np.random.default_rng(1)
    assert generate(dt, 5, random_seed=generator)["posterior_predictive/x"].equals(first)


@pytest.mark.parametrize("name", ["n_obs", "n_datasets"])
@pytest.mark.parametrize("wrong", [0, -3, 2.5, True])
def test_counts_are_positive_integers(name, wrong):
    with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1; received"):
        generate(fake_posterior()[1], **{"n_obs": 5, name: wrong})


def test_a_fit_does_not_know_how_many_rows_it_saw():
    gm, _, _ = fake_posterior()
    with pytest.raises(ValueError, match="no data"):
        generate(gm)


def test_conditional_rows_keep_what_is_given_and_have_the_conditional_moments():
    _, dt, _ = fake_posterior()
    n, S = 100, 200
    given = {"waiting": 70.0}
    made = generate(dt, n, n_datasets=S, given=given, random_seed=4)["posterior_predictive"].to_dataset()
    assert made["feature"].values.tolist() == ["eruptions", "waiting"]
    assert (made["x"].sel(feature="waiting") == 70.0).all()
    mean, covariance = moments(bg.conditional(dt, given))
    error = np.sqrt(covariance[:, 0, 0].mean() / (n * S))
    assert abs(made["x"].sel(feature="eruptions").mean().item() - mean.mean()) < K_ERRORS * error
    share = (made["component_label"] == 0).mean().item()
    weight = bg.conditional(dt, given)["posterior"]["weights"].isel(component=0).mean().item()
    assert abs(share - weight) < K_ERRORS * 0.5 / np.sqrt(n * S)


def test_plug_in_datasets_share_their_parameters():
    gm, dt, _ = fake_posterior()
    em = generate(dt, 40, parameters="em", random_seed=5)["posterior_predictive/x"]
    assert_allclose(em, generate(gm, 40, random_seed=5)["posterior_predictive/x"], rtol=1e-9)
    many = generate(dt, 1000, n_datasets=200, parameters="mean", random_seed=6)["posterior_predictive/x"].values[0]
    posterior = dt["posterior"].to_dataset().mean(("chain", "draw"))
    expected = (posterior["weights"] * posterior["means"]).sum("component").values
    error = many.reshape(-1, 2).std(axis=0) / np.sqrt(200_000)
    assert (np.abs(many.mean(axis=(0, 1)) - expected) < K_ERRORS * error).all()
    # the spread between datasets is that within one alone
    within = many.var(axis=1).mean(axis=0) / 1000
    assert (np.abs(many.mean(axis=1).var(axis=0) / within - 1) < K_ERRORS * np.sqrt(2 / 200)).all()


def test_labels_and_units():
    _, dt, _ = fake_posterior()
    made = generate(dt, 5, labels=False, random_seed=0)["posterior_predictive"].to_dataset()
    assert set(made.data_vars) == {"x"}
    assert made["unit"].values.tolist() == ["min", "min"]


def test_what_cannot_be_generated_is_named():
    gm, dt, _ = fake_posterior()
    with pytest.raises(ValueError, match="`parameters` is 'map'; use 'draws'"):
        generate(dt, 5, parameters="map")
    with pytest.raises(ValueError, match="no feature 'height'"):
        generate(gm, 5, given={"height": 1})
    with pytest.raises(ValueError, match="every feature is given"):
        generate(gm, 5, given={"waiting": 70, "eruptions": 3})
    with pytest.raises(ValueError, match="no group 'em'"):
        generate(dt.filter(lambda node: node.name != "em"), 5, parameters="em")


@pytest.mark.parametrize("kind", ["variances", "covariances"])
def test_measurement_errors_are_added_row_by_row_where_they_are_asked_for(rng, kind):
    """With errors the rows have the mixture's covariance and their own; without, the mixture's alone."""
    p = mixture(rng, 1, 2)
    given = incomplete_rows(rng, (kind,), p, 50)
    fitted = bg.GaussianMixture(1).fit(given.X, errors=given.errors)
    draws = p.flat()[None]
    dt = posterior_datatree(
        given.observations(),
        draws,
        sample_stats={"lp": np.zeros((1, 1))},
        log_likelihood=None,
        em=fitted,
        alignment=align(draws, p)._asdict(),
        meta={},
    )
    errors = given.errors if kind == "covariances" else given.errors[:, :, None] * np.eye(2)
    for with_errors, expected in ((True, p.covariances + errors), (False, p.covariances + 0 * errors)):
        made = generate(dt, n_datasets=2000, random_seed=1, measurement_errors=with_errors)[
            "posterior_predictive/x"
        ].values[0]
        for n in range(50):
            C = expected[n]
            error = np.sqrt((np.outer(np.diag(C), np.diag(C)) + C**2) / 2000)
            assert (np.abs(np.cov(made[:, n].T) - C) < K_ERRORS * error).all()


def test_errors_are_not_added_where_none_are_known():
    with pytest.raises(ValueError, match="`measurement_errors` is True"):
        generate(fake_posterior()[1], measurement_errors=True)


def test_noise_is_generated_in_its_share_and_its_place():
    _fit, dt, draws, _ = noisy.noisy_posterior()
    S, n = draws.batch_shape[0], 500
    made = generate(dt, n, n_datasets=S, random_seed=4)["posterior_predictive"].to_dataset()
    label, x = made["component_label"].values[0], made["x"].values[0]
    assert set(np.unique(label)) == {-1, 0, 1}
    # every draw is used once: the count's standard error, given the shares, to 5 of them
    pi = draws.noise.weight
    assert abs((label == -1).sum() - n * pi.sum()) < 5 * np.sqrt(n * (pi * (1 - pi)).sum())
    noise = x[label == -1]
    box = draws.noise.background
    assert box.contains(noise).all()
    # uniform in each feature, and independent: p-values of tests at 1e-4
    unit = (noise - box.lower) / (box.upper - box.lower)
    for j in range(2):
        assert kstest(unit[:, j], "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(unit.T)[0, 1]) < 4 / np.sqrt(len(unit))


def test_plugged_in_parameters_have_the_mean_share_of_noise():
    fit, dt, draws, _ = noisy.noisy_posterior()
    n = 20_000
    for how, share in (("mean", draws.noise.weight.mean()), ("em", fit.noise_weight_)):
        label = generate(dt, n, parameters=how, random_seed=0)["posterior_predictive/component_label"]
        assert abs(float((label == -1).mean()) - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_rows_given_a_feature_have_its_noise():
    fit, _, _, _ = noisy.noisy_posterior()
    given, n = fit.conditional({"waiting": 96}), 20_000
    label = generate(fit, n, given={"waiting": 96}, random_seed=0)["posterior_predictive/component_label"]
    share = given.noise_weight_
    assert 0.3 < share < 0.9
    assert abs(float((label == -1).mean()) - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_rows_of_noise_have_no_measurement_error():
    fit, _, X = noisy.one_noisy_draw()
    rows = as_observations(X, errors=np.full(X.shape, 400.0))
    draws = MixtureParameters.stack([MixtureParameters.stack([fit.parameters_])])
    dt = as_datatree(fit, rows, draws)
    made = generate(dt, 3000, random_seed=1, measurement_errors=True)["posterior_predictive"].to_dataset()
    label, x = made["component_label"].values.ravel(), made["x"].values.reshape(-1, 2)
    box = fit.parameters_.noise.background
    assert box.contains(x[label == -1]).all()
    assert not box.contains(x[label >= 0]).all()
