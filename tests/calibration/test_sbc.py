"""Simulation-based calibration (Talts et al. 2018): parameters from the prior, data from them, posterior ranks uniform.

Quantities are invariant under relabelling. Slow: run by `make calibrate`.
"""

import numpy as np
import pymc as pm
import pytest
from scipy.stats import kstest

from bayesgmm import priors
from bayesgmm.model import mixture_model
from bayesgmm.nuts import sample_nuts
from bayesgmm.parameters import MixtureParameters
from bayesgmm.simulation import draw_rows
from tests.oracle import log_density

REPLICATIONS = 100
N_ROWS = 40
KEPT = 99
THIN = 8
POINTS = np.array([[0.0, 0.0], [1.5, -1.0]])
LEVEL = 0.01
"""Family-wise: a correct sampler fails one run of all configurations in a hundred (Bonferroni over the quantities)."""

CONFIGURATIONS = {
    ("full", 2): priors.InverseWishart(6.0, [[3.0, 0.5], [0.5, 2.0]]),
    ("diag", 1): priors.InverseWishart(6.0, [3.0]),
}
QUANTITIES = ("log likelihood", "density at the centre", "density aside", "sum of squared weights")


def quantities(X: np.ndarray, parameters: MixtureParameters) -> np.ndarray:
    """Quantities of one mixture that do not know its labels, (4,)."""
    D = X.shape[1]
    return np.array(
        [
            log_density(X, parameters).sum(),
            *log_density(POINTS[:, :D], parameters),
            (parameters.weights**2).sum(),
        ]
    )


def ranks(covariance_type: str, D: int, prior: priors.Prior, assumed: priors.Prior, replications: int) -> np.ndarray:
    """Ranks of the truth among thinned draws, (replications, 4); data from `prior`, posterior under `assumed`."""
    rng = np.random.default_rng(7)
    anything = rng.normal(size=(N_ROWS, D))
    with mixture_model(anything, 2, covariance_type=covariance_type, prior=prior):
        truth = pm.sample_prior_predictive(replications, random_seed=11)["prior"].to_dataset().isel(chain=0)
    found = []
    for r in range(replications):
        parameters = MixtureParameters.from_covariances(
            *(truth[name].isel(draw=r).values for name in ("weights", "means", "covariances"))
        )
        X = draw_rows(rng, parameters, N_ROWS)[0]
        model = mixture_model(X, 2, covariance_type=covariance_type, prior=assumed)
        drawn = sample_nuts(model, chains=2, draws=KEPT * THIN // 2 + THIN, tune=500, random_seed=r, progressbar=False)
        kept = [np.concatenate(drawn.posterior[name])[::THIN][:KEPT] for name in ("weights", "means", "covariances")]
        values = [quantities(X, MixtureParameters.from_covariances(*one)) for one in zip(*kept, strict=True)]
        found.append((np.array(values) < quantities(X, parameters)).sum(axis=0))
    return np.array(found)


def smallest_p_value(found: np.ndarray) -> float:
    """Kolmogorov-Smirnov against the uniform, ranks spread over their cells; the smallest over the quantities."""
    spread = (found + np.random.default_rng(3).random(found.shape)) / (KEPT + 1)
    return min(float(kstest(column, "uniform").pvalue) for column in spread.T)


def explicit(D: int, covariances: priors.InverseWishart, sigma: float = 2.0) -> priors.Prior:
    """A prior with every number given, so that it does not look at the data."""
    return priors.Prior(
        weights=priors.Dirichlet(2.0), means=priors.Normal([0.0] * D, [sigma] * D), covariances=covariances
    )


@pytest.mark.parametrize(("covariance_type", "D"), CONFIGURATIONS)
def test_ranks_are_uniform(covariance_type: str, D: int) -> None:
    prior = explicit(D, CONFIGURATIONS[covariance_type, D])
    found = ranks(covariance_type, D, prior, prior, REPLICATIONS)
    level = LEVEL / (len(QUANTITIES) * len(CONFIGURATIONS))
    p = smallest_p_value(found)
    print(f"{covariance_type}, D = {D}: smallest p-value {p:.3f} of {len(QUANTITIES)}, level {level:.5f}")
    assert p > level


def test_a_wrong_prior_is_found_out() -> None:
    """The posterior of a prior that puts the means in the wrong place must not pass."""
    covariances = CONFIGURATIONS["diag", 1]
    wrong = priors.Prior(weights=priors.Dirichlet(2.0), means=priors.Normal([3.0], [0.7]), covariances=covariances)
    found = ranks("diag", 1, explicit(1, covariances), wrong, REPLICATIONS)
    assert smallest_p_value(found) < 1e-6
