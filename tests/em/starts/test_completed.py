"""Complete rows for the starts of EM: what is filled in, what is kept to, and what is refused."""

import numpy as np
import pytest

from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.starts.completed import completed


def two_groups(rng, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Rows in two groups that are far apart, and the group of each."""
    z = rng.integers(2, size=n)
    return rng.normal(size=(n, 2)) + 9.0 * z[:, None], z


def test_missing_values_lie_on_the_regression_of_one_normal():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    X = np.column_stack([x, 3.0 + 2.0 * x + 0.1 * rng.normal(size=2000)])
    X[:500, 1] = np.nan
    rows = completed(as_observations(X))
    assert rows.missing is None
    np.testing.assert_array_equal(rows.values[500:], X[500:])
    # a hundredth of the pooled variance, 2.5, beside the variance of x, 1: the slope loses 2.5 % at each of few steps
    error = np.abs(rows.values[:500, 1] - (3.0 + 2.0 * x[:500]))
    assert (error < 0.05 + 0.05 * np.abs(2.0 * x[:500])).all()


def test_complete_rows_are_themselves_and_no_copy():
    X, z = two_groups(np.random.default_rng(1))
    plain = as_observations(X)
    assert completed(plain) is plain
    assert completed(as_observations(X, known_labels=z)).values is X


@pytest.mark.parametrize("known", [0, 1])
def test_components_are_those_that_are_known(known):
    """One known row decides which component is which, whatever the start makes of it."""
    X, z = two_groups(np.random.default_rng(2))
    labels = np.full(len(X), -1)
    labels[np.argmax(z == known)] = 0
    for seed in range(3):
        fit = GaussianMixture(2, random_state=seed).fit(X, known_labels=labels)
        np.testing.assert_allclose(fit.means_[0], 9.0 * known, atol=1.0)
        np.testing.assert_allclose(fit.means_[1], 9.0 * (1 - known), atol=1.0)


def test_every_label_known_is_discriminant_analysis():
    X, z = two_groups(np.random.default_rng(3))
    fit = GaussianMixture(2).fit(X, known_labels=np.where(z == 1, "b", "a"))
    assert fit.label_names_ == ("a", "b")
    for k in range(2):
        np.testing.assert_allclose(fit.means_[k], X[z == k].mean(axis=0), rtol=1e-10)
        np.testing.assert_allclose(fit.covariances_[k], np.cov(X[z == k].T, bias=True), rtol=1e-8)
    np.testing.assert_allclose(fit.weights_, np.bincount(z) / len(z), rtol=1e-10)
