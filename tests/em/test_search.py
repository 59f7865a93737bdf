"""Several starts: the admissible best is kept, and how many of them got there is told."""

from functools import partial

import numpy as np
import pytest

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em import solver
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.search import MOST_PROMISING, search
from bayesgmm.em.starts.methods import from_method
from bayesgmm.em.starts.requested import from_memberships


def settings(observations, family, **more):
    floor = 1e-8 * family.floor_variances(observations.variances) / observations.scale**2
    return {"tol": 1e-8, "max_iter": 1000, "floor": floor, "accelerated": True, **more}


def random_starts(observations, family, K, n):
    return [
        partial(from_method, observations, "random_from_data", K, family, np.zeros(2), np.random.default_rng(seed))
        for seed in range(n)
    ]


def test_counts_the_starts_that_reach_the_best():
    observations = as_observations(load_dataset("faithful"))
    family = FAMILIES["full"]
    run = settings(observations, family)
    starts = random_starts(observations, family, 3, 8)
    found = search(observations, starts, family, **run)
    ends = np.array([solver.run(observations, start(), family, **run).log_likelihood for start in starts])
    assert found.n_starts == 8 and MOST_PROMISING <= found.n_ended <= 8
    assert 1 <= found.n_at_best <= found.n_ended
    assert found.n_at_best <= (ends > found.best.log_likelihood - 1e-6 * observations.n_rows).sum()
    assert found.best.log_likelihood >= np.median(ends)


def test_a_likelier_collapse_does_not_win():
    """One start isolates equal rows, whose likelihood has no bound; the other describes two clusters."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 6, np.full((6, 2), 3.0)])
    observations = as_observations(X)
    family = FAMILIES["full"]
    run = settings(observations, family)
    spike = np.repeat([0, 1], [100, 6])
    sound = np.repeat([0, 1, 0], [50, 50, 6])
    starts = [partial(from_memberships, observations, labels, family, run["floor"]) for labels in (spike, sound)]
    collapsed = solver.run(observations, starts[0](), family, **run)
    assert collapsed.status is solver.Status.COLLAPSED and not collapsed.admissible
    found = search(observations, starts, family, **run)
    assert found.best.admissible and found.best.log_likelihood < collapsed.log_likelihood
    assert (found.n_ended, found.n_at_best) == (2, 1)


def test_when_every_start_collapses_it_says_so():
    X = np.repeat(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), 5, axis=0)
    observations = as_observations(X)
    family = FAMILIES["full"]
    run = settings(observations, family, floor=np.zeros(2))
    starts = [partial(from_memberships, observations, np.arange(20) // 5, family, np.zeros(2))] * 2
    with pytest.raises(CollapseError, match="every one of 2 starts collapsed"):
        search(observations, starts, family, **run)


def test_the_estimator_tells_the_share():
    mixture = GaussianMixture(3, n_init=6, random_state=0).fit(load_dataset("faithful"))
    assert mixture.n_starts_ == 6
    assert 1 <= mixture.n_starts_at_best_ <= mixture.n_starts_ended_ <= 6


def test_the_deterministic_start_is_followed_by_others():
    X = load_dataset("iris")
    alone = GaussianMixture(4, init_params="hierarchical").fit(X)
    more = GaussianMixture(4, init_params="hierarchical", n_init=6, random_state=0).fit(X)
    assert (alone.n_starts_, more.n_starts_) == (1, 6)
    assert more.lower_bound_ >= alone.lower_bound_ - 1e-8
