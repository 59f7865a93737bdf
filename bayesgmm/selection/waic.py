"""WAIC, which is not in ArviZ any more: for comparison with what others published."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayesgmm.selection.pointwise import log_likelihood_of_rows, log_mean_density

LARGEST_VARIANCE = 0.4
"""Of the log-likelihood of a row, from which on WAIC is not to be trusted (Vehtari, Gelman & Gabry 2017)."""


@dataclass(frozen=True, slots=True)
class Waic:
    """The widely applicable information criterion, on the scale of log predictive density: greater is better.

    Attributes
    ----------
    elpd : float
        sum_n (log mean p(x_n | draw) - variance of log p(x_n | draw)).
    standard_error : float
    p : float
        The sum of the variances: effective number of parameters.
    n_unreliable : int
        Rows whose variance is above 0.4, where WAIC is not to be trusted (Vehtari, Gelman & Gabry 2017): use LOO.
    """

    elpd: float
    standard_error: float
    p: float
    n_unreliable: int


def waic(dt: xr.DataTree) -> Waic:
    """Compute WAIC from the pointwise log likelihood in group ``log_likelihood``.

    Watanabe (2010); Gelman, Hwang & Vehtari (2014), equations 11 to 13.

    Raises
    ------
    ValueError
        When the DataTree has no pointwise log likelihood.
    """
    if "log_likelihood" not in dt.children:
        raise ValueError("the DataTree has no group `log_likelihood`: WAIC is made of it.")
    log_likelihood = log_likelihood_of_rows(dt)
    variances = log_likelihood.var(axis=(0, 1), ddof=1)
    pointwise = log_mean_density(log_likelihood) - variances
    return Waic(
        elpd=float(pointwise.sum()),
        standard_error=float(np.sqrt(pointwise.size) * pointwise.std(ddof=1)),
        p=float(variances.sum()),
        n_unreliable=int((variances > LARGEST_VARIANCE).sum()),
    )
