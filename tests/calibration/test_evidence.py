"""The log evidence against exact values, and its claimed error against repetition of the chains themselves."""

import warnings

import numpy as np
import pytest
from scipy.stats import chi2

import bayesgmm as bg
from bayesgmm import priors
from bayesgmm.posterior.sampling import OtherModeWarning
from tests.support.truth import exact_evidence

PRIOR = bg.Prior(
    weights=priors.Dirichlet(1.0), means=priors.Normal(20.0, 10.0), covariances=priors.InverseWishart(6.0, 40.0)
)
K_SE = 4.0
LARGEST_ERROR = 0.02
REPETITIONS = 30
FACTOR = 1.5

CASES = exact_evidence()


def evidence(X: np.ndarray, K: int, seed: int, covariance_type: str = "full"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OtherModeWarning)
        dt = bg.sample_posterior(
            X, K, covariance_type=covariance_type, prior=PRIOR, random_seed=seed, progressbar=False
        )
    return bg.log_evidence(dt, random_seed=seed)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "y" in case])
def test_small_data_sets_have_their_exact_evidence(name):
    case = CASES[name]
    found = evidence(np.array(case["y"])[:, None], case["K"], seed=1)
    print(f"\n{name}: {found}; exact {case['log_evidence']:.4f}")
    assert found.standard_error < LARGEST_ERROR
    assert abs(found.value - case["log_evidence"]) < K_SE * found.standard_error


@pytest.mark.parametrize(
    ("K", "covariance_type", "expected", "error"),
    [(1, "full", -246.1061, 0.0), (2, "tied", -239.764, 0.005)],
)
def test_galaxies_have_the_published_evidence(K, covariance_type, expected, error):
    """One component by quadrature; two with a common variance by Neal (1999)."""
    found = evidence(galaxies(), K, seed=2, covariance_type=covariance_type)
    print(f"\ngalaxies, K = {K}, {covariance_type}: {found}; published {expected}")
    assert abs(found.value - expected) < K_SE * np.hypot(found.standard_error, error)


@pytest.mark.parametrize("K", [2, 3])
def test_claimed_error_agrees_with_repetition(K):
    """Chains and estimate repeated: the spread is the mean claimed error, to a factor 1.5 and chance."""
    found = [evidence(galaxies(), K, seed=100 + r) for r in range(REPETITIONS)]
    spread = np.std([one.value for one in found], ddof=1)
    claimed = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    print(f"\ngalaxies, K = {K}: spread {spread:.4f}, claimed {claimed:.4f}, ratio {spread / claimed:.2f}")
    # the spread of 30 values is itself uncertain: two-sided 1e-4 of a chi-squared
    low, high = np.sqrt(chi2.ppf([5e-5, 1 - 5e-5], REPETITIONS - 1) / (REPETITIONS - 1))
    assert low / FACTOR < spread / claimed < high * FACTOR


def galaxies() -> np.ndarray:
    """Velocities in 1000 km/s."""
    return bg.load_dataset("galaxies").values.reshape(-1, 1) * 1.0
