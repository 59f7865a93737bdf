"""Covariance families, PyTensor half: a new family is a new file and one line here."""

from bayesgmm.covariance import covariance_family
from bayesgmm.parametrisation.common_orientation import EVE, VVE
from bayesgmm.parametrisation.diag import DIAG, EEI
from bayesgmm.parametrisation.diagonal_shapes import EVI, VEI
from bayesgmm.parametrisation.ellipsoidal_volume import EVV, VEE
from bayesgmm.parametrisation.family import Parametrisation
from bayesgmm.parametrisation.full import FULL
from bayesgmm.parametrisation.one_dimension import E, V
from bayesgmm.parametrisation.own_orientation import EEV, VEV
from bayesgmm.parametrisation.spherical import EII, SPHERICAL
from bayesgmm.parametrisation.tied import TIED

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
