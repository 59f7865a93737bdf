"""Time to one and the same tight log-likelihood from one start: bayesgmm against scikit-learn, in pairs.

The start is bayesgmm's k-means; both go on until scikit-learn, stopped at a rise of 1e-10 per row, is where it is.
"""

import warnings

import numpy as np
from _pairs import medians
from sklearn.mixture import GaussianMixture as TheirMixture

import bayesgmm as bg

MIXTURES = {"separated": 4.0, "overlapping": 1.2}
"""Distance of the centres from the origin, in standard deviations of a cluster in each feature."""


def rows(distance: float, N: int = 100_000, D: int = 3, K: int = 4) -> np.ndarray:
    """Rows of K clusters with shapes of their own."""
    rng = np.random.default_rng(2)
    labels = rng.integers(K, size=N)
    roots = np.eye(D) + 0.3 * rng.normal(size=(K, D, D))
    return np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(N, D))) + distance * rng.normal(size=(K, D))[labels]


def main() -> None:
    """Print the table."""
    print(
        f"{'mixture':>12} {'scikit-learn s':>15} {'bayesgmm s':>11} {'ratio':>7} {'passes':>13} "
        f"{'log-likelihood per row: theirs, ours - theirs':>46}"
    )
    for name, distance in MIXTURES.items():
        X = rows(distance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = bg.GaussianMixture(4, random_state=0, max_iter=1).fit(X)
        theirs = TheirMixture(
            4, tol=1e-10, max_iter=100_000, reg_covar=0.0,
            weights_init=start.weights_, means_init=start.means_, precisions_init=start.precisions_,
        )  # fmt: skip
        ours = bg.GaussianMixture(4, tol=1e-9, init_params=start)
        ours_s, theirs_s, ratio = medians(lambda X=X, m=ours: m.fit(X), lambda X=X, m=theirs: m.fit(X))
        score = theirs.score(X)
        print(
            f"{name:>12} {theirs_s:>15.3f} {ours_s:>11.4f} {ratio:>7.1f} {theirs.n_iter_:>7}/{ours.n_iter_:<5} "
            f"{score:>20.9f} {ours.score(X) - score:>25.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
