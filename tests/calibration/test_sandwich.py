"""Unequal probabilities and clusters: 89 % intervals hold the population's parameters in 89 % of samples.

Each run draws a population from one mixture, and from it a survey: rows with a probability that depends on their
values, or whole clusters whose rows resemble each other. The sandwich of EM and the adjusted pseudo-posterior must
cover as they say; what takes weights for counts, or rows for independent, must visibly not. Intervals of one run stand
or fall together: the standard error of the coverage is that of the runs' own shares. SURVEY_RUNS sets how many runs.
"""

import os
import warnings

import numpy as np
from scipy.stats import t

import bayesgmm as bg
from bayesgmm.data.observations import as_observations
from bayesgmm.em.information import observed_information
from bayesgmm.posterior.sampling import LaplaceWarning, OtherModeWarning, PseudoPosteriorWarning

RUNS = int(os.environ.get("SURVEY_RUNS", "200"))
PROB, K_SE = 0.89, 3.0
WEIGHTS, MEANS = np.array([0.6, 0.4]), np.array([[0.0, 0.0], [4.0, 3.0]])
COVARIANCES = np.array([[[1.0, 0.5], [0.5, 1.5]], [[1.2, -0.4], [-0.4, 0.8]]])
START = bg.from_parameters(WEIGHTS, MEANS, COVARIANCES)
TRUTH = {"weights": WEIGHTS[:1], "means": MEANS, "covariances": COVARIANCES[:, *np.triu_indices(2)]}
POPULATION, ROWS, CLUSTERS, PER_CLUSTER = 40_000, 2000, 250, 8


def rows(rng: np.random.Generator, z: np.ndarray) -> np.ndarray:
    return MEANS[z] + np.einsum("nij,nj->ni", np.linalg.cholesky(COVARIANCES)[z], rng.normal(size=(len(z), 2)))


def unequal(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """About `ROWS` rows, those of a large second value up to ten times as often, and their weights."""
    X = rows(rng, rng.choice(2, size=POPULATION, p=WEIGHTS))
    chance = 1.0 + 9.0 / (1.0 + np.exp(-X[:, 1]))
    chance *= ROWS / chance.sum()
    drawn = rng.random(POPULATION) < chance
    return X[drawn], 1.0 / chance[drawn]


def clustered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Clusters that each have more of one component than of the other, and the cluster of each row."""
    share = rng.beta(1.2, 0.8, size=CLUSTERS)
    z = (rng.random((CLUSTERS, PER_CLUSTER)) > share[:, None]).astype(int).ravel()
    return rows(rng, z), np.repeat(np.arange(CLUSTERS), PER_CLUSTER)


def entries(part) -> dict[str, np.ndarray]:
    """The free numbers of weights, means and covariances, along the last dimensions."""
    weights, means, covariances = (np.asarray(part[name]) for name in TRUTH)
    return {"weights": weights[..., :1], "means": means, "covariances": covariances[..., *np.triu_indices(2)]}


def share_inside(lower: dict, upper: dict) -> float:
    return float(np.concatenate([((lower[k] <= TRUTH[k]) & (TRUTH[k] <= upper[k])).ravel() for k in TRUTH]).mean())


def covered(fit: bg.GaussianMixture, errors, degrees_of_freedom: float = np.inf) -> float:
    """Share of the parameters inside the intervals of a fit."""
    width = t.ppf((1 + PROB) / 2, degrees_of_freedom)
    centre = entries({name: getattr(fit, f"{name}_") for name in TRUTH})
    errors = entries(errors)
    return share_inside(
        {name: centre[name] - width * errors[name] for name in TRUTH},
        {name: centre[name] + width * errors[name] for name in TRUTH},
    )


def report(name: str, shares: list[float]) -> tuple[float, float]:
    mean, error = float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(len(shares)))
    print(f"{name}: coverage {mean:.4f}, standard error {error:.4f}, {len(shares)} runs")
    return mean, error


def test_the_sandwich_covers_under_unequal_probabilities():
    ours, as_counts = [], []
    for seed in range(RUNS):
        X, weights = unequal(np.random.default_rng([11, seed]))
        fit = bg.GaussianMixture(2, init_params=START).fit(X, sample_weight=weights)
        errors = bg.standard_errors(fit, X, weights)
        ours.append(covered(fit, errors, errors.attrs["degrees_of_freedom"]))
        scaled = as_observations(X, weights=weights * len(X) / weights.sum())
        as_counts.append(covered(fit, observed_information(scaled, fit).standard_errors()._asdict()))
    mean, error = report("sandwich", ours)
    assert abs(mean - PROB) < K_SE * error
    naive, error = report("weights as counts", as_counts)
    assert naive < PROB - K_SE * error


def test_the_sandwich_covers_under_clusters():
    ours, as_rows = [], []
    for seed in range(RUNS):
        X, clusters = clustered(np.random.default_rng([12, seed]))
        fit = bg.GaussianMixture(2, init_params=START).fit(X)
        errors = bg.standard_errors(fit, X, clusters=clusters)
        ours.append(covered(fit, errors, errors.attrs["degrees_of_freedom"]))
        as_rows.append(covered(fit, bg.standard_errors(fit, X)))
    mean, error = report("sandwich of clusters", ours)
    assert abs(mean - PROB) < K_SE * error
    naive, error = report("rows as independent", as_rows)
    assert naive < PROB - K_SE * error


def one_survey(seed: int) -> tuple[float, float]:
    """Shares of the parameters inside the intervals of the adjusted pseudo-posterior, and of the pseudo-posterior."""
    X, weights = unequal(np.random.default_rng([13, seed]))
    with warnings.catch_warnings():
        for ignored in (LaplaceWarning, OtherModeWarning, PseudoPosteriorWarning):
            warnings.simplefilter("ignore", ignored)
        start = bg.GaussianMixture(2, init_params=START).fit(X, sample_weight=weights)
        dt = bg.sample_posterior(
            X,
            2,
            weights=weights,
            start=start,
            method="laplace",
            chains=1,
            draws=2000,
            random_seed=seed,
            progressbar=False,
        )
    shares = []
    for tree in (bg.adjust_pseudo_posterior(dt), dt):
        posterior = tree["posterior"].to_dataset().isel(chain=0).transpose("draw", ...)
        draws = entries(posterior)
        lower, upper = (
            {name: np.quantile(draws[name], q, axis=0) for name in TRUTH} for q in ((1 - PROB) / 2, (1 + PROB) / 2)
        )
        shares.append(share_inside(lower, upper))
    return shares[0], shares[1]


def test_the_adjusted_pseudo_posterior_covers_under_unequal_probabilities():
    ours, unadjusted = zip(*map(one_survey, range(RUNS)), strict=True)
    mean, error = report("adjusted pseudo-posterior", list(ours))
    assert abs(mean - PROB) < K_SE * error
    naive, error = report("pseudo-posterior", list(unadjusted))
    assert naive < PROB - K_SE * error
