import numpy as np
import pytest

from bayesgmm.datasets import load_dataset
from bayesgmm.estimator import GaussianMixture
from bayesgmm.information import observed_information
from bayesgmm.observations import as_observations
from bayesgmm.parameters import MixtureParameters
from tests.oracle import log_density


def log_likelihood_along(X, fit, information, step, weights=None):
    """The oracle's log-likelihood, `step` (p,) away from a fit in the coordinates of its information."""
    p, (K, D) = fit.parameters_, information.shape
    moves = np.split(information.directions @ step, [K, K + K * D])
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
