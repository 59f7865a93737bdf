"""What a noise component costs `membership` over many draws: seconds, without and with intervals.

Run: python -m tests.benchmarks.noise_over_draws [rows] [draws]
"""

import sys
import time

import numpy as np

from bayesgmm.data.observations import as_observations
from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.questions.summaries import summarise_memberships
from tests.support import noisy
from tests.support.posteriors import scattered_draws
from tests.support.strategies import random_mixture


def seconds(draws: MixtureParameters, X: np.ndarray, prob: float | None, compiled: bool) -> float:
    """Least of three passes; the first compiles."""
    rows, times = as_observations(X), []
    for _ in range(3):
        start = time.perf_counter()
        summarise_memberships(rows, draws, prob, compiled=compiled)
        times.append(time.perf_counter() - start)
    return min(times)


def main(n_rows: int = 60_000, n_draws: int = 400) -> None:
    """Print one table; "inside" says whether the background holds all rows."""
    rng = np.random.default_rng(0)
    two, three = (random_mixture(rng, K, 2) for K in (2, 3))
    X = draw_rows(rng, three, n_rows)[0]
    all_inside, inner = Background.around(X), Background.box(*np.quantile(X, [0.01, 0.99], axis=0))
    print(f"{n_rows} rows, {n_draws} draws, D = 2: seconds")
    print(f"{'mixture':28s} {'means':>8s} {'intervals':>10s} {'NumPy':>8s}")
    for name, parameters, background in (
        ("K = 2", two, None),
        ("K = 2, noise, all inside", two, all_inside),
        ("K = 2, noise, some outside", two, inner),
        ("K = 3", three, None),
        ("K = 3, noise, all inside", three, all_inside),
    ):
        draws = scattered_draws(parameters, 2000, rng, 1, n_draws).flat()
        if background is not None:
            draws = noisy.with_noise(draws, np.full(n_draws, 0.1), background)
        times = [seconds(draws, X, *how) for how in ((None, True), (0.89, True), (None, False))]
        print(f"{name:28s} {times[0]:8.2f} {times[1]:10.2f} {times[2]:8.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
