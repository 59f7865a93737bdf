"""Laplace's approximation on a million rows, counted in passes; its intervals against NUTS's on a tenth of them.

python tests/benchmarks/laplace_scale.py [--rows 1000000] [--nuts-rows 100000] [--draws 2000] [--tune 500]

A pass is one evaluation of the likelihood, or of it and its gradient, over all rows. Allowed are EM's own, 2 for each
of the p unconstrained parameters, 50, and one for each importance draw. An interval's error is the larger distance of
its two ends from NUTS's, as a share of the width of NUTS's; the median and the largest over weights, means and
covariances are shown, beside what two halves of NUTS's own draws differ by: the Monte Carlo error of the comparison.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402

import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402

import bayesgmm as bg  # noqa: E402
from bayesgmm.posterior.datatree import meta  # noqa: E402

D = K = 5
PROBABILITY = 0.89
WANTED_K_HAT, WANTED_ERROR = 0.7, 0.05


def rows(N: int) -> np.ndarray:
    """K correlated clusters, two standard deviations apart in each feature on average."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(K, D))
    mixing = np.linalg.cholesky(0.7 * np.eye(D) + 0.3)
    return rng.normal(size=(N, D)) @ mixing.T + centres[rng.integers(K, size=N)]


def n_parameters() -> int:
    """Count p, the length of the unconstrained vector."""
    return K - 1 + K * D + K * D * (D + 1) // 2


def numbers(tree: xr.DataTree) -> np.ndarray:
    """Draws of weights, means and the elements of covariances, (chain, draw, number)."""
    posterior = tree["posterior"]
    i, j = np.tril_indices(D)
    parts = (posterior["weights"].values, posterior["means"].values, posterior["covariances"].values[..., i, j])
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


def intervals(draws: np.ndarray) -> np.ndarray:
    """Equal-tailed intervals, (2, number)."""
    tail = (1 - PROBABILITY) / 2
    return np.quantile(draws.reshape(-1, draws.shape[-1]), [tail, 1 - tail], axis=0)


def errors(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Larger distance of the two ends, relative to the reference's width."""
    return np.abs(found - reference).max(axis=0) / (reference[1] - reference[0])


def main() -> None:
    """Print passes, k-hat, seconds, memory, and the errors of the intervals."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--nuts-rows", type=int, default=100_000)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=4)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    X = rows(options.rows)

    start = time.perf_counter()
    fit = bg.GaussianMixture(K, n_init=1, random_state=0).fit(X)
    em_seconds = time.perf_counter() - start
    start = time.perf_counter()
    tree = bg.sample_posterior(X, K, start=fit, method="laplace", random_seed=1, progressbar=False)
    seconds = time.perf_counter() - start
    facts = meta(tree)
    passes, importance = facts["passes"], facts["passes"]["importance"]
    allowed = fit.n_iter_ + 2 * n_parameters() + 50 + importance
    print(f"N = {options.rows}, D = {D}, K = {K}: EM {em_seconds:.1f} s, Laplace {seconds:.1f} s, {facts['seconds']}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB, the data {X.nbytes / 2**30:.2f}")
    total = sum(passes.values())
    print(
        f"passes {passes}, {total} in all; allowed {allowed} (EM, 2 p with p = {n_parameters()}, 50, importance draws)"
    )
    print(f"k-hat {facts['laplace']['pareto_k']:.2f}, asked below {WANTED_K_HAT}")

    X = X[: options.nuts_rows]
    fit = bg.GaussianMixture(K, n_init=1, random_state=0).fit(X)
    shared = {"start": fit, "random_seed": 2, "progressbar": False, "chains": options.chains, "draws": options.draws}
    laplace = bg.sample_posterior(X, K, method="laplace", **shared)
    start = time.perf_counter()
    nuts = numbers(bg.sample_posterior(X, K, tune=options.tune, **shared))
    print(f"N = {len(X)}: NUTS {time.perf_counter() - start:.1f} s, k-hat {meta(laplace)['laplace']['pareto_k']:.2f}")
    reference, half = intervals(nuts), options.draws // 2
    for name, found in (
        ("Laplace", errors(intervals(numbers(laplace)), reference)),
        ("NUTS, halves", errors(intervals(nuts[:, :half]), intervals(nuts[:, half:]))),
    ):
        print(
            f"{name:<14} error of {found.size} intervals, share of the width: median {np.median(found):.3f}, "
            f"largest {found.max():.3f}; asked {WANTED_ERROR}"
        )


if __name__ == "__main__":
    main()
