"""Memberships of 100 000 rows over 1000 draws against the bare `log_joint` pass over the same draws.

    python tests/benchmarks/membership.py [rows]

Asked for: with intervals at most 3 times the pass, without at most 1.3 times.
"""

import sys
import time

import numpy as np

from bayesgmm.data.observations import as_new_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.questions.membership import membership
from tests.benchmarks._pairs import medians
from tests.support.posteriors import as_datatree, scattered_draws

D, K, DRAWS = 5, 5, 1000


def main() -> None:
    """Print the ratios."""
    N = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) + 2 * rng.normal(size=(K, D))[rng.integers(K, size=N)]
    gm = GaussianMixture(K, random_state=0).fit(X[:20_000])
    draws = scattered_draws(gm.parameters_, 5000, rng, 1, DRAWS)
    dt = as_datatree(gm, X[:100], draws)
    rows = as_new_observations(X, draws, ("x0", "x1", "x2", "x3", "x4"))
    flat = draws.flat()
    start = time.perf_counter()
    membership(dt, rows, progressbar=False)
    print(f"first call, with compilation: {time.perf_counter() - start:.1f} s")

    def bare() -> None:
        for_each_block(lambda rows, log_joint: None, rows, flat)

    print(f"{'intervals':>10} {'membership s':>13} {'log_joint s':>12} {'ratio':>6} {'wanted':>7}")
    for intervals, wanted in ((True, 3.0), (False, 1.3)):
        theirs, ours, ratio = medians(
            bare, lambda asked=intervals: membership(dt, rows, intervals=asked, progressbar=False), pairs=5
        )
        print(f"{intervals!s:>10} {ours:>13.2f} {theirs:>12.2f} {ratio:>6.2f} {wanted:>7}", flush=True)


if __name__ == "__main__":
    main()
