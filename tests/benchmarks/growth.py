"""How the time of an EM iteration grows with N, K and D; full covariances.

python tests/benchmarks/growth.py [--most-rows 10000000] [--picture FILE.png]
"""

import argparse
import statistics
import time

import numpy as np

from bayesgmm.data.observations import as_observations
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.m_step import maximise
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import single_threaded_blas


def seconds(N: int, D: int, K: int, repeats: int = 5) -> float:
    """Median time of one iteration."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D))
    X += 2 * rng.normal(size=(K, D))[rng.integers(K, size=N)]
    observations = as_observations(X)
    unit = np.broadcast_to(np.eye(D), (K, D, D)).copy()
    at = observations.to_standard(MixtureParameters.from_covariances(np.full(K, 1 / K), X[:K], unit))
    floor = 1e-8 * observations.variances / observations.scale**2
    times = []
    with single_threaded_blas():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            maximise(expected_statistics(observations, at), FAMILIES["full"], floor, at)
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def slope(sizes: list[int], times: list[float]) -> float:
    """Exponent of the growth over the larger half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def main() -> None:
    """Print the table, and draw it where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--most-rows", type=int, default=10_000_000)
    parser.add_argument("--picture")
    options = parser.parse_args()
    rows = [N for N in (10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000) if N <= options.most_rows]
    grids = {
        "N (D = 5, K = 5)": [(N, (N, 5, 5)) for N in rows],
        "K (N = 100 000, D = 5)": [(K, (100_000, 5, K)) for K in (2, 5, 10, 20, 50, 100)],
        "D (N = 50 000, K = 5)": [(D, (50_000, D, 5)) for D in (2, 5, 10, 20, 35, 50)],
    }
    print(f"{'varied':<24} {'size':>10} {'ms':>10} {'exponent':>9}")
    found = {}
    for name, cases in grids.items():
        sizes, times = [size for size, _ in cases], []
        for size, (N, D, K) in cases:
            times.append(seconds(N, D, K))
            print(f"{name:<24} {size:>10} {times[-1] * 1e3:>10.2f}", flush=True)
        print(f"{name:<24} {'':>10} {'':>10} {slope(sizes, times):>9.2f}", flush=True)
        found[name] = (sizes, times)
    if options.picture:
        draw(found, options.picture)


def draw(found: dict[str, tuple[list[int], list[float]]], path: str) -> None:
    """Time against each size, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(12, 3.8), layout="constrained")
    for ax, (name, (sizes, times)) in zip(axes, found.items(), strict=True):
        power = 2 if name.startswith("D") else 1
        ax.loglog(sizes, np.array(times) * 1e3, "o-", color="#0072B2", label="one EM iteration")
        guide = times[-1] * (np.array(sizes) / sizes[-1]) ** power * 1e3
        ax.loglog(sizes, guide, "--", color="#595959", label="quadratic" if power == 2 else "linear")
        if max(sizes) < 1000:
            ax.set_xticks(sizes, [str(size) for size in sizes])
            ax.minorticks_off()
        ax.set_xlabel(name)
        ax.set_ylabel("milliseconds")
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
