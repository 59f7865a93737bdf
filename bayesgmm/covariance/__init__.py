"""Covariance families, NumPy half: a new family is a new file and one line here. May import NumPy only."""

from bayesgmm.covariance.diag import DIAG
from bayesgmm.covariance.family import CovarianceFamily
from bayesgmm.covariance.full import FULL
from bayesgmm.covariance.spherical import SPHERICAL
from bayesgmm.covariance.tied import TIED

FAMILIES: dict[str, CovarianceFamily] = {family.name: family for family in (FULL, TIED, DIAG, SPHERICAL)}
"""Families by the name in ``covariance_type``."""


def covariance_family(covariance_type: str) -> CovarianceFamily:
    """Return the family of a ``covariance_type``: its own name, or mclust's code.

    Raises
    ------
    ValueError
        Listing the names there are.
    """
    for family in FAMILIES.values():
        if covariance_type in (family.name, family.code):
            return family
    known = ", ".join(f"{name!r} ({family.code})" for name, family in FAMILIES.items())
    raise ValueError(f"`covariance_type` must be one of {known}; received {covariance_type!r}.")


__all__ = ["FAMILIES", "CovarianceFamily", "covariance_family"]
