"""One whole EM iteration, E-step and M-step, full covariance: bayesgmm against scikit-learn, in pairs."""

import numpy as np
from _pairs import medians
from sklearn.mixture import GaussianMixture as TheirMixture

from bayesgmm.blocks import expected_statistics, single_threaded_blas
from bayesgmm.covariance import FAMILIES
from bayesgmm.em import maximise
from bayesgmm.observations import as_observations
from bayesgmm.parameters import MixtureParameters

SIZES = {(100_000, 2, 3): 5, (200_000, 10, 10): 8, (100_000, 32, 20): 7, (1_000_000, 5, 5): 9}
"""Rows, features, components; and how many times faster than scikit-learn we ask to be."""


def overlapping(N: int, D: int, K: int) -> np.ndarray:
    """Rows of K spherical clusters, two standard deviations apart in each feature on average."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)) + 2 * rng.normal(size=(K, D))[rng.integers(K, size=N)]


def main() -> None:
    """Print the table."""
    print(f"{'N':>9} {'D':>3} {'K':>3} {'scikit-learn ms':>16} {'bayesgmm ms':>12} {'ratio':>6} {'wanted':>7}")
    for (N, D, K), wanted in SIZES.items():
        X = overlapping(N, D, K)
        parameters = MixtureParameters.from_covariances(
            np.full(K, 1 / K), X[:K], np.broadcast_to(np.eye(D), (K, D, D)).copy()
        )
        theirs = TheirMixture(
            K, weights_init=parameters.weights, means_init=parameters.means, precisions_init=parameters.covariances
        )
        theirs._initialize(X, np.full((N, K), 1 / K))
        observations = as_observations(X)
        start = observations.to_standard(parameters)
        floor = 1e-8 * observations.variances / observations.scale**2

        def our_iteration(observations=observations, start=start, floor=floor) -> None:
            # as a fit does: BLAS is held to one thread around passes and M-steps alike
            with single_threaded_blas():
                maximise(expected_statistics(observations, start), FAMILIES["full"], floor, start)

        def their_iteration(X=X, theirs=theirs) -> None:
            _, log_responsibilities = theirs._e_step(X)
            theirs._m_step(X, log_responsibilities)

        ours_s, theirs_s, ratio = medians(our_iteration, their_iteration, repeats=(3, 3))
        print(
            f"{N:>9} {D:>3} {K:>3} {theirs_s * 1e3:>16.1f} {ours_s * 1e3:>12.2f} {ratio:>6.1f} {wanted:>7}", flush=True
        )


if __name__ == "__main__":
    main()
