"""The two verbs of the kernel on one block of rows, in the form that the conditioning asks for.

A *form* turns parameters into coefficients once per pass, then answers for each block: `log_joint`, the log of
weights_k N(y | mu_k, Sigma_k), and `expected_statistics`, the sums the E-step makes of it. May import NumPy only.
"""

import numpy as np

from bayesgmm.kernel.common import CommonForm
from bayesgmm.kernel.natural import NaturalForm
from bayesgmm.kernel.residual import ResidualForm
from bayesgmm.parameters import MixtureParameters

LARGEST_CONDITION = 1e6
"""Largest sum_ij |P_ij| m_i m_j for which the natural form runs: it loses about eps times that number."""

Form = NaturalForm | ResidualForm


def condition(parameters: MixtureParameters) -> float:
    """Largest term of the natural form's quadratic, max over components: (rho_k)^2 or more.

    With m_i = |mu_i| + 3 sd_i, the place furthest from the origin where component k still has rows of its own, the
    quadratic y^T P y is a sum of terms as large as sum_ij |P_ij| m_i m_j, of which rounding loses a fraction eps.
    For a component at distance rho (in its own standard deviations) from the origin this is about rho^2; correlation
    makes it larger, which |U^T mu| alone would miss.
    """
    U = parameters.precision_cholesky
    reach = np.abs(parameters.means) + 3 * np.sqrt(np.diagonal(parameters.covariances, axis1=-2, axis2=-1))
    precision = np.abs(U @ np.swapaxes(U, -1, -2))
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.max(reach[..., None, :] @ precision @ reach[..., :, None]))


def choose_form(parameters: MixtureParameters, *, diagonal: bool = False, spherical: bool = False) -> Form:
    """Return the natural form (two matrix products), or the residual form where the natural one would lose digits.

    Parameters
    ----------
    parameters : MixtureParameters
        In standard coordinates; leading batch dimensions are allowed.
    diagonal : bool
        Whether all covariances are diagonal, so that features y_i y_j with i != j are not needed.
    spherical : bool
        Whether, as well, each component has one variance for all features, so that their squares are needed as a sum.
    """
    if condition(parameters) > LARGEST_CONDITION:
        return ResidualForm(parameters, diagonal)
    return NaturalForm(parameters, diagonal=diagonal, spherical=spherical and is_spherical(parameters))


def is_spherical(parameters: MixtureParameters) -> bool:
    """Whether every covariance is a number times the identity, to the last digit."""
    U = parameters.precision_cholesky
    return bool((U == U[..., :1, :1] * np.eye(parameters.n_features)).all())


__all__ = ["LARGEST_CONDITION", "CommonForm", "Form", "NaturalForm", "ResidualForm", "choose_form", "condition"]
