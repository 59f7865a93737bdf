"""What a user may ask to start from: memberships, a mixture of any family, parts of one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.data.observations import as_observations
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.starts.requested import Start
from bayesgmm.em.task import Task

FULL = FAMILIES["full"]
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def asked(observations, origin, K, family):
    start = Start(origin)
    start.check(Task(observations, K, family))
    return start.parameters(observations, K, family, np.zeros(observations.n_features), np.random.default_rng(0))


def blobs(rng, per=40, D=2):
    centres = np.array([[0.0] * D, [20.0] * D, [0.0] * (D - 1) + [40.0]])
    return np.repeat(centres, per, axis=0) + rng.normal(size=(3 * per, D)), np.repeat(np.arange(3), per)


@families
def test_given_labels_are_one_m_step_exactly(family, rng):
    X, labels = blobs(rng)
    observations = as_observations(X)
    named = np.array(["p", "q", "r"])[labels]
    for memberships in (labels, labels + 5, named, np.eye(3)[labels], labels.tolist()):
        found = observations.from_standard(asked(observations, memberships, 3, family))
        assert_allclose(found.weights, 1 / 3, rtol=1e-12)
        assert_allclose(found.means, [X[labels == k].mean(axis=0) for k in range(3)], rtol=1e-10)
    scatter = np.stack([np.cov(X[labels == k].T, bias=True) * 40 for k in range(3)])
    diagonal = np.diagonal(scatter, axis1=1, axis2=2)
    expected = family.maximise(diagonal if family.diagonal else scatter, np.full(3, 40.0))
    assert_allclose(found.covariances, expected, rtol=1e-9, atol=1e-10)


WRONG = {
    "too few labels": (np.zeros(5), r"labels \(12,\) or responsibilities \(12, 2\).*received shape \(5,\)"),
    "a cube": (np.zeros((12, 2, 1)), r"received shape \(12, 2, 1\)"),
    "nothing": ({}, r"received shape \(\)"),
    "one label": (np.zeros(12, dtype=int), "1 distinct labels, but n_components=2"),
    "three labels": (np.arange(12) % 3, "3 distinct labels, but n_components=2"),
    "three columns": (np.full((12, 3), 1 / 3), "3 columns, but n_components=2"),
    "sums of two": (np.ones((12, 2)), "each row must sum to one"),
    "negative": (np.tile([1.5, -0.5], (12, 1)), "non-negative"),
    "NaN": (np.full((12, 2), np.nan), "non-negative"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_memberships_that_are_none_are_refused(kind, rng):
    memberships, message = WRONG[kind]
    observations = as_observations(rng.normal(size=(12, 1)))
    with pytest.raises(ValueError, match=message):
        Start(memberships).check(Task(observations, 2, FULL))


def test_a_given_component_without_rows_is_refused_by_number(rng):
    observations = as_observations(rng.normal(size=(12, 1)))
    with pytest.raises(CollapseError, match="component 1 has no rows"):
        asked(observations, np.tile([1.0, 0.0], (12, 1)), 2, FULL)


def test_given_parts_replace_those_of_the_origin(rng):
    X, labels = blobs(rng)
    observations = as_observations(X)
    weights, means, precisions = np.array([0.2, 0.3, 0.5]), rng.normal(size=(3, 2)), np.stack([2.0 * np.eye(2)] * 3)
    start = Start(labels, weights, means, precisions)
    start.check(Task(observations, 3, FULL))
    found = start.parameters(observations, 3, FULL, np.zeros(2), rng)
    found = observations.from_standard(found)
    assert_allclose(found.weights, weights)
    assert_allclose(found.means, means)
    assert_allclose(found.covariances, 0.5 * np.stack([np.eye(2)] * 3), atol=1e-12)
