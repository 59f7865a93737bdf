"""The density on a 200 x 200 grid under 4000 draws against the bare pass of log joint densities, in pairs.

We ask for at most 1.3 times the bare pass without the interval, 3 times with it.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import resource  # noqa: E402

import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402
from _pairs import medians  # noqa: E402

import bayesgmm as bg  # noqa: E402
from bayesgmm.data.observations import as_new_observations  # noqa: E402
from bayesgmm.kernel.passes import for_each_block  # noqa: E402
from bayesgmm.mixture.parameters import MixtureParameters  # noqa: E402
from bayesgmm.posterior.datatree import parameter_dataset, posterior_parameters  # noqa: E402

DRAWS, POINTS = 4000, 200


def posterior(K: int) -> xr.DataTree:
    """Draws scattered about K components in the plane."""
    rng = np.random.default_rng(0)
    shape = (4, DRAWS // 4)
    centres = rng.normal(scale=4, size=(K, 2))
    spread = rng.gamma(100, 0.01, size=(*shape, K, 1, 1))
    draws = MixtureParameters.from_covariances(
        rng.dirichlet(np.full(K, 50.0), size=shape),
        centres + 0.1 * rng.normal(size=(*shape, K, 2)),
        spread * np.array([[1.0, 0.4], [0.4, 1.0]]),
    )
    return xr.DataTree.from_dict({"posterior": parameter_dataset(draws, ("x", "y"), ("", ""))})


def ratios(K: int) -> tuple[float, float, float]:
    """Seconds of the bare pass, and how many times that the mean takes, and the mean with its interval."""
    dt = posterior(K)
    axes = bg.grid_axes(dt, n_points=POINTS)
    points = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1).reshape(-1, 2)
    parameters = posterior_parameters(dt).flat()
    observations = as_new_observations(points, parameters, ("x", "y"))

    def bare() -> None:
        for_each_block(lambda rows, log_joint: None, observations, parameters)

    seconds, _, mean = medians(bare, lambda: bg.density(dt, axes, intervals=False), pairs=5)
    _, _, interval = medians(bare, lambda: bg.density(dt, axes), pairs=5)
    return seconds, mean, interval


def main() -> None:
    """Print the table."""
    print(f"{'K':>3} {'bare pass s':>12} {'mean':>6} {'with interval':>14}   times the bare pass (asked: 1.3 and 3)")
    for K in (2, 5):
        seconds, mean, interval = ratios(K)
        print(f"{K:>3} {seconds:>12.3f} {mean:>6.2f} {interval:>14.2f}", flush=True)
    print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
