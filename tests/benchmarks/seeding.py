"""What a Gaussian at the mode saves NUTS: leapfrogs of the warm-up, and for each effective draw of the slowest number.

Two chains each; plain: nutpie's low-rank adaptation from the EM fit with jitter, no curvature; framed: chains move in
the coordinates of the Gaussian at the mode, with a diagonal mass matrix. `python tests/benchmarks/seeding.py [NAME]...`
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import sys  # noqa: E402
import warnings  # noqa: E402
from dataclasses import replace  # noqa: E402

import arviz as az  # noqa: E402
import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402

from bayesgmm.data.datasets import load_dataset  # noqa: E402
from bayesgmm.data.observations import as_observations  # noqa: E402
from bayesgmm.em.estimator import GaussianMixture  # noqa: E402
from bayesgmm.mixture.alignment import align  # noqa: E402
from bayesgmm.model.mixture_model import mixture_model  # noqa: E402
from bayesgmm.model.points import mixtures  # noqa: E402
from bayesgmm.posterior.posterior_modes import posterior_modes  # noqa: E402
from bayesgmm.sampler.log_density import LogDensity, compile_log_density  # noqa: E402
from bayesgmm.sampler.native_callback import interpreted  # noqa: E402
from bayesgmm.sampler.nuts import draw_unconstrained  # noqa: E402
from bayesgmm.sampler.unconstrained import constrain_draws  # noqa: E402

CHAINS, DRAWS = 2, 1000
TUNES = (1000, 300, 150)


def clusters(N: int, D: int, K: int, apart: float) -> np.ndarray:
    """Rows of K spherical clusters."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(N, D)) + apart * rng.normal(size=(K, D))[rng.integers(K, size=N)]


CASES = {
    "faithful": lambda: (load_dataset("faithful"), 2),
    "iris 2": lambda: (load_dataset("iris"), 2),
    "iris 3": lambda: (load_dataset("iris"), 3),
    "galaxies": lambda: (load_dataset("galaxies"), 3),
    "separated": lambda: (clusters(1000, 2, 3, 6.0), 3),
    "overlapping": lambda: (clusters(1000, 2, 3, 1.2), 3),
    "10 000 rows": lambda: (clusters(10_000, 5, 5, 2.0), 5),
}


def with_count(density: LogDensity) -> tuple[LogDensity, list[int]]:
    """Give the density with a counter of its evaluations."""
    counted = [0]

    def function(x: np.ndarray, *data: np.ndarray) -> tuple:
        counted[0] += 1
        return density.function(x, *data)

    return replace(density, compiled=interpreted(function, density.data)._replace(function=density.function)), counted


def main(names: list[str]) -> None:
    """Print the table."""
    print("leapfrogs: of the warm-up; after it for each effective draw of the slowest number; and of both")
    for name in names or CASES:
        X, K = CASES[name]()
        observations = as_observations(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = GaussianMixture(K, n_init=10, random_state=0).fit(observations)
        model = mixture_model(observations, K, start=fit)
        density = compile_log_density(model)
        mode = posterior_modes(model, density, [fit], observations.total_weight, seed=0)[0]
        if mode.gaussian is None or mode.check is None:
            print(f"{name}: no Gaussian")
            continue
        n, frame = density.space.size, mode.gaussian.frame
        print(f"{name}: n = {n}, k-hat {mode.check.pareto_k:.2f}, curvature in {mode.gaussian.passes} evaluations")
        i, j = np.triu_indices(observations.n_features)
        rng = np.random.default_rng(5)
        jitter = min(0.5, 2 / np.sqrt(observations.total_weight / K))
        starts = {
            "plain": mode.point + jitter * rng.normal(size=(CHAINS, n)),
            "framed": frame.to_x(1.5 * rng.normal(size=(CHAINS, n))),
        }
        for label, points in starts.items():
            for tune in TUNES:
                frames = None if label == "plain" else [frame] * CHAINS
                counting, counted = with_count(density)
                found = draw_unconstrained(
                    counting, points, draws=DRAWS, tune=tune, cores=1, random_seed=11, progressbar=False, frames=frames
                )
                drawn = mixtures(constrain_draws(model, found.values))
                drawn = drawn.permute(align(drawn, fit.parameters_).permutation)
                shape = (CHAINS, DRAWS, -1)
                numbers = np.concatenate(
                    [part.reshape(shape) for part in (drawn.weights, drawn.means, drawn.covariances[..., i, j])], axis=2
                )
                least = float(az.ess(xr.Dataset({"v": (("chain", "draw", "i"), numbers)}))["v"].min())
                after = int(found.sample_stats["n_steps"].sum())
                warm = counted[0] - after
                print(
                    f"  {label:7} tune {tune:5}: warm-up {warm:7}, {after / least:8.1f} for each of {least:6.0f} "
                    f"effective draws, with the warm-up {counted[0] / least:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
