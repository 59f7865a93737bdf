"""Posteriors of the number of components with Richardson & Green's (1997) prior, against other samplers.

The tables are not ours to choose: for each data set the posterior of K, uniform a priori on 1..30, of Green's own
program (Nmix 2.0.5, reversible jumps, 1.5 million sweeps, standard errors from 50 batches) and of a telescoping sampler
(Frühwirth-Schnatter, Malsiner-Walli & Grün 2021; 2.5 million sweeps, the same). Both integrate over everything but K,
neither knows of an evidence.
"""

import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import priors

K_SE = 4.0

NMIX = {
    3: (0.0603, 0.0015),
    4: (0.1358, 0.0024),
    5: (0.1866, 0.0019),
    6: (0.1939, 0.0014),
    7: (0.1578, 0.0013),
    8: (0.1098, 0.0014),
}
TELESCOPING = {
    3: (0.0568, 0.0022),
    4: (0.1328, 0.0017),
    5: (0.1878, 0.0011),
    6: (0.1966, 0.0012),
    7: (0.1599, 0.0010),
    8: (0.1102, 0.0008),
}


def richardson_green(X: np.ndarray) -> bg.Prior:
    """Their prior in their notation: delta = 1, xi, kappa = 1 / R^2, alpha = 2, g = 0.2, h = 10 / R^2."""
    R, middle = np.ptp(X), (X.min() + X.max()) / 2
    return bg.Prior(
        weights=priors.Dirichlet(1.0),
        means=priors.Normal(middle, R),
        covariances=priors.InverseWishart(4.0, priors.RandomScale(0.2, 5.0 / R**2)),
    )


@pytest.fixture(scope="module")
def found():
    X = bg.load_dataset("galaxies").values.reshape(-1, 1)
    evidences = {}
    for K in NMIX:
        with warnings.catch_warnings():
            # chains in modes of their own: the evidence goes on from them
            warnings.simplefilter("ignore", UserWarning)
            dt = bg.sample_posterior(X, K, prior=richardson_green(X), random_seed=K, progressbar=False)
        evidences[K] = bg.log_evidence(dt, random_seed=K)
        print(f"\nK = {K}: {evidences[K]}")
    return bg.posterior_of_components(evidences, random_seed=0)


@pytest.mark.parametrize("table", [NMIX, TELESCOPING], ids=["Nmix", "telescoping"])
def test_galaxies_have_the_posterior_of_other_samplers(found, table):
    """Log ratios of P(K) to that of the most probable K, whose errors are those of both."""
    best = max(table, key=lambda K: table[K][0])
    for K, (p, error) in table.items():
        if K == best:
            continue
        factor, own = found.log_bayes_factor(K, best)
        expected = np.log(p / table[best][0])
        theirs = np.hypot(error / p, table[best][1] / table[best][0])
        print(f"K = {K}: log P({K}) / P({best}) {factor:.3f} +- {own:.3f}, theirs {expected:.3f} +- {theirs:.3f}")
        assert abs(factor - expected) < K_SE * np.hypot(own, theirs)
        assert own < 0.15
