"""Peak memory of an EM fit beside its data, as the number of rows grows: fresh processes, one table.

Two measures: what Python and NumPy ask for (tracemalloc), and what the process holds (its largest resident set).
"""

import json
import resource
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np

SIZES = (100_000, 300_000, 1_000_000, 3_000_000)
D, K = 10, 10
WANTED = 0.05
"""Most growth of the peak, as a share of the growth of the data."""


def clusters(N: int) -> np.ndarray:
    """Rows of K overlapping clusters, made block by block so that making them leaves no high-water mark."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(K, D))
    X = np.empty((N, D))
    for start in range(0, N, 10_000):
        rows = X[start : start + 10_000]
        rng.standard_normal(out=rows)
        rows += centres[rng.integers(K, size=len(rows))]
    return X


def resident() -> int:
    """Largest resident set of this process so far, in bytes (Linux counts in KiB)."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(N: int) -> dict[str, int]:
    """Peaks of one fit in this process, the data apart."""
    from bayesgmm.em.estimator import GaussianMixture

    def fit(X: np.ndarray) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            GaussianMixture(K, max_iter=5, random_state=0).fit(X)

    fit(clusters(30_000))  # libraries, thread pools and buffers that are made once for all
    X = clusters(N)
    before = resident()
    fit(X)
    held = resident() - before
    tracemalloc.start()
    fit(X)
    asked = tracemalloc.get_traced_memory()[1]
    return {"data": X.nbytes, "asked": asked, "held": held}


def main() -> None:
    """Print the table; exit with 1 where the peak grows too fast."""
    print(f"{'N':>9} {'data MiB':>9} {'asked MiB':>10} {'held MiB':>9}   (D = {D}, K = {K}; the data apart)")
    rows = []
    for N in SIZES:
        child = subprocess.run([sys.executable, __file__, str(N)], capture_output=True, text=True, check=True)
        rows.append(json.loads(child.stdout))
        data, asked, held = (rows[-1][name] / 2**20 for name in ("data", "asked", "held"))
        print(f"{N:>9} {data:>9.1f} {asked:>10.2f} {held:>9.2f}", flush=True)
    growth = {
        name: (rows[-1][name] - rows[0][name]) / (rows[-1]["data"] - rows[0]["data"]) for name in ("asked", "held")
    }
    print(f"growth of the peak over growth of the data: asked {growth['asked']:.2%}, held {growth['held']:.2%}", end="")
    print(f" (wanted: below {WANTED:.0%})")
    sys.exit(max(growth.values()) >= WANTED)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
