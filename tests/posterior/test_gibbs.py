"""A sweep leaves the posterior as it is: mixtures from the prior, with rows from them, are from the prior after it."""

import numpy as np
import pytest
from scipy.stats import wishart

import bayesgmm as bg
from bayesgmm import priors
from bayesgmm.data.observations import as_observations
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.gibbs import continue_chains, has_known_conditionals, longer_chains

N, K = 5, 2
REPLICATIONS = 300
K_SE = 4.5
"""Twelve numbers of each of 16 cases: one run in seven hundred would fail by chance."""

CONJUGATE = ("full", "V", "tied", "E", "diag", "EEI", "spherical", "EII")
"""Every family that is linear."""

SCALE, RATE = np.array([[3.0, 0.5], [0.5, 1.0]]), np.array([[0.8, 0.2], [0.2, 1.5]])


def case(family: str, random: bool) -> tuple[int, bg.Prior]:
    """Give the number of features, and a prior whose numbers are all different."""
    D = 1 if family in ("E", "V") else 2
    scale, rate = SCALE[:D, :D], RATE[:D, :D]
    if family not in ("full", "tied"):
        scale, rate = np.diag(np.diagonal(scale)), np.diag(np.diagonal(rate))
    if family in ("spherical", "EII"):
        scale, rate = 1.7, 1.3
    if random:
        scale = priors.RandomScale(2.5, rate if np.ndim(rate) == 0 else rate.tolist())
    prior = bg.Prior(
        weights=priors.Dirichlet((1.5, 0.7)),
        means=priors.Normal([[1.0] * D, [-1.0] * D], [2.0, 1.0][:D]),
        covariances=priors.InverseWishart(7.0, scale if random or np.ndim(scale) == 0 else scale.tolist()),
    )
    return D, prior


def from_prior(family: str, D: int, prior: bg.Prior, rng) -> MixtureParameters:
    """Draw a mixture from a resolved prior, with SciPy's Wishart."""
    dof, scale = prior.covariances.dof, prior.covariances.scale
    alone = family in ("spherical", "EII")

    def one(S):
        if family in ("full", "tied", "E", "V"):
            return np.atleast_2d(wishart.rvs(dof, np.linalg.inv(S), random_state=rng))
        if alone:
            return rng.gamma(dof / 2, 2 / S[0, 0]) * np.eye(D)
        return np.diag(rng.gamma(dof / 2, 2 / np.diagonal(S)))

    def matrix(value):
        array = np.asarray(value, dtype=float)
        return array if array.ndim == 2 else np.diag(np.broadcast_to(array, (D,)))

    if isinstance(scale, priors.RandomScale):
        rate = matrix(scale.rate)
        if family in ("full", "tied", "E", "V"):
            S = np.atleast_2d(wishart.rvs(2 * scale.shape, np.linalg.inv(2 * rate), random_state=rng))
        else:
            drawn = rng.gamma(scale.shape, 1 / np.diagonal(rate))
            S = drawn[0] * np.eye(D) if alone else np.diag(drawn)
    else:
        S = matrix(scale)
    if family in ("tied", "E", "EEI", "EII"):
        precisions = np.repeat(one(S)[None], K, axis=0)
    else:
        precisions = np.stack([one(S) for _ in range(K)])
    weights = rng.dirichlet(prior.weights.concentration)
    means = rng.normal(np.asarray(prior.means.mu), np.asarray(prior.means.sigma), size=(K, D))
    return MixtureParameters.from_covariances(weights, means, np.linalg.inv(precisions))


def numbers(p: MixtureParameters) -> np.ndarray:
    log_det, across = np.linalg.slogdet(p.covariances)[1], p.covariances[:, 0, -1] / p.covariances[:, 0, 0]
    first = np.log(p.covariances[:, 0, 0])
    return np.concatenate(
        [p.weights[:1], p.weights[:1] ** 2, p.means[:, 0], p.means[:, -1] ** 2, log_det, first, across]
    )


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("family", CONJUGATE)
def test_sweeps_leave_the_joint_law_as_it_is(family, random):
    D, prior = case(family, random)
    rng = np.random.default_rng(CONJUGATE.index(family) + 10 * random)
    resolved = prior.resolve(([0.0] * D, np.eye(D).tolist()), K, family)
    before, after = [], []
    for r in range(REPLICATIONS):
        drawn = from_prior(family, D, resolved, rng)
        z = rng.choice(K, size=N, p=drawn.weights)
        rows = np.stack([rng.multivariate_normal(drawn.means[k], drawn.covariances[k]) for k in z])
        start = MixtureParameters.stack([drawn])
        chain = continue_chains(as_observations(rows), family, resolved, start, draws=1, every=3, random_seed=r)
        before.append(numbers(drawn))
        after.append(numbers(chain[0, 0]))
    change = np.array(after) - np.array(before)
    assert change[:, [0, 2, 6]].std(axis=0).min() > 0.05
    error = np.maximum(change.std(axis=0), 1e-9) / np.sqrt(REPLICATIONS)
    assert (np.abs(change.mean(axis=0)) < K_SE * error).all()


def test_a_weight_counts_rows_and_the_number_of_cores_changes_nothing(monkeypatch):
    D, prior = case("full", random=True)
    rng = np.random.default_rng(0)
    resolved = prior.resolve(([0.0] * D, np.eye(D).tolist()), K, "full")
    starts = MixtureParameters.stack([from_prior("full", D, resolved, rng) for _ in range(3)])
    rows, counts = rng.normal(size=(6, D)), np.array([1, 3, 0, 2, 1, 1])
    settings = {"draws": 4, "every": 2, "random_seed": 1}
    weighted = continue_chains(as_observations(rows, weights=counts), "full", resolved, starts, **settings)
    monkeypatch.setattr("bayesgmm.tools.threads.available_cores", lambda: 1)
    repeated = continue_chains(as_observations(np.repeat(rows, counts, axis=0)), "full", resolved, starts, **settings)
    assert weighted.batch_shape == (3, 4)
    np.testing.assert_array_equal(weighted.means, repeated.means)
    assert not np.array_equal(weighted.means[0], weighted.means[1])


def test_says_what_it_cannot_sample():
    rows = as_observations(np.random.default_rng(1).normal(size=(30, 2)))
    conjugate = bg.Prior().resolve(rows, K, "full")
    assert has_known_conditionals(rows, "full", conjugate)
    lkj = bg.Prior(covariances=priors.LKJ(1.0, sd=priors.LogNormal(0.0, 1.0))).resolve(rows, K, "full")
    shared = bg.Prior().resolve(rows, K, "VVE")
    missing = rows.values.copy()
    missing[0, 0] = np.nan
    start = MixtureParameters.from_covariances(
        np.full((4, K), 0.5), np.zeros((4, K, 2)), np.tile(np.eye(2), (4, K, 1, 1))
    )
    for observations, family, prior in [
        (rows, "full", lkj),
        (rows, "VVE", shared),
        (as_observations(missing), "full", conjugate),
        (as_observations(rows.values, weights=np.full(30, 0.5)), "full", conjugate),
        (as_observations(rows.values, errors=np.array([0.1, 0.1])), "full", conjugate),
        (rows, "full", bg.Prior().resolve(rows, K, "full", noise=True)),
    ]:
        assert not has_known_conditionals(observations, family, prior)
        assert longer_chains(observations, family, prior, start, 0) is None


def test_too_many_rows_take_too_long():
    rows = as_observations(np.array([[0.0], [1.0]]), weights=np.array([100_000, 100_000]))
    prior = bg.Prior().resolve(rows, K, "V")
    start = MixtureParameters.from_covariances(np.full((4, 2), 0.5), np.zeros((4, 2, 1)), np.ones((4, 2, 1, 1)))
    assert longer_chains(rows, "V", prior, start, 0) is None
