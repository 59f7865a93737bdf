"""The calibration study's own tools, and the smallest study there is; the whole of it is `make calibrate`."""

import numpy as np
import pytest
from arviz_stats.ecdf_utils import simulate_confidence_bands
from scipy.stats import multivariate_normal

from bayesgmm import priors
from tests.calibration.bands import band, p_value, probability_outside
from tests.calibration.configurations import FAULTY, HONEST
from tests.calibration.sbc import KEPT, Configuration, calibrate, p_values, quantities


def test_the_exact_band_is_the_one_that_arviz_simulates(rng):
    points, simulations = np.arange(1, 20) / 20, 4000
    gamma = 1 - simulate_confidence_bands(50, 1, points, 0.9, simulations, rng)
    # counts are discrete: the quantile may be anywhere in a step; 4 standard errors of a binomial
    error = 4 * np.sqrt(0.1 * 0.9 / simulations)
    below, above = (probability_outside(factor * gamma, 50, 19) for factor in (1 - 1e-6, 1 + 1e-6))
    assert below - error < 0.1 < above + error


def test_p_values_of_uniform_ranks_are_uniform_or_above(rng):
    found = np.array([p_value(rng.integers(0, 20, size=50), 19) for _ in range(400)])
    for level in (0.05, 0.2, 0.5):
        # discrete ranks: at most the level, and not far below it; 4 standard errors
        share, error = (found <= level).mean(), np.sqrt(level * (1 - level) / 400)
        assert level / 2 - 4 * error < share < level + 4 * error


def test_ranks_touch_the_band_at_its_level_and_leave_it_below():
    points, lowest, highest = band(0.01, 50, 19)
    assert np.all(lowest <= points) and np.all(points <= highest)
    # 50 ranks of which as many as allowed, and one more, lie below the middle point
    inside = round(highest[9] * 50)
    spread = np.arange(50) * 10 // 50
    for below, within in ((inside, True), (inside + 1, False)):
        ranks = np.concatenate([spread[np.linspace(0, 49, below).astype(int)], np.full(50 - below, 10)])
        assert (np.mean(ranks < 10) <= highest[9]) == within
        assert within or p_value(ranks, 19) < 0.01


def test_quantities_are_those_of_the_mixture_and_do_not_know_its_labels(rng):
    K, D, S = 3, 2, 4
    root = rng.normal(size=(S, K, D, D))
    covariances = root @ np.swapaxes(root, -1, -2) + np.eye(D)
    weights, means = rng.dirichlet(np.ones(K), size=S), rng.normal(size=(S, K, D))
    X = rng.normal(size=(7, D))
    found = quantities(X, None, weights, means, covariances)
    swapped = quantities(X, None, weights[:, ::-1], means[:, ::-1], covariances[:, ::-1])
    for name, value in found.items():
        np.testing.assert_allclose(swapped[name], value, rtol=1e-12, err_msg=name)
    joint = [weights[0, k] * multivariate_normal(means[0, k], covariances[0, k]).pdf(X) for k in range(K)]
    np.testing.assert_allclose(found["log_likelihood"][0], np.log(np.sum(joint, axis=0)).sum())
    total = np.einsum("k,kij->ij", weights[0], covariances[0] + means[0, :, :, None] * means[0, :, None, :])
    centre = weights[0] @ means[0]
    np.testing.assert_allclose(found["mean_1"][0], centre[1])
    np.testing.assert_allclose(found["variance_1"][0], total[1, 1] - centre[1] ** 2)
    log_dets = np.log(np.linalg.det(covariances[0]))
    np.testing.assert_allclose([found["smallest_log_det"][0], found["largest_log_det"][0]], np.sort(log_dets)[[0, -1]])


@pytest.fixture(scope="module")
def smallest():
    """One normal with an inverse-gamma variance, in one dimension."""
    return next(one for one in HONEST if (one.covariance_type, one.n_features, one.n_components) == ("diag", 1, 1))


def test_one_normal_is_calibrated(smallest):
    tree = calibrate(smallest, 20)
    assert tree["prior_sbc"].sizes == {"chain": 1, "draw": 20}
    ranks = tree["ranks"].to_dataset()
    assert all(ranks[name].min() >= 0 and ranks[name].max() <= KEPT for name in ranks)
    found = p_values(tree)
    assert min(found.values()) > 0.001 / len(
        found
    )  # a correct sampler fails once in a thousand seeds; the seed is fixed


def test_a_prior_in_the_wrong_place_is_found_out(smallest):
    wrong = priors.Prior(
        weights=smallest.prior.weights, means=priors.Normal(4.0, 0.3), covariances=smallest.prior.covariances
    )
    tree = calibrate(Configuration("diag", 1, 1, smallest.prior, "wrong", assumed=wrong), 20)
    assert min(p_values(tree).values()) < 1e-6


def test_every_planted_fault_is_one():
    assert all(one.faulty for one in FAULTY) and not any(one.faulty for one in HONEST)
