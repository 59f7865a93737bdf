"""Value and gradient of the model's log density: bayesgmm against `pm.Mixture` of `pm.MvNormal`, in pairs.

Same free variables, same priors, same compiler (PyTensor's numba backend), one thread; only the likelihood differs.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402

import numpy as np  # noqa: E402
import pymc as pm  # noqa: E402
from _pairs import medians, seconds  # noqa: E402

from bayesgmm.model.coordinates.matrices import upper_inverse  # noqa: E402
from bayesgmm.model.families import parametrisation  # noqa: E402
from bayesgmm.model.mixture_model import Standardise, mixture_model, specification  # noqa: E402

SIZES = {(1_000, 2, 3): 3, (10_000, 5, 5): 4, (100_000, 10, 10): 12}
"""Rows, features, components; and how many times faster than `pm.Mixture` we ask to be."""


def rows(N: int, D: int, K: int) -> np.ndarray:
    """Rows of K spherical clusters, two standard deviations apart in each feature on average."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)) + 2 * rng.normal(size=(K, D))[rng.integers(K, size=N)]


def pymc_model(X: np.ndarray, ours: pm.Model) -> pm.Model:
    """Build the same model with PyMC's likelihood, in the form it is fastest with: a list, given Cholesky factors."""
    given = specification(ours)
    K, D, prior = given.n_components, X.shape[1], given.prior
    coords = {name: values for name, values in ours.coords.items() if values is not None}
    with pm.Model(coords=coords) as model:
        weights = pm.Dirichlet("weights", np.asarray(prior.weights.concentration), shape=(K,))
        mu, sigma = np.asarray(prior.means.mu), np.asarray(prior.means.sigma)
        means = pm.Normal("means", mu, sigma, shape=(K, D), default_transform=Standardise())
        U = parametrisation(given.covariance_type).precision_cholesky(prior.covariances, K, D)
        L = upper_inverse(U).swapaxes(1, 2)
        components = [pm.MvNormal.dist(means[k], chol=L[k]) for k in range(K)]
        pm.Mixture("x", weights, components, observed=pm.Data("x_data", X, shape=(None, D)))
    return model


def compiled(model: pm.Model) -> tuple[Callable[[np.ndarray], tuple], float]:
    """Compile value and gradient; also the seconds it took, first call included."""
    start = time.perf_counter()
    function = model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
    function.set_extra_values({})
    point = pm.blocking.DictToArrayBijection.map(model.initial_point())
    function(point)
    return function, time.perf_counter() - start


def main() -> None:
    """Print the table."""
    columns = f"{'N':>9} {'D':>3} {'K':>3} {'pm.Mixture ms':>14} {'bayesgmm ms':>12} {'ratio':>6} {'wanted':>7}"
    print(f"{columns} {'compile s: pm.Mixture':>22} {'bayesgmm':>9}   largest difference, relative")
    for (N, D, K), wanted in SIZES.items():
        X = rows(N, D, K)
        model = mixture_model(X, K)
        ours, our_compilation = compiled(model)
        theirs, their_compilation = compiled(pymc_model(X, model))
        size = sum(int(np.prod(value.type.shape)) for value in model.value_vars)
        vector = 0.3 * np.random.default_rng(1).normal(size=size)
        (value, gradient), (their_value, their_gradient) = ours(vector), theirs(vector)
        difference = max(
            abs(value / their_value - 1), np.max(np.abs(gradient - their_gradient)) / np.max(np.abs(their_gradient))
        )
        run_ours, run_theirs = partial(ours, vector), partial(theirs, vector)
        repeats = max(1, int(0.2 / seconds(run_ours))), max(1, int(0.2 / seconds(run_theirs)))
        our_s, their_s, ratio = medians(run_ours, run_theirs, repeats=repeats)
        print(
            f"{N:>9} {D:>3} {K:>3} {their_s * 1e3:>14.3f} {our_s * 1e3:>12.3f} {ratio:>6.1f} {wanted:>7} "
            f"{their_compilation:>22.1f} {our_compilation:>9.1f}   {difference:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
