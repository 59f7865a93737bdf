"""The two verbs of the kernel on one block of rows, in the form that the conditioning asks for.

A *form* turns parameters into coefficients once per pass, then answers for each block: `log_joint`, the log of
weights_k N(y | mu_k, Sigma_k), and `expected_statistics`, the sums the E-step makes of it.
"""

from collections.abc import Sequence

import numpy as np

from bayesgmm.kernel.common import CommonForm
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.natural import NaturalForm, precisions
from bayesgmm.kernel.residual import ResidualForm
from bayesgmm.mixture.parameters import MixtureParameters

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
    return float(_conditions(parameters, precisions(parameters)).max())


def _conditions(parameters: MixtureParameters, precision: np.ndarray) -> np.ndarray:
    """Compute the number of each component, (..., K)."""
    reach = np.sqrt(parameters.covariances.diagonal(axis1=-2, axis2=-1))
    reach *= 3.0
    reach += np.abs(parameters.means)
    with np.errstate(over="ignore", invalid="ignore"):
        conditions: np.ndarray = ((np.abs(precision) @ reach[..., None])[..., 0] * reach).sum(axis=-1)
    return conditions


def choose_form(
    parameters: MixtureParameters,
    moments: Moments = Moments.FULL,
    of_all_rows: tuple[np.ndarray, float] | None = None,
) -> Form | CommonForm:
    """Return the natural form (two matrix products), or the residual form where the natural one would lose digits.

    Parameters
    ----------
    parameters : MixtureParameters
        In standard coordinates; leading batch dimensions are allowed.
    moments : Moments
        What is needed of S2, and `enough` for these parameters.
    of_all_rows : tuple of (D, D) or (D,) float64 and float, optional
        Second moments of all rows and the sum of their weights: the common form then runs in place of the natural one.
    """
    precision = precisions(parameters)
    if _conditions(parameters, precision).max() > LARGEST_CONDITION:
        return ResidualForm(parameters, moments)
    if of_all_rows is not None:
        return CommonForm(parameters, *of_all_rows)
    return NaturalForm(parameters, moments, precision)


def choose_forms(
    parameters: MixtureParameters,
    moments: Moments = Moments.FULL,
    of_all_rows: Sequence[tuple[np.ndarray, float]] | None = None,
) -> list[Form | CommonForm]:
    """Choose a form for each mixture of a batch (G,), each with rows of its own and an entry of `of_all_rows`."""
    precision = precisions(parameters)
    conditions = _conditions(parameters, precision).max(axis=-1)
    natural = None if of_all_rows is not None else NaturalForm(parameters, moments, precision).each()
    forms: list[Form | CommonForm] = []
    for g, number in enumerate(conditions):
        if number > LARGEST_CONDITION:
            forms.append(ResidualForm(parameters[g], moments))
        elif natural is not None:
            forms.append(natural[g])
        elif of_all_rows is not None:
            forms.append(CommonForm(parameters[g], *of_all_rows[g]))
    return forms


def enough(moments: Moments, parameters: MixtureParameters) -> Moments:
    """Return `moments`, or more where a mixture is not of the form that they ask for: a start need not be.

    Balls are numbers times the identity to the last digit, axes are along the features, and one covariance is that of
    every component.
    """
    if moments is Moments.FULL:
        return moments
    U, ndim = parameters.precision_cholesky, moments.ndim
    if ndim < 2:
        roots = U.diagonal(axis1=-2, axis2=-1)
        if np.count_nonzero(U) > roots.size:
            ndim = 2
        elif not (roots == roots[..., :1]).all():
            ndim = 1
    return Moments((ndim, moments.pooled and bool((U == U[..., :1, :, :]).all())))


__all__ = [
    "LARGEST_CONDITION",
    "CommonForm",
    "Form",
    "NaturalForm",
    "ResidualForm",
    "choose_form",
    "choose_forms",
    "condition",
    "enough",
]
