"""Covariance families, PyTensor half: a new family is a new file and one line here."""

from bayesgmm.covariance import covariance_family
from bayesgmm.parametrisation.diag import DIAG
from bayesgmm.parametrisation.family import Parametrisation
from bayesgmm.parametrisation.full import FULL
from bayesgmm.parametrisation.spherical import SPHERICAL
from bayesgmm.parametrisation.tied import TIED

PARAMETRISATIONS: dict[str, Parametrisation] = {value.name: value for value in (FULL, TIED, DIAG, SPHERICAL)}
"""Parametrisations by the name of their family."""


def parametrisation(covariance_type: str) -> Parametrisation:
    """Find the PyTensor half of a family by its name, or mclust's code.

    Raises
    ------
    ValueError
        Listing the names there are; or saying which families can be sampled, when this one is for EM only.
    """
    family = covariance_family(covariance_type)
    if family.name not in PARAMETRISATIONS:
        sampled = ", ".join(f"{name!r} ({covariance_family(name).code})" for name in PARAMETRISATIONS)
        raise ValueError(
            f"`covariance_type` {family.name!r} is for EM (`GaussianMixture`) only; families that can be sampled are "
            f"{sampled}."
        )
    return PARAMETRISATIONS[family.name]


__all__ = ["PARAMETRISATIONS", "Parametrisation", "parametrisation"]
