"""Rows that hide a part of the complete data, each way alone and all together, for the tests of whatever takes them."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.mixture.parameters import MixtureParameters

CASES = {
    "missing": ("missing",),
    "shared errors": ("shared",),
    "error variances": ("variances",),
    "error covariances": ("covariances",),
    "known labels": ("labels",),
    "weights and missing": ("weights", "missing"),
    "all, shared errors": ("missing", "shared", "labels", "weights"),
    "all, own errors": ("missing", "covariances", "labels", "weights"),
}


class Given(NamedTuple):
    """Rows (N, D), and what comes with them, as `as_observations` takes it."""

    X: np.ndarray
    weights: np.ndarray | None
    errors: np.ndarray | None
    known_labels: np.ndarray | None
    components: np.ndarray  # where each row comes from

    @property
    def keywords(self) -> dict:
        return {"weights": self.weights, "errors": self.errors, "known_labels": self.known_labels}

    def observations(self) -> Observations:
        return as_observations(self.X, **self.keywords)


def mixture(rng, K: int, D: int, apart: float = 3.0) -> MixtureParameters:
    """Components of spread about one."""
    A = rng.normal(size=(K, D, D + 2))
    covariances = A @ np.swapaxes(A, 1, 2) / (D + 2)
    return MixtureParameters.from_covariances(
        rng.dirichlet(np.full(K, 9.0)), apart * rng.normal(size=(K, D)), covariances
    )


def incomplete_rows(rng, kinds, truth: MixtureParameters, N: int, share: float = 0.25) -> Given:
    """Rows of a mixture, `share` of the cells missing, errors about a third as large as the spread, a fifth known."""
    K, D = truth.means.shape
    z = rng.choice(K, size=N, p=truth.weights)
    X = truth.means[z] + np.einsum("nij,nj->ni", np.linalg.cholesky(truth.covariances)[z], rng.normal(size=(N, D)))
    errors = None
    if "shared" in kinds:
        errors = 0.05 + 0.1 * rng.random(D)
        X += rng.normal(size=(N, D)) * np.sqrt(errors)
    if "variances" in kinds:
        errors = 0.2 * rng.random((N, D))
        X += rng.normal(size=(N, D)) * np.sqrt(errors)
    if "covariances" in kinds:
        B = rng.normal(size=(N, D, D)) * 0.3 / np.sqrt(D)
        errors = B @ np.swapaxes(B, 1, 2)
        X += np.einsum("nij,nj->ni", B, rng.normal(size=(N, D)))
    if "missing" in kinds:
        hidden = rng.random((N, D)) < share
        hidden[np.arange(N), rng.integers(D, size=N)] = False
        X = np.where(hidden, np.nan, X)
    labels = np.where(rng.random(N) < 0.2, z, -1) if "labels" in kinds else None
    weights = rng.integers(0, 4, size=N).astype(float) if "weights" in kinds else None
    return Given(X, weights, errors, labels, z)


def slow_log_density(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """log p of what each row shows, (N,), from the definition: SciPy's density of every row under every component."""
    K, D = parameters.means.shape
    errors, labels = observations.errors, observations.known_labels
    found = np.empty(observations.n_rows)
    for n, x in enumerate(np.asarray(observations.values, dtype=np.float64)):
        o = np.flatnonzero(~np.isnan(x))
        E = np.zeros((D, D)) if errors is None else errors[n] if errors.ndim == 3 else np.diag(errors[n])
        joint = [
            np.log(parameters.weights[k])
            + multivariate_normal(parameters.means[k][o], (parameters.covariances[k] + E)[np.ix_(o, o)]).logpdf(x[o])
            for k in range(K)
            if labels is None or labels[n] in (-1, k)
        ]
        found[n] = logsumexp(joint)
    return found
