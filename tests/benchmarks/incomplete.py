"""One EM iteration on incomplete rows: against one on complete rows, and against astroML's XDGMM, in turn.

XDGMM (extreme deconvolution) needs a Python of its own with astroML in it: its path is in the environment variable
BAYESGMM_XDGMM_PYTHON. Without one the second comparison says that it did not run.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _pairs import medians

from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.em.families import FAMILIES
from bayesgmm.em.m_step import maximise
from bayesgmm.kernel.passes import expected_statistics
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import single_threaded_blas

MOST_TIMES_COMPLETE = 5.0
LEAST_TIMES_XDGMM = 10.0
XDGMM_STEPS = 3

XDGMM = """
import sys, time
import numpy as np
from astroML.density_estimation import XDGMM
data = np.load(sys.argv[1])
model = XDGMM(len(data["weights"]))
model.alpha, model.mu, model.V = data["weights"].copy(), data["means"].copy(), data["covariances"].copy()
seconds = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    model._EMstep(data["X"], data["errors"])
    seconds.append(time.perf_counter() - start)
print(float(np.median(seconds)), model.logL(data["X"], data["errors"]))
"""


def mixture(rng: np.random.Generator, K: int, D: int) -> MixtureParameters:
    """Components of spread about one, two apart in each feature on average."""
    A = rng.normal(size=(K, D, D + 2))
    return MixtureParameters.from_covariances(
        np.full(K, 1.0 / K), 2.0 * rng.normal(size=(K, D)), A @ np.swapaxes(A, 1, 2) / (D + 2)
    )


def draw(rng: np.random.Generator, p: MixtureParameters, N: int) -> np.ndarray:
    """Rows (N, D)."""
    z = rng.choice(p.n_components, size=N, p=p.weights)
    return p.means[z] + np.einsum("nij,nj->ni", np.linalg.cholesky(p.covariances)[z], rng.normal(size=p.means[z].shape))


def iteration(observations: Observations, p: MixtureParameters) -> Callable[[], MixtureParameters]:
    """E-step and M-step from one place, of full covariances."""
    standard = observations.to_standard(p)
    floor = np.full(p.n_features, 1e-8)

    def run() -> MixtureParameters:
        with single_threaded_blas():
            return maximise(expected_statistics(observations, standard), FAMILIES["full"], floor)[0]

    return run


def missing_values(N: int = 100_000, D: int = 5, K: int = 5) -> None:
    """Every pattern of D features but the empty one, about alike often."""
    rng = np.random.default_rng(0)
    p = mixture(rng, K, D)
    X = draw(rng, p, N)
    patterns = 1 + np.arange(N) % (2**D - 1)
    hidden = (patterns[:, None] >> np.arange(D)) % 2 == 0
    complete, incomplete = as_observations(X), as_observations(np.where(hidden, np.nan, X))
    ours, plain, _ = medians(iteration(incomplete, p), iteration(complete, p), pairs=11)
    ratio = ours / plain
    print(
        f"missing values, N={N} D={D} K={K}, {2**D - 1} patterns: {1e3 * ours:.1f} ms an iteration, complete rows "
        f"{1e3 * plain:.1f} ms: {ratio:.2f} times (asked: below {MOST_TIMES_COMPLETE:.0f})"
    )


def measurement_errors(N: int = 100_000, D: int = 3, K: int = 5) -> None:
    """A covariance of its own for each row."""
    rng = np.random.default_rng(1)
    p = mixture(rng, K, D)
    B = 0.5 * rng.normal(size=(N, D, D))
    X = draw(rng, p, N) + np.einsum("nij,nj->ni", B, rng.normal(size=(N, D)))
    errors = B @ np.swapaxes(B, 1, 2)
    observations = as_observations(X, errors=errors)
    python = os.environ.get("BAYESGMM_XDGMM_PYTHON")
    ours = iteration(observations, p)
    if python is None:
        alone, _, _ = medians(ours, ours)
        print(
            f"measurement errors, N={N} D={D} K={K}: {1e3 * alone:.0f} ms an iteration. Not compared: set "
            "BAYESGMM_XDGMM_PYTHON to a Python that has astroML."
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        np.savez(data, X=X, errors=errors, weights=p.weights, means=p.means, covariances=p.covariances)
        before, _, _ = medians(ours, ours, pairs=3)
        done = subprocess.run(
            [python, "-c", XDGMM, str(data), str(XDGMM_STEPS)], check=True, capture_output=True, text=True
        )
        after, _, _ = medians(ours, ours, pairs=3)
    theirs, their_log_likelihood = (float(word) for word in done.stdout.split())
    at = p
    for _ in range(XDGMM_STEPS):
        at = observations.from_standard(iteration(observations, at)())
    log_likelihood = expected_statistics(observations, observations.to_standard(at)).log_likelihood
    mine = 0.5 * (before + after)
    print(
        f"measurement errors, N={N} D={D} K={K}: {1e3 * mine:.0f} ms an iteration, XDGMM {1e3 * theirs:.0f} ms: "
        f"{theirs / mine:.1f} times faster (asked: {LEAST_TIMES_XDGMM:.0f}). Log-likelihood after {XDGMM_STEPS} "
        f"iterations from the same start: {log_likelihood:.6f}, XDGMM {their_log_likelihood:.6f}"
    )


if __name__ == "__main__":
    missing_values()
    measurement_errors()
