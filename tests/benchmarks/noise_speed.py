"""One EM iteration with a noise component against one without, processor time of one thread, in turns.

python -m tests.benchmarks.noise_speed
"""

import time
from dataclasses import replace

import numpy as np

from bayesgmm.data.background import background_of
from bayesgmm.data.observations import as_observations
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.m_step import maximise
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.tools.threads import single_threaded_blas
from tests.support.strategies import random_mixture, random_rows

SIZES = [(100_000, 2, 3), (100_000, 5, 5), (100_000, 10, 10)]
TURNS = 60


def iteration(observations, parameters, family, floor):
    started = time.thread_time()
    statistics = expected_statistics(observations, parameters, family.moments, n_threads=1)
    maximise(statistics, family, floor, parameters)
    return time.thread_time() - started


def main() -> None:
    family = FAMILIES["full"]
    print(f"{'N':>8} {'D':>3} {'K':>3} {'without, ms':>12} {'with, ms':>9} {'ratio':>6}   (smallest of {TURNS} turns)")
    for N, D, K in SIZES:
        rng = np.random.default_rng(N + D)
        observations = as_observations(random_rows(rng, N, D, clusters=K))
        without = random_mixture(rng, K, D)
        noise = Noise(np.asarray(0.1), background_of("box", observations))
        pair = (without, replace(without, noise=noise))
        with single_threaded_blas():
            times = np.array(
                [[iteration(observations, one, family, np.zeros(D)) for one in pair] for _ in range(TURNS)]
            )
        first, second = 1e3 * times.min(axis=0)
        print(f"{N:>8} {D:>3} {K:>3} {first:>12.1f} {second:>9.1f} {second / first:>6.2f}")


if __name__ == "__main__":
    main()
