"""Recovery from incomplete rows: 89 % intervals hold the truth in 89 % of runs, and what others do is visibly worse.

Each run draws rows from one mixture, hides 30 % of the values at random or adds errors as large as the spread, and
takes the Laplace posterior. Intervals of one run stand or fall together: the standard error of the coverage is that of
the runs' own shares. Beside it: the posterior of the complete rows alone, and of the rows as if they had no errors.
RECOVERY_RUNS sets how many runs.
"""

import os
import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.posterior.sampling import LaplaceWarning, OtherModeWarning

RUNS = int(os.environ.get("RECOVERY_RUNS", "200"))
PROB, K_SE = 0.89, 3.0
N = 400
WEIGHTS, MEANS = np.array([0.6, 0.4]), np.array([[0.0, 0.0, 0.0], [4.0, 3.0, -3.0]])
COVARIANCES = np.array(
    [[[1.0, 0.5, 0.2], [0.5, 1.5, 0.0], [0.2, 0.0, 0.8]], [[1.2, -0.4, 0.0], [-0.4, 0.8, 0.3], [0.0, 0.3, 1.0]]]
)
START = bg.from_parameters(WEIGHTS, MEANS, COVARIANCES)


def rows(rng: np.random.Generator) -> np.ndarray:
    z = rng.choice(2, size=N, p=WEIGHTS)
    return MEANS[z] + np.einsum("nij,nj->ni", np.linalg.cholesky(COVARIANCES)[z], rng.normal(size=(N, 3)))


def missing(rng: np.random.Generator):
    X = rows(rng)
    hidden = rng.random(X.shape) < 0.3
    X = np.where(hidden, np.nan, X)
    return X[~hidden.all(axis=1)], {}


def errors(rng: np.random.Generator):
    """Standard errors about as large as the standard deviations of the components, another for each value."""
    E = rng.uniform(0.4, 1.6, size=(N, 3)) ** 2
    return rows(rng) + rng.normal(size=(N, 3)) * np.sqrt(E), {"errors": E}


def one_run(X: np.ndarray, given: dict, seed: int) -> tuple[float, dict[str, float]]:
    """Share of the parameters inside their intervals, and the mean squared error of the posterior means."""
    with warnings.catch_warnings():
        for ignored in (LaplaceWarning, OtherModeWarning):
            warnings.simplefilter("ignore", ignored)
        start = bg.GaussianMixture(2, init_params=START).fit(X, **given)
        dt = bg.sample_posterior(
            X, 2, start=start, method="laplace", chains=1, draws=2000, random_seed=seed, progressbar=False, **given
        )
    posterior = dt["posterior"].to_dataset().isel(chain=0)
    inside, squared = [], {}
    upper = np.triu_indices(3)
    for name, truth in (("weights", WEIGHTS[:1]), ("means", MEANS), ("covariances", COVARIANCES)):
        draws = posterior[name].transpose("draw", ...).values
        draws = draws[:, :1] if name == "weights" else draws[..., *upper] if name == "covariances" else draws
        truth = truth[..., *upper] if name == "covariances" else truth
        lower, top = np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
        inside.append(((lower <= truth) & (truth <= top)).ravel())
        squared[name] = float(np.square(draws.mean(axis=0) - truth).mean())
    return float(np.concatenate(inside).mean()), squared


def leave_out(hide, X: np.ndarray) -> np.ndarray:
    """What others do: drop rows that are not complete, or take values for exact."""
    return X[~np.isnan(X).any(axis=1)] if hide is missing else X


@pytest.mark.parametrize(("hide", "worse"), [(missing, "means"), (errors, "covariances")])
def test_intervals_hold_the_truth_as_often_as_they_say(hide, worse):
    shares, ours, left_out = [], [], []
    for seed in range(RUNS):
        X, given = hide(np.random.default_rng([7, seed]))
        share, squared = one_run(X, given, seed)
        shares.append(share)
        ours.append(squared[worse])
        left_out.append(one_run(leave_out(hide, X), {}, seed)[1][worse])
    standard_error = np.std(shares, ddof=1) / np.sqrt(RUNS)
    print(f"{hide.__name__}: coverage {np.mean(shares):.4f}, standard error {standard_error:.4f}, {RUNS} runs")
    print(f"mean squared error of the {worse} {np.mean(ours):.4f}; leaving it out {np.mean(left_out):.4f}")
    assert abs(np.mean(shares) - PROB) < K_SE * standard_error
    assert np.mean(left_out) > 1.5 * np.mean(ours)
