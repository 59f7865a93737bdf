"""How the time of value and gradient grows with N, K and D, against the two bare matrix products of an E-step.

The compiled pass, one thread, full covariances, against NumPy's products (BLAS, one thread) of the same sizes in
blocks of 2048 rows: coefficients (K, F) times features (F, B), and (K, B) times the transpose of features, F = 1 + D
+ D(D+1)/2.

python tests/benchmarks/gradient_growth.py [--most-rows 1000000] [--picture docs/images/gradient_growth.png]
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
from _pairs import medians, seconds  # noqa: E402

from bayesgmm.model.likelihood import call_compiled_pass  # noqa: E402

BLOCK_ROWS = 2048
WANTED = 2.5
"""At most this many times the two products, from D = 5 up."""


def gradient(N: int, D: int, K: int) -> Callable[[], object]:
    """Value and gradient of the log likelihood at parameters near those the rows came from."""
    rng = np.random.default_rng(0)
    means = 2 * rng.normal(size=(K, D))
    x = rng.standard_normal((N, D)) + means[rng.integers(K, size=N)]
    U = np.repeat(np.eye(D)[None], K, axis=0) + 0.1 * np.triu(rng.normal(size=(K, D, D)), 1)
    arguments = (x, np.ones(1), np.full(K, -np.log(K)), means, U, np.array(-np.inf), np.zeros(1))
    return lambda: call_compiled_pass(*arguments)


def two_products(N: int, D: int, K: int) -> Callable[[], object]:
    """The two products alone, of random numbers that stay where they are."""
    rng = np.random.default_rng(0)
    F, B = 1 + D + D * (D + 1) // 2, min(N, BLOCK_ROWS)
    eta, features = rng.standard_normal((K, F)), rng.standard_normal((F, B))
    joint, sums = np.empty((K, B)), np.empty((K, F))
    blocks = max(1, round(N / B))

    def run() -> None:
        for _ in range(blocks):
            np.dot(eta, features, out=joint)
            np.dot(joint, features.T, out=sums)

    return run


def slope(sizes: list[int], times: list[float]) -> float:
    """Exponent of the growth over the larger half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def draw(found: dict[str, tuple[list[int], list[float], list[float]]], path: str) -> None:
    """Time against each size, on logarithmic axes, and the multiple of the two products."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(found), figsize=(12, 5.6), layout="constrained", height_ratios=(3, 1.4))
    for column, (name, (sizes, ours, bare)) in zip(axes.T, found.items(), strict=True):
        top, bottom = column
        top.loglog(sizes, np.array(ours) * 1e3, "o-", color="#0072B2", label="value and gradient")
        top.loglog(sizes, np.array(bare) * 1e3, "s--", color="#D55E00", label="the two matrix products alone")
        bottom.semilogx(sizes, np.array(ours) / np.array(bare), "o-", color="#0072B2")
        bottom.axhline(WANTED, color="#595959", linestyle=":")
        bottom.set(xlabel=name, ylim=(0, None))
        for ax in column:
            ax.set_xticks(sizes, [f"{size:,}" if size < 10_000 else f"{size:.0e}" for size in sizes])
            ax.minorticks_off()
            ax.grid(alpha=0.3)
        top.set_xticklabels([])
    axes[0, 0].set_ylabel("milliseconds")
    axes[1, 0].set_ylabel("ratio")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the table, and draw it where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--most-rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--picture")
    options = parser.parse_args()
    rows = [N for N in (1_000, 10_000, 100_000, 1_000_000) if N <= options.most_rows]
    grids = {
        "N (D = 5, K = 5)": [(N, (N, 5, 5)) for N in rows],
        "K (N = 20 000, D = 5)": [(K, (20_000, 5, K)) for K in (2, 5, 10, 20, 50)],
        "D (N = 20 000, K = 5)": [(D, (20_000, D, 5)) for D in (1, 2, 5, 10, 20, 40)],
    }
    print(f"{'varied':<24} {'size':>9} {'gradient ms':>12} {'products ms':>12} {'ratio':>6} {'exponent':>9}")
    found = {}
    for name, cases in grids.items():
        sizes, ours, bare = [size for size, _ in cases], [], []
        for size, case in cases:
            run, products = gradient(*case), two_products(*case)
            repeats = max(1, int(0.1 / seconds(run))), max(1, int(0.1 / seconds(products)))
            our_s, bare_s, inverse = medians(run, products, pairs=options.pairs, repeats=repeats)
            ours.append(our_s)
            bare.append(bare_s)
            print(f"{name:<24} {size:>9} {our_s * 1e3:>12.3f} {bare_s * 1e3:>12.3f} {1 / inverse:>6.2f}", flush=True)
        print(f"{name:<24} {'':>9} {'':>12} {'':>12} {'':>6} {slope(sizes, ours):>9.2f}", flush=True)
        found[name] = (sizes, ours, bare)
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
