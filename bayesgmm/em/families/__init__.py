"""Covariance families, NumPy half: a new family is a new file and one line here."""

from bayesgmm.em.families.common_orientation import EVE, VVE
from bayesgmm.em.families.diag import DIAG
from bayesgmm.em.families.diagonal_shapes import EEI, EVI, VEI
from bayesgmm.em.families.ellipsoidal_volume import EVV, VEE
from bayesgmm.em.families.family import CovarianceFamily, Part
from bayesgmm.em.families.full import FULL
from bayesgmm.em.families.one_dimension import E, V
from bayesgmm.em.families.own_orientation import EEV, VEV
from bayesgmm.em.families.spherical import EII, SPHERICAL
from bayesgmm.em.families.tied import TIED

FAMILIES: dict[str, CovarianceFamily] = {
    family.name: family for family in (EII, SPHERICAL, EEI, VEI, EVI, DIAG, TIED, VEE, EVE, VVE, EEV, VEV, EVV, FULL)
}
"""Families by the name in ``covariance_type``, in mclust's order: the simplest first."""

ONE_DIMENSIONAL: dict[str, CovarianceFamily] = {family.name: family for family in (E, V)}
"""Families of one feature only, where all others are one of these two."""


def covariance_family(covariance_type: str) -> CovarianceFamily:
    """Return the family of a ``covariance_type``: its own name, or mclust's code.

    Raises
    ------
    ValueError
        Listing the names there are.
    """
    every = FAMILIES | ONE_DIMENSIONAL
    for family in every.values():
        if covariance_type in (family.name, family.code):
            return family
    known = ", ".join(repr(name) + (f" ({f.code})" if name != f.code else "") for name, f in every.items())
    raise ValueError(f"`covariance_type` must be one of {known}; received {covariance_type!r}.")


def families_for(n_features: int) -> list[CovarianceFamily]:
    """List the families that differ in this number of features: E and V in one, the fourteen in more."""
    return list((ONE_DIMENSIONAL if n_features == 1 else FAMILIES).values())


def check_dimension(family: CovarianceFamily, n_features: int) -> None:
    """Refuse E and V for more than one feature.

    Raises
    ------
    ValueError
        Naming the families to take instead.
    """
    if family.one_dimensional and n_features != 1:
        alike = "'tied' (EEE)" if family.common else "'full' (VVV)"
        raise ValueError(
            f"`covariance_type` {family.name!r} is for one feature; the data has {n_features}. "
            f"With more than one, {alike} is its like."
        )


__all__ = [
    "FAMILIES",
    "ONE_DIMENSIONAL",
    "CovarianceFamily",
    "Part",
    "check_dimension",
    "covariance_family",
    "families_for",
]
