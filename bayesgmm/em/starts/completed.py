"""Complete rows for the starts of EM: missing values filled in, errors left aside, known components kept to.

EM needs a place to begin, and the methods that make one (k-means, agglomeration) take complete rows. May import NumPy,
SciPy and the modules below it only.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesgmm.data.checks import UNKNOWN
from bayesgmm.data.observations import Observations
from bayesgmm.em.answers import memberships
from bayesgmm.em.families import CovarianceFamily
from bayesgmm.em.m_step import maximise
from bayesgmm.em.starts.clutter import LEAST_SHARE, MOST_SHARE
from bayesgmm.em.starts.methods import statistics_of
from bayesgmm.kernel.groups import groups
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters

MOMENT_STEPS = 50
"""E-steps with one component, at most, for the means that missing values are filled in with."""


def completed(observations: Observations) -> Observations:
    """Return complete rows from the same shift and scale: missing values at their expectation under one normal."""
    if not observations.incomplete:
        return observations
    return observations.remember("completed", lambda: _filled(observations))


def _filled(observations: Observations) -> Observations:
    values = observations.values
    if observations.missing is not None:
        values = values.astype(np.float64)
        mean, covariance = _moments(observations)
        for group in groups(observations):
            o = list(group.seen)
            rest = [j for j in range(observations.n_features) if j not in group.seen]
            if rest:
                slope = np.linalg.solve(covariance[np.ix_(o, o)], covariance[np.ix_(o, rest)])
                filled = mean[rest] + (values[np.ix_(group.rows, o)] - mean[o]) @ slope
                values[np.ix_(group.rows, rest)] = filled
    return replace(observations, values=values, missing=None, errors=None, known_labels=None)


def _moments(observations: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of one normal distribution, by EM, in the units of the data."""
    alone = replace(observations, known_labels=None, errors=None)
    D = observations.n_features
    mean, covariance = observations.shift, alone.covariance()
    one = MixtureParameters.from_covariances(np.ones(1), mean[None], covariance[None])
    at = observations.to_standard(one)
    before = -np.inf
    for _ in range(MOMENT_STEPS):
        statistics = expected_statistics(alone, at)
        if not statistics.log_likelihood > before + 1e-6 * observations.total_weight:
            break
        before = statistics.log_likelihood
        mu = statistics.S1 / statistics.N[:, None]
        sigma = statistics.scatter(mu) / statistics.N[:, None, None]
        # rows fewer than features leave it singular: a part of the pooled variance holds it
        sigma = 0.99 * sigma + 0.01 * np.eye(D) * np.trace(sigma[0]) / D
        at = MixtureParameters.from_covariances(np.ones(1), mu, 0.5 * (sigma + np.swapaxes(sigma, 1, 2)))
    normal = observations.from_standard(at)
    return normal.means[0], normal.covariances[0]


def keep_known(
    start: Callable[[], MixtureParameters],
    observations: Observations,
    family: CovarianceFamily,
    floor: np.ndarray,
) -> Callable[[], MixtureParameters]:
    """Change a start so that its components are those that are known: matched by the rows known, which then stay."""
    labels = observations.known_labels
    if labels is None:
        return start
    rows = completed(observations)

    def matched() -> MixtureParameters:
        parameters = start()
        K = parameters.n_components

        r = memberships(rows, observations.from_standard(parameters))
        together = np.zeros((K, K))
        for k in range(K):
            together[k] = r[labels == k].sum(axis=0)
        r = r[:, linear_sum_assignment(-together)[1]]
        known = labels != UNKNOWN
        r[known] = 0.0
        r[known, labels[known]] = 1.0
        statistics = statistics_of(rows, r, family.moments)
        least = np.maximum(floor, 1e-3 * family.floor_variances(_spread(rows)))
        clusters = maximise(statistics, family, least)[0]
        return clusters if parameters.noise is None else replace(clusters, noise=_noise_of(r, rows, parameters.noise))

    return matched


def _noise_of(responsibilities: np.ndarray, rows: Observations, before: Noise) -> Noise:
    """Noise whose share is what responsibilities (N, K) lack to one; never none, or EM would find none."""
    share = 1.0 - np.average(responsibilities.sum(axis=1), weights=rows.weights)
    return Noise(np.asarray(np.clip(share, LEAST_SHARE, MOST_SHARE)), before.background)


def _spread(rows: Observations) -> np.ndarray:
    """Column variances in standard coordinates."""
    return rows.variances / rows.scale**2
