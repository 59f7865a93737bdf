"""One whole EM iteration, E-step and M-step, of scikit-learn's four families: bayesgmm against it, in pairs."""

import numpy as np
from _pairs import medians
from sklearn.mixture import GaussianMixture as TheirMixture

from bayesgmm.data.observations import as_observations
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.m_step import maximise
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import single_threaded_blas

SIZES = {(100_000, 2, 3): 10, (200_000, 10, 10): 12, (100_000, 32, 20): 9.5, (1_000_000, 5, 5): 14}
"""Rows, features, components; and how many times faster than scikit-learn we ask to be with full covariances."""


def overlapping(N: int, D: int, K: int) -> np.ndarray:
    """Rows of K spherical clusters, two standard deviations apart in each feature on average."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)) + 2 * rng.normal(size=(K, D))[rng.integers(K, size=N)]


def main() -> None:
    """Print the table."""
    print(
        f"{'family':>9} {'N':>9} {'D':>3} {'K':>3} {'scikit-learn ms':>16} {'bayesgmm ms':>12} {'ratio':>6}"
        f" {'wanted':>7}"
    )
    for name in ("full", "diag", "tied", "spherical"):
        for (N, D, K), wanted in SIZES.items():
            asked = f"{wanted:>7}" if name == "full" else f"{'-':>7}"
            ours_s, theirs_s, ratio = one_iteration(name, N, D, K)
            print(
                f"{name:>9} {N:>9} {D:>3} {K:>3} {theirs_s * 1e3:>16.1f} {ours_s * 1e3:>12.2f} {ratio:>6.1f} {asked}",
                flush=True,
            )


def one_iteration(name: str, N: int, D: int, K: int) -> tuple[float, float, float]:
    """Median seconds of an iteration of each, and the median ratio."""
    X = overlapping(N, D, K)
    family = FAMILIES[name]
    unit = np.broadcast_to(np.eye(D), (K, D, D)).copy()
    parameters = MixtureParameters.from_covariances(np.full(K, 1 / K), X[:K], unit)
    theirs = TheirMixture(
        K,
        covariance_type=name,
        weights_init=parameters.weights,
        means_init=parameters.means,
        precisions_init=family.pack(unit),
    )
    theirs._initialize(X, np.full((N, K), 1 / K))
    observations = as_observations(X)
    start = observations.to_standard(parameters)
    floor = 1e-8 * family.floor_variances(observations.variances) / observations.scale**2

    def our_iteration() -> None:
        # as a fit does: BLAS is held to one thread around passes and M-steps alike
        with single_threaded_blas():
            statistics = expected_statistics(observations, start, family.moments)
            maximise(statistics, family, floor, start)

    def their_iteration() -> None:
        _, log_responsibilities = theirs._e_step(X)
        theirs._m_step(X, log_responsibilities)

    return medians(our_iteration, their_iteration, repeats=(3, 3))


if __name__ == "__main__":
    main()
