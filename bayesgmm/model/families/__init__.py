"""Covariance families, PyTensor half: a new family is a new file and one line here."""

from bayesgmm.em.families import covariance_family
from bayesgmm.model.families.common_orientation import EVE, VVE
from bayesgmm.model.families.diag import DIAG, EEI
from bayesgmm.model.families.diagonal_shapes import EVI, VEI
from bayesgmm.model.families.ellipsoidal_volume import EVV, VEE
from bayesgmm.model.families.family import Parametrisation
from bayesgmm.model.families.full import FULL
from bayesgmm.model.families.one_dimension import E, V
from bayesgmm.model.families.own_orientation import EEV, VEV
from bayesgmm.model.families.spherical import EII, SPHERICAL
from bayesgmm.model.families.tied import TIED

PARAMETRISATIONS: dict[str, Parametrisation] = {
    value.name: value for value in (EII, SPHERICAL, EEI, VEI, EVI, DIAG, TIED, VEE, EVE, VVE, EEV, VEV, EVV, FULL)
}
"""Parametrisations by the name of their family, in mclust's order."""

ONE_DIMENSIONAL: dict[str, Parametrisation] = {value.name: value for value in (E, V)}
"""Those of one feature only."""


def parametrisation(covariance_type: str) -> Parametrisation:
    """Find the PyTensor half of a family by its name, or mclust's code.

    Raises
    ------
    ValueError
        Listing the names there are.
    """
    return (PARAMETRISATIONS | ONE_DIMENSIONAL)[covariance_family(covariance_type).name]


__all__ = ["ONE_DIMENSIONAL", "PARAMETRISATIONS", "Parametrisation", "parametrisation"]
