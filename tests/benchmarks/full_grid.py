"""The full search, families x K = 1..9: bayesgmm's `compare` against R's mclustBIC and scikit-learn, in pairs.

    python tests/benchmarks/full_grid.py [--rows 40000] [--pairs 7]

Everybody stops by mclust's rule (relative change of the log-likelihood below 1e-5) and starts once: bayesgmm and mclust
from an agglomeration of a sample (800 rows; mclust 2000). mclust needs Rscript with the package mclust (Debian:
r-base-core, r-cran-mclust); without it the table leaves it out and says so.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture as TheirMixture

import bayesgmm as bg

R_SCRIPT = """
suppressMessages(library(mclust))
X <- as.matrix(read.csv(commandArgs(TRUE)[1], header = FALSE))
set.seed(1)
seconds <- system.time(bic <- mclustBIC(X, verbose = FALSE))[["elapsed"]]
cat(sprintf('{"seconds": %.4f, "bic": %.4f}', seconds, -max(bic, na.rm = TRUE)))
"""
FOUR = ("full", "tied", "diag", "spherical")
COUNTS = range(1, 10)


def five_overlapping(N: int, D: int = 5) -> np.ndarray:
    """Rows of five clusters whose centres are about 1.5 standard deviations apart in each feature, own shapes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=N)
    centres = 1.5 * rng.normal(size=(5, D))
    roots = np.eye(D) + 0.4 * rng.normal(size=(5, D, D))
    return np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(N, D))) + centres[labels]


def stopping_tolerance(X: np.ndarray) -> float:
    """mclust's relative 1e-5, as a rise per row at the log-likelihood of one Gaussian."""
    one = bg.GaussianMixture(1).fit(X)
    return 1e-5 * (1 + abs(one.lower_bound_ * len(X))) / len(X)


def ours(X: np.ndarray, families: str | tuple[str, ...], tol: float, acceleration: str | None) -> dict[str, float]:
    """Seconds and best BIC of `compare`."""
    start = time.perf_counter()
    found = bg.compare(X, COUNTS, covariance_type=families, n_init=1, tol=tol, acceleration=acceleration)
    return {"seconds": time.perf_counter() - start, "bic": found.table.loc[found.table["admissible"], "bic"].min()}


def mclust(path: Path) -> dict[str, float]:
    """Seconds and best BIC of mclustBIC, reading the data apart."""
    command = ["Rscript", "-e", R_SCRIPT, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def scikit_learn(X: np.ndarray, tol: float) -> dict[str, float]:
    """Seconds and best BIC of its four families."""
    start, best = time.perf_counter(), np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family in FOUR:
            for K in COUNTS:
                fitted = TheirMixture(K, covariance_type=family, tol=tol, max_iter=10_000, random_state=0).fit(X)
                best = min(best, fitted.bic(X))
    return {"seconds": time.perf_counter() - start, "bic": best}


def compare_in_pairs(name: str, first, second, pairs: int) -> None:
    """Print medians of alternating runs."""
    runs = [(first(), second()) for _ in range(pairs)]
    seconds = [statistics.median(run[side]["seconds"] for run in runs) for side in (0, 1)]
    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in runs)
    a, b = runs[-1]
    print(
        f"{name:<42} {seconds[0]:>9.2f} {seconds[1]:>9.2f} {ratio:>7.2f} {a['bic']:>12.2f} {b['bic']:>12.2f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--acceleration", default="quasi-newton", choices=["quasi-newton", "none"])
    options = parser.parse_args()
    acceleration = None if options.acceleration == "none" else options.acceleration
    big, iris = five_overlapping(options.rows), bg.load_dataset("iris").values
    bg.compare(iris, [2], n_init=1)  # imports and threads
    print(f"{'grid':<42} {'ours s':>9} {'theirs s':>9} {'ratio':>7} {'our BIC':>12} {'their BIC':>12}")
    with_mclust = shutil.which("Rscript") is not None
    for name, X, pairs in (("iris", iris, options.pairs), (f"N = {options.rows}, D = 5", big, options.pairs)):
        tol = stopping_tolerance(X)
        if with_mclust:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "rows.csv"
                np.savetxt(path, X, delimiter=",", fmt="%.17g")
                compare_in_pairs(
                    f"{name}: 14 families, against mclust",
                    lambda X=X, tol=tol: ours(X, "all", tol, acceleration),
                    lambda path=path: mclust(path),
                    pairs,
                )
        compare_in_pairs(
            f"{name}: 4 families, against scikit-learn",
            lambda X=X, tol=tol: ours(X, FOUR, tol, acceleration),
            lambda X=X, tol=tol: scikit_learn(X, tol),
            pairs,
        )
    if not with_mclust:
        print("mclust is left out: no Rscript on this machine.")


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    main()
