"""Standard errors against differences of SciPy's log density, the bootstrap, and the laws they obey."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data.observations import as_observations
from bayesgmm.data.tables import DataError
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.questions.standard_errors import standard_errors
from tests.support.incomplete_cases import CASES, incomplete_rows, mixture, slow_log_density

NAMES = ("weights", "means", "covariances")


def flat(dataset) -> np.ndarray:
    return np.concatenate([np.ravel(dataset[name]) for name in NAMES])


def unpack(free, covariance_type, K, D) -> MixtureParameters:
    """A mixture of free numbers: K - 1 weights, means, lower triangles."""
    weights = np.append(free[: K - 1], 1 - free[: K - 1].sum())
    means = free[K - 1 : K - 1 + K * D].reshape(K, D)
    i, j = np.tril_indices(D)
    lower = free[K - 1 + K * D :].reshape(-1, len(i))
    covariances = np.empty((len(lower), D, D))
    covariances[:, i, j] = covariances[:, j, i] = lower
    covariances = np.broadcast_to(covariances, (K, D, D))
    return MixtureParameters(weights, means, covariances, covariances)


def pack(parameters, covariance_type) -> np.ndarray:
    i, j = np.tril_indices(parameters.n_features)
    lower = parameters.covariances[: 1 if covariance_type == "tied" else None, i, j]
    return np.concatenate([parameters.weights[:-1], parameters.means.ravel(), lower.ravel()])


def slow_sandwich(observations, fit, covariance_type, clusters) -> np.ndarray:
    """Scores and Hessian by differences, totals of clusters by a loop; the errors of the free numbers."""
    K, D = fit.parameters_.means.shape
    here = pack(fit.parameters_, covariance_type)
    w = np.ones(observations.n_rows) if observations.weights is None else observations.weights

    def rows(free):
        return w * slow_log_density(observations, unpack(free, covariance_type, K, D))

    p, h = len(here), 1e-3 * np.maximum(np.abs(here), 0.1)
    steps = np.diag(h)
    forth, back, middle = [rows(here + s) for s in steps], [rows(here - s) for s in steps], rows(here)
    scores = np.array([(f - b) / (2 * step) for f, b, step in zip(forth, back, h, strict=True)]).T
    A = np.empty((p, p))
    for a in range(p):
        A[a, a] = -(forth[a] + back[a] - 2 * middle).sum() / h[a] ** 2
        for b in range(a):
            corners = rows(here + steps[a] + steps[b]) - forth[a] - forth[b] + 2 * middle - back[a] - back[b]
            corners = corners + rows(here - steps[a] - steps[b])
            A[a, b] = A[b, a] = -corners.sum() / (2 * h[a] * h[b])
    totals = np.array([scores[clusters == c].sum(axis=0) for c in np.unique(clusters)])
    B = len(totals) * np.cov(totals.T)
    inverse = np.linalg.inv(A)
    return np.sqrt(np.diag(inverse @ B @ inverse))


@pytest.mark.parametrize(
    ("case", "covariance_type", "clustered"),
    [
        ("complete", "full", False),
        ("complete", "tied", True),
        ("weights and missing", "tied", False),
        ("all, own errors", "tied", True),
    ],
)
def test_the_sandwich_is_that_of_differences(case, covariance_type, clustered, rng):
    truth = mixture(rng, 2, 2)
    given = incomplete_rows(rng, CASES.get(case, ()), truth, 40)
    weights = rng.uniform(0.5, 2.0, size=40)
    known = {"errors": given.errors, "known_labels": given.known_labels}
    fit = bg.GaussianMixture(2, covariance_type=covariance_type, init_params=given.components, tol=1e-13)
    fit.fit(given.X, sample_weight=weights, **known)
    clusters = np.arange(40) % 10 if clustered else np.arange(40)
    found = standard_errors(fit, given.X, weights, clusters=clusters if clustered else None, **known)
    assert found.attrs == {"kind": "sandwich", "degrees_of_freedom": 9 if clustered else 39}
    errors = MixtureParameters(*(found[name].values for name in NAMES), found["covariances"].values)
    observations = as_observations(given.X, weights=weights, **known)
    slow = slow_sandwich(observations, fit, covariance_type, clusters)
    np.testing.assert_allclose(pack(errors, covariance_type), slow, rtol=2e-3)


def test_whole_weights_are_repeated_rows(rng):
    X = bg.load_dataset("faithful").values
    counts = rng.integers(0, 3, size=len(X))
    fit = bg.GaussianMixture(2, random_state=0, tol=1e-12).fit(X, sample_weight=counts)
    one, two = standard_errors(fit, X, counts), standard_errors(fit, np.repeat(X, counts, axis=0))
    assert one.attrs == two.attrs == {"kind": "information"}
    np.testing.assert_allclose(flat(one), flat(two), rtol=1e-10)


def test_the_scale_of_sampling_weights_does_not_matter(rng):
    X = bg.load_dataset("faithful")
    weights = rng.uniform(0.5, 2.0, size=len(X))
    fit = bg.GaussianMixture(2, random_state=0).fit(X, sample_weight=weights)
    one, two = standard_errors(fit, X, weights), standard_errors(fit, X, 1000 * weights)
    np.testing.assert_allclose(flat(one), flat(two), rtol=1e-9)
    assert one["means"].dims == ("component", "feature") and list(one["feature"].values) == ["eruptions", "waiting"]
    assert one["means"].attrs["units"] == "min"


def test_it_is_the_information_when_the_model_holds_and_rows_are_many(rng):
    """They differ by chance, at most about sqrt(kurtosis / N) of an error: seven of the sandwich's own errors, 2 %."""
    truth = mixture(rng, 2, 2)
    gap = []
    for N in (2_000, 200_000):
        rows, z = _draw(rng, truth, N)
        fit = bg.GaussianMixture(2, init_params=z).fit(rows)
        ratio = flat(standard_errors(fit, rows, kind="sandwich")) / flat(standard_errors(fit, rows))
        gap.append(np.abs(ratio - 1).max())
    assert gap[1] < 0.02 and gap[1] < 0.5 * gap[0]


def _draw(rng, truth, N):
    z = rng.choice(truth.n_components, size=N, p=truth.weights)
    noise = rng.normal(size=(N, truth.n_features))
    return truth.means[z] + np.einsum("nij,nj->ni", np.linalg.cholesky(truth.covariances)[z], noise), z


def test_rows_of_uneven_spread_have_the_errors_of_the_bootstrap(rng):
    """Heavy tails: the information is wrong by a third and more, the sandwich agrees with refits to resampled rows."""
    N, B, k_se = 600, 400, 4.0
    z = rng.random(N) < 0.4
    X = np.where(z, 0.0, 12.0)[:, None] + rng.standard_t(6, size=(N, 2))
    weights = rng.uniform(0.2, 1.8, size=N)
    fit = bg.GaussianMixture(2, init_params=z.astype(int)).fit(X, sample_weight=weights)
    sandwich = flat(standard_errors(fit, X, weights))
    draws = []
    for _ in range(B):
        some = rng.integers(N, size=N)
        again = bg.GaussianMixture(2, init_params=fit).fit(X[some], sample_weight=weights[some])
        draws.append(np.concatenate([np.ravel(getattr(again, f"{name}_")) for name in NAMES]))
    bootstrap = np.std(draws, axis=0, ddof=1)
    # the error of a standard deviation of B draws, their kurtosis being what it is; and what large samples leave out
    centred = (np.array(draws) - np.mean(draws, axis=0)) / bootstrap
    allowed = k_se * np.sqrt(((centred**4).mean(axis=0) - 1) / (4 * B)) + fit.n_parameters_ / N
    assert (np.abs(sandwich / bootstrap - 1) < allowed).all()
    flatly = bg.GaussianMixture(2, init_params=z.astype(int)).fit(X)
    ratio = standard_errors(flatly, X, kind="sandwich")["covariances"] / standard_errors(flatly, X)["covariances"]
    assert float(ratio.max()) > 1.3


def test_rows_drawn_together_are_not_independent(rng):
    """Each row four times: as clusters they are worth what the single rows are, n / (n - 1) alike."""
    X = bg.load_dataset("faithful").values
    fit = bg.GaussianMixture(2, random_state=0, tol=1e-12).fit(X)
    single = standard_errors(fit, X, kind="sandwich")
    fourfold = standard_errors(fit, np.repeat(X, 4, axis=0), clusters=np.repeat(np.arange(len(X)), 4))
    np.testing.assert_allclose(flat(fourfold), flat(single), rtol=1e-8)


def test_what_is_no_fit_of_these_rows_is_refused(rng):
    X = bg.load_dataset("faithful")
    fit = bg.GaussianMixture(2, random_state=0).fit(X)
    halves = np.where(np.arange(len(X)) < 100, 1, 2)
    weights = rng.uniform(0.5, 2.0, size=len(X))
    with pytest.raises(ValueError, match=r"no maximum of the likelihood of these rows.*`sample_weight`"):
        standard_errors(fit, X, 10 * halves)
    with pytest.raises(ValueError, match=r"not whole numbers.*kind='sandwich'"):
        standard_errors(fit, X, weights, kind="information")
    with pytest.raises(ValueError, match="the information knows no sampling design"):
        standard_errors(fit, X, clusters=np.arange(len(X)), kind="information")
    with pytest.raises(ValueError, match="`kind` must be 'information' or 'sandwich'; received 'robust'"):
        standard_errors(fit, X, kind="robust")
    with pytest.raises(ValueError, match="this fit has prior='conjugate'"):
        standard_errors(bg.GaussianMixture(2, prior="conjugate", random_state=0).fit(X), X)
    with pytest.raises(ValueError, match=r"linear space.*received 'VEV'"):
        standard_errors(bg.GaussianMixture(2, covariance_type="VEV", random_state=0).fit(X), X)
    with pytest.raises(TypeError, match="`fit` must be a fitted GaussianMixture"):
        standard_errors(X, X)
    with pytest.raises(DataError, match="carry their own"):
        standard_errors(fit, as_observations(X), weights)
    taught = bg.GaussianMixture(2, random_state=0).fit(X, known_labels=["a"] * 50 + ["b"] * 50 + [None] * 172)
    with pytest.raises(DataError, match=r"names \('c', 'd'\), but the fit had \('a', 'b'\)"):
        standard_errors(taught, X, known_labels=["c"] * 50 + ["d"] * 50 + [None] * 172)
    with pytest.raises(DataError, match=r"weights"):
        standard_errors(fit, pd.DataFrame(X.values, columns=["eruptions", "waiting"]), -weights)
