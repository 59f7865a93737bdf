"""Priors of a mixture as frozen values: numbers in the units of the data, exact in JSON, resolved once from data."""

from bayesgmm.priors.covariances import LKJ, CovariancePrior, Decomposed, InverseWishart, RandomScale
from bayesgmm.priors.location import Beta, Dirichlet, Normal
from bayesgmm.priors.prior import KINDS, Prior
from bayesgmm.priors.scales import HalfNormal, InverseGamma, LogNormal
from bayesgmm.priors.value import Numbers, PriorError, as_tuples

__all__ = [
    "KINDS",
    "LKJ",
    "Beta",
    "CovariancePrior",
    "Decomposed",
    "Dirichlet",
    "HalfNormal",
    "InverseGamma",
    "InverseWishart",
    "LogNormal",
    "Normal",
    "Numbers",
    "Prior",
    "PriorError",
    "RandomScale",
    "as_tuples",
]
