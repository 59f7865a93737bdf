"""Rows that hide a part of the complete data, against dense formulas row by row, and the laws that join the cases."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesgmm.data.checks import UNKNOWN
from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.kernel import complete, incomplete
from bayesgmm.kernel.moments import Moments
from bayesgmm.mixture.parameters import MixtureParameters


def mixture(rng, K: int, D: int) -> MixtureParameters:
    """A mixture of order one."""
    A = rng.normal(size=(K, D, D + 2))
    return MixtureParameters.from_covariances(
        rng.dirichlet(np.full(K, 3.0)), 2 * rng.normal(size=(K, D)), A @ np.swapaxes(A, 1, 2) / D
    )


def table(rng, N: int = 60, D: int = 3, share: float = 0.3) -> np.ndarray:
    """Rows with about this share of values missing, none wholly."""
    X = 5.0 + 2.0 * rng.normal(size=(N, D))
    hidden = rng.random((N, D)) < share
    hidden[np.arange(N), rng.integers(D, size=N)] = False
    return np.where(hidden, np.nan, X)


def slow_statistics(observations: Observations, p: MixtureParameters):
    """Row by row and component by component, from the definition; `p` in the units of the data."""
    K, D = p.means.shape
    total, N, S1, S2 = 0.0, np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D))
    joint = np.full((observations.n_rows, K), -np.inf)
    for n, x in enumerate(observations.values):
        o = np.flatnonzero(~np.isnan(x))
        E = np.zeros((D, D))
        if observations.errors is not None:
            E = observations.errors[n] if observations.errors.ndim == 3 else np.diag(observations.errors[n])
        moments = []
        for k in range(K):
            T = p.covariances[k][np.ix_(o, o)] + E[np.ix_(o, o)]
            G = p.covariances[k][:, o] @ np.linalg.inv(T)
            moments.append((p.means[k] + G @ (x[o] - p.means[k][o]), p.covariances[k] - G @ p.covariances[k][o]))
            label = UNKNOWN if observations.known_labels is None else observations.known_labels[n]
            if label in (UNKNOWN, k):
                joint[n, k] = np.log(p.weights[k]) + multivariate_normal.logpdf(x[o], p.means[k][o], T)
        w = 1.0 if observations.weights is None else observations.weights[n]
        r = np.exp(joint[n] - joint[n].max())
        total += w * (np.log(r.sum()) + joint[n].max())
        for k in range(K):
            part = w * r[k] / r.sum()
            y = (moments[k][0] - observations.shift) / observations.scale
            N[k] += part
            S1[k] += part * y
            S2[k] += part * (np.outer(y, y) + moments[k][1] / observations.scale**2)
    return total, N, S1, S2, joint


def fast(observations: Observations, p: MixtureParameters):
    found = incomplete.expected_statistics(observations, observations.to_standard(p))
    return found.log_likelihood, found.N, found.S1, found.S2


def log_joint(observations: Observations, p: MixtureParameters) -> np.ndarray:
    out = np.empty((observations.n_rows, p.n_components))

    def keep(rows, block):
        out[rows] = block.T

    incomplete.for_each_block(keep, observations, p)
    return out


@pytest.mark.parametrize(
    ("missing", "errors", "labels", "weights", "D"),
    [
        case
        for case in product(
            (False, True), ("none", "shared", "variances", "covariances"), (False, True), (False, True), (1, 3)
        )
    ],
)
def test_is_the_definition(missing, errors, labels, weights, D):
    rng = np.random.default_rng(3)
    X, p = table(rng, D=D, share=0.3 if missing else 0.0), mixture(rng, 3, D)
    N = len(X)
    A = rng.normal(size=(N, D, D))
    given = {
        "none": None,
        "shared": rng.random(D),
        "variances": rng.random((N, D)),
        "covariances": A @ np.swapaxes(A, 1, 2),
    }
    observations = as_observations(
        X,
        weights=rng.integers(0, 4, size=N) if weights else None,
        errors=given[errors],
        known_labels=np.where(rng.random(N) < 0.3, rng.integers(3, size=N), -1) if labels else None,
    )
    *expected, joint = slow_statistics(observations, p)
    for ours, theirs in zip(fast(observations, p), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(log_joint(observations, p), joint, rtol=1e-10, atol=1e-10)


def test_nothing_hidden_is_the_complete_kernel():
    rng = np.random.default_rng(4)
    observations, p = as_observations(table(rng, share=0.0)), mixture(rng, 2, 3)
    plain = complete.expected_statistics(observations, observations.to_standard(p))
    for ours, theirs in zip(fast(observations, p), (plain.log_likelihood, plain.N, plain.S1, plain.S2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def of_form(rng, moments: Moments, K: int, D: int) -> MixtureParameters:
    """A mixture whose covariances are of the form for which these moments are enough."""
    p = mixture(rng, K, D)
    covariances = p.covariances
    if moments.diagonal:
        covariances = covariances * np.eye(D)
    if moments.ndim == 0:
        covariances = covariances[:, :1, :1] * np.eye(D)
    if moments.pooled:
        covariances = np.repeat(covariances[:1], K, axis=0)
    return MixtureParameters.from_covariances(p.weights, p.means, covariances)


def asked_for(S2: np.ndarray, moments: Moments) -> np.ndarray:
    """What the M-step reads of S2."""
    S2 = np.diagonal(S2, axis1=1, axis2=2) if moments.diagonal and S2.ndim == 3 else S2
    S2 = S2.sum(axis=1) if moments.ndim == 0 else S2
    return S2.sum(axis=0) if moments.pooled else S2


ERRORS = {
    "none": None,
    "alike": np.full(3, 0.4),
    "variances": np.array([0.1, 0.5, 1.0]),
    "correlated": np.array([[1.0, 0.4, 0.1], [0.4, 0.7, -0.2], [0.1, -0.2, 0.3]]),
}


@pytest.mark.parametrize("moments", Moments)
@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("inside", [True, False])
def test_what_is_asked_of_the_moments_is_what_all_of_them_say(moments, errors, labels, inside):
    """Also where the mixture is not of the form that they are enough for."""
    rng = np.random.default_rng(8)
    X, E = table(rng, N=90), ERRORS[errors]
    observations = as_observations(
        X,
        errors=E if E is None or E.ndim == 1 else np.repeat(E[None], len(X), axis=0),
        known_labels=np.where(rng.random(len(X)) < 0.3, rng.integers(3, size=len(X)), -1) if labels else None,
    )
    p = observations.to_standard(of_form(rng, moments if inside else Moments.FULL, 3, 3))
    whole, less = (incomplete.expected_statistics(observations, p, asked) for asked in (Moments.FULL, moments))
    assert less.S2.ndim == (2 if moments.diagonal else 3)
    for name in ("log_likelihood", "N", "S1"):
        np.testing.assert_allclose(getattr(less, name), getattr(whole, name), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(asked_for(less.S2, moments), asked_for(whole.S2, moments), rtol=1e-10, atol=1e-10)


def test_a_group_that_sees_what_components_share_is_not_taken_for_all_of_it():
    """Covariances that agree in the features seen, or are round there, and not in those that are hidden."""
    X = np.array([[0.1, 0.4, np.nan], [-0.3, 0.2, np.nan], [0.5, -0.1, 1.0], [0.2, 0.3, -1.0]])
    observations = as_observations(X, errors=np.array([0.3, 0.3, 0.1]))
    covariances = np.array([np.diag([1.0, 1.0, 2.0]), np.diag([1.0, 1.0, 0.5])])
    p = MixtureParameters.from_covariances(np.full(2, 0.5), np.array([[0.0] * 3, [1.0] * 3]), covariances)
    for moments in Moments:
        whole, less = (incomplete.expected_statistics(observations, p, asked) for asked in (Moments.FULL, moments))
        np.testing.assert_allclose(asked_for(less.S2, moments), asked_for(whole.S2, moments), rtol=1e-10, atol=1e-10)


def test_a_missing_value_is_one_of_unbounded_error():
    rng = np.random.default_rng(5)
    X, p = table(rng), mixture(rng, 2, 3)
    hidden = np.isnan(X)
    V = 1e12
    missing = as_observations(X)
    noisy = as_observations(np.where(hidden, missing.shift, X), errors=np.where(hidden, V, 0.0))
    # moments about one shift and scale
    from dataclasses import replace

    noisy = replace(noisy, shift=missing.shift, scale=missing.scale)
    without, with_error = fast(missing, p), fast(noisy, p)
    assert with_error[0] + 0.5 * np.log(2 * np.pi * V) * hidden.sum() == pytest.approx(without[0], abs=1e-6)
    for ours, theirs in zip(with_error[1:], without[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_numbers_do_not_depend_on_threads():
    rng = np.random.default_rng(6)
    X = table(rng, N=20000)
    observations, p = as_observations(X, errors=rng.random(X.shape)), mixture(rng, 2, 3)
    found = [fast(observations, p) for _ in range(3)]
    for again in found[1:]:
        for one, other in zip(found[0], again, strict=True):
            np.testing.assert_array_equal(one, other)
