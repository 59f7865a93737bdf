"""What is calibrated: every family, D and K of the study, and the planted faults that it must find."""

import numpy as np

from bayesgmm import priors
from bayesgmm.em.families import covariance_family
from tests.calibration.sbc import Configuration

FAMILIES = ("full", "tied", "diag", "spherical", "VEV", "EVE")
ORIENTED = ("VEV", "EVE")
"""Volume, shape and orientation apart: two features or more."""


def inverse_wishart(covariance_type: str, D: int, dof_above: float = 4.0) -> priors.InverseWishart:
    """Standard deviations of order one, correlated a priori where the family has correlations."""
    scale = 3.0 * (0.8 * np.eye(D) + 0.2)
    if covariance_family(covariance_type).diagonal:
        return priors.InverseWishart(dof_above + 1.0, 3.0)
    return priors.InverseWishart(D + dof_above, scale.tolist())


def explicit(
    covariance_type: str,
    D: int,
    covariances: priors.CovariancePrior | None = None,
    concentration: float = 2.0,
    sigma: float = 2.0,
    noise: priors.Beta | None = None,
) -> priors.Prior:
    """Prior with every number given; components overlap as often as not."""
    if covariances is None and covariance_type in ORIENTED:
        covariances = priors.Decomposed(volume=priors.LogNormal(0.0, 0.5), shape=priors.LogNormal(0.0, 0.5))
    return priors.Prior(
        weights=priors.Dirichlet(concentration),
        means=priors.Normal([0.3] * D, [sigma] * D),
        covariances=covariances or inverse_wishart(covariance_type, D),
        noise=noise,
    )


def _honest() -> list[Configuration]:
    found = [
        Configuration(family, D, K, explicit(family, D), f"{family}, D = {D}, K = {K}")
        for family in FAMILIES
        for D in ((2,) if family in ORIENTED else (1, 2))
        for K in (1, 2, 3)
    ]
    correlated = priors.LKJ(1.5, sd=priors.LogNormal(0.0, 0.5))
    noisy = explicit("full", 2, noise=priors.Beta(2.0, 6.0))
    return [
        *found,
        Configuration("full", 2, 2, explicit("full", 2, correlated), "full, D = 2, K = 2, LKJ"),
        Configuration("full", 2, 2, noisy, "full, D = 2, K = 2, noise", noise=(-5.0, 5.0)),
    ]


HONEST = tuple(_honest())

FAULTY = (
    Configuration(
        "diag", 1, 2, explicit("diag", 1), "wrong prior: a quarter of the spread of the means",
        assumed=explicit("diag", 1, sigma=0.5),
    ),
    Configuration(
        "full", 2, 2, explicit("full", 2), "wrong prior: 8 more degrees of freedom",
        assumed=explicit("full", 2, inverse_wishart("full", 2, dof_above=12.0)),
    ),
    Configuration(
        "diag", 1, 2, explicit("diag", 1), "no Jacobian of the weights", without_jacobian="weights",
    ),
    Configuration(
        "full", 2, 2, explicit("full", 2), "no Jacobian of Bartlett's diagonal", without_jacobian="bartlett_diagonal",
    ),
)  # fmt: skip
