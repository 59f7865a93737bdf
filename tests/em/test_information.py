from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.information import observed_information
from bayesgmm.kernel.natural import pair_indices
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture, slow_log_density
from tests.support.oracle import log_density, log_joint


def log_likelihood_along(X, fit, information, step, weights=None):
    """The oracle's log-likelihood, `step` (p,) away from a fit in the coordinates of its information."""
    p, (K, D) = fit.parameters_, information.shape
    moves = np.split((information.directions @ step)[:-1], [K, K + K * D])
    moved = MixtureParameters.from_covariances(
        p.weights + moves[0], p.means + moves[1].reshape(K, D), p.covariances + moves[2].reshape(K, D, D)
    )
    values = log_density(np.asarray(X), moved)
    return float(values.sum() if weights is None else weights @ values)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII", "EEI"])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_minus_the_second_difference_of_the_oracles_log_likelihood(covariance_type, weighted):
    X = np.asarray(load_dataset("iris"))[::2, :3]
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2.0, len(X)) if weighted else None
    # not at a maximum: the formula does not ask for one
    fit = GaussianMixture(2, covariance_type=covariance_type, random_state=0, tol=1e-2).fit(X)
    information = observed_information(as_observations(X, weights=weights), fit)
    assert information.matrix.shape == (fit.n_parameters_, fit.n_parameters_)
    scale = 1 / np.sqrt(np.abs(np.diag(information.matrix)))
    for _ in range(6):
        direction = scale * rng.normal(size=len(scale))
        h = 1e-2 / np.sqrt(len(scale))
        values = [log_likelihood_along(X, fit, information, t * h * direction, weights) for t in (-2, -1, 0, 1, 2)]
        second = (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * h**2)
        exact = direction @ information.matrix @ direction
        assert abs(exact + second) < 1e-4 * (direction / scale) @ (direction / scale)


def test_one_component_has_the_textbook_standard_errors():
    X = load_dataset("faithful")
    fit = GaussianMixture(1).fit(X)
    N, S = len(X), fit.covariances_[0]
    errors = observed_information(X, fit).standard_errors()
    np.testing.assert_allclose(errors.means[0], np.sqrt(np.diag(S) / N), rtol=1e-6)
    np.testing.assert_allclose(errors.covariances[0], np.sqrt((S**2 + np.outer(np.diag(S), np.diag(S))) / N), rtol=1e-6)
    assert errors.weights == 0


def test_units_do_not_matter():
    X = np.asarray(load_dataset("faithful"))
    fit = GaussianMixture(2, random_state=0, tol=1e-10).fit(X)
    other = GaussianMixture(2, random_state=0, tol=1e-10, init_params=fit.predict(X)).fit(X * [1e-4, 1e3])
    here, there = (observed_information(*pair).standard_errors() for pair in ((X, fit), (X * [1e-4, 1e3], other)))
    order = np.argsort(fit.means_[:, 0])
    np.testing.assert_allclose(there.means[np.argsort(other.means_[:, 0])] / [1e-4, 1e3], here.means[order], rtol=1e-4)
    assert 0.02 < here.weights[0] < 0.04
    np.testing.assert_allclose(here.weights[0], here.weights[1])


def test_what_it_cannot_do_is_said():
    X = np.asarray(load_dataset("faithful"))
    with pytest.raises(ValueError, match=r"linear space.*received 'VEV'"):
        observed_information(X, GaussianMixture(2, covariance_type="VEV", random_state=0).fit(X))
    nowhere = GaussianMixture.from_parameters([0.5, 0.5], np.zeros((2, 2)) + X.mean(0), [np.cov(X.T)] * 2)
    with pytest.raises(ValueError, match="no maximum of the likelihood"):
        observed_information(X, nowhere).standard_errors()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_rows_that_hide_more_have_the_second_difference_of_what_they_show(case, covariance_type, rng):
    truth = mixture(rng, 2, 3, apart=1.5)
    given = incomplete_rows(rng, CASES[case], truth, 80)
    observations = given.observations()
    fit = GaussianMixture(2, covariance_type=covariance_type, init_params=given.components, tol=1e-2)
    fit.fit(given.X, sample_weight=given.weights, errors=given.errors, known_labels=given.known_labels)
    information = observed_information(observations, fit)
    p, (K, D) = fit.parameters_, information.shape
    weights = np.ones(len(given.X)) if given.weights is None else given.weights

    def along(step):
        moves = np.split((information.directions @ step)[:-1], [K, K + K * D])
        moved = MixtureParameters.from_covariances(
            p.weights + moves[0], p.means + moves[1].reshape(K, D), p.covariances + moves[2].reshape(K, D, D)
        )
        return float(weights @ slow_log_density(observations, moved))

    scale = 1 / np.sqrt(np.abs(np.diag(information.matrix)))
    direction = scale * rng.normal(size=len(scale))
    h = 1e-2 / np.sqrt(len(scale))
    values = [along(t * h * direction) for t in (-2, -1, 0, 1, 2)]
    second = (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * h**2)
    assert abs(direction @ information.matrix @ direction + second) < 1e-4 * (direction / scale) @ (direction / scale)


def test_noise_is_one_number_more():
    """A box around the data: the share of noise, of one component, against differences of the log-likelihood."""
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(size=(150, 2)), rng.uniform(-8, 8, size=(60, 2))])
    fit = GaussianMixture(1, noise="box", tol=1e-13).fit(X)
    information = observed_information(X, fit)
    assert information.matrix.shape == (6, 6) == (fit.n_parameters_,) * 2
    p, log_volume = fit.parameters_, fit.noise_background_.log_volume
    i, j = pair_indices(2)

    def rows(free):
        covariance = np.empty((2, 2))
        covariance[i, j] = covariance[j, i] = free[2:5]
        density = np.exp(multivariate_normal(free[:2], covariance).logpdf(X))
        return np.log((1 - free[5]) * density + free[5] * np.exp(-log_volume))

    here = np.concatenate([p.means[0], p.covariances[0][i, j], [fit.noise_weight_]])
    h, slow = 1e-3, np.empty((6, 6))
    for a in range(6):
        for b in range(6):
            moves = [(s * h * np.eye(6)[a] + t * h * np.eye(6)[b], s * t) for s in (1, -1) for t in (1, -1)]
            slow[a, b] = -sum(sign * rows(here + move).sum() for move, sign in moves) / (4 * h**2)
    np.testing.assert_allclose(information.matrix, slow, rtol=1e-3, atol=1e-3 * np.abs(slow).max() ** 0.5)
    assert information.standard_errors().noise_weight == pytest.approx(np.sqrt(np.linalg.inv(slow)[5, 5]), rel=1e-3)


def test_noise_at_its_edge_is_said():
    fit = GaussianMixture(1, noise="box").fit(load_dataset("faithful"))
    edge = replace(fit.parameters_, noise=replace(fit.parameters_.noise, weight=np.array(0.0)))
    fit._parameters = edge
    with pytest.raises(ValueError, match="no row is noise"):
        observed_information(load_dataset("faithful"), fit)


def test_what_is_frozen_is_not_free():
    X = load_dataset("faithful")
    free = GaussianMixture(2, random_state=0).fit(X)
    fit = GaussianMixture(2, init_params=free, frozen=["means", "covariances"]).fit(X)
    information = observed_information(X, fit)
    assert information.matrix.shape == (1, 1)
    errors = information.standard_errors()
    assert (errors.means == 0).all() and (errors.covariances == 0).all()
    # of the weights alone: sum_n of the squared slope of log p, and less sure when the rest must be found too
    densities = np.exp(log_joint(np.asarray(X), fit.parameters_)) / fit.weights_
    slopes = (densities[:, 0] - densities[:, 1]) / (densities @ fit.weights_)
    np.testing.assert_allclose(errors.weights, 1 / np.sqrt((slopes**2).sum()), rtol=1e-8)
    assert (errors.weights < observed_information(X, free).standard_errors().weights).all()
