"""Scores against differences of the log density that SciPy gives, and the laws that they obey."""

from dataclasses import replace

import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import covariance_family
from bayesgmm.em.information import coordinates
from bayesgmm.kernel.natural import pair_indices
from bayesgmm.kernel.passes import expected_statistics, for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.kernel.scores import BLOCK_FLOATS, local, n_features, n_local, row_derivatives
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture, slow_log_density


def scores(observations, parameters: MixtureParameters) -> np.ndarray:
    """All of them, (N, K F)."""
    found = np.full((observations.n_rows, n_local(parameters)), np.nan)
    for block in row_derivatives(observations, parameters):
        found[block.rows] = block.scores(parameters)
    return found


def moved(parameters: MixtureParameters, local: np.ndarray) -> MixtureParameters:
    """The mixture with K F numbers added to its log weights, means and covariances, not normalised."""
    K, D = parameters.means.shape
    local = local.reshape(K, -1)
    i, j = pair_indices(D)
    covariances = parameters.covariances.copy()
    covariances[:, i, j] += local[:, 1 + D :]
    covariances[:, j, i] = covariances[:, i, j]
    weights, means = parameters.weights * np.exp(local[:, 0]), parameters.means + local[:, 1 : D + 1]
    return MixtureParameters(weights, means, covariances, covariances)


@pytest.mark.parametrize("D", [1, 3])
@pytest.mark.parametrize("case", ["complete", *CASES])
def test_they_are_the_differences_of_the_log_density(case, D, rng):
    kinds = CASES.get(case, ())
    truth = mixture(rng, 2, D, apart=1.0)
    observations = incomplete_rows(rng, kinds, truth, 15).observations()
    exact = scores(observations, truth)
    for place, column in enumerate(exact.T):
        step = np.zeros(exact.shape[1])
        step[place] = 1e-5
        forth, back = (slow_log_density(observations, moved(truth, sign * step)) for sign in (1, -1))
        np.testing.assert_allclose(column, (forth - back) / 2e-5, atol=1e-6, rtol=1e-6)


def test_with_noise_they_sum_to_the_gradient_by_every_share(rng):
    """A known row is no noise; rows outside the box are none."""
    truth = mixture(rng, 2, 2)
    truth = replace(truth, noise=Noise(np.array(0.3), Background.box([-3.0, -3.0], [3.0, 3.0])))
    observations = incomplete_rows(rng, ("missing", "labels"), truth, 40).observations()
    found = scores(observations, truth)
    assert found.shape == (40, n_local(truth)) == (40, len(local(truth)))
    r, log_density = np.empty((40, 3)), np.empty(40)

    def keep(rows, log_joint):
        log_density[rows] = normalise(log_joint)
        r[rows] = log_joint.T

    for_each_block(keep, observations, truth)
    np.testing.assert_allclose(found[:, -1], r[:, 2], atol=1e-12)
    np.testing.assert_allclose(found[:, [0, n_features(2)]], r[:, :2], atol=1e-12)
    known = observations.known_labels >= 0
    assert (r[known, 2] == 0).all() and 0 < r[~known, 2].max() < 1


def test_their_sum_is_the_gradient_that_the_statistics_give(rng):
    """Fisher's identity over all rows, in several blocks."""
    truth = mixture(rng, 4, 5)
    given = incomplete_rows(rng, (), truth, 1 + BLOCK_FLOATS // n_local(truth))
    observations = as_observations(given.X, weights=rng.random(len(given.X)))
    blocks = list(row_derivatives(observations, truth))
    assert len(blocks) > 1
    total = sum(block.weights @ block.scores(truth) for block in blocks).reshape(4, -1)
    found = expected_statistics(observations, observations.to_standard(truth))
    np.testing.assert_allclose(total[:, 0], found.N, rtol=1e-9)
    e = found.scale * (found.S1 - found.N[:, None] * (truth.means - found.shift) / found.scale)
    np.testing.assert_allclose(total[:, 1:6], np.linalg.solve(truth.covariances, e[..., None])[..., 0], atol=1e-7)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_they_sum_to_zero_at_a_maximum(covariance_type):
    X = np.asarray(load_dataset("iris"))
    fit = GaussianMixture(2, covariance_type=covariance_type, random_state=0, tol=1e-13).fit(X)
    to_local, _ = coordinates(fit.parameters_, covariance_family(covariance_type))
    found = scores(as_observations(X), fit.parameters_) @ to_local
    assert (np.abs(found.sum(axis=0)) < 1e-4 * np.sqrt((found**2).sum(axis=0))).all()
