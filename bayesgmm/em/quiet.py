"""Fits that are repeated many times, without a word of each."""

import warnings

from sklearn.exceptions import ConvergenceWarning

from bayesgmm.data.observations import Observations
from bayesgmm.em.estimator import CollapseWarning, GaussianMixture
from bayesgmm.em.m_step import CollapseError


def refit(fit: GaussianMixture, observations: Observations) -> GaussianMixture | None:
    """Fit again, from the fit itself; None when it collapses."""
    again = GaussianMixture(
        fit.parameters_.n_components,
        covariance_type=fit.covariance_type,
        init_params=fit,
        tol=fit.tol,
        reg_covar=fit.reg_covar,
        max_iter=fit.max_iter,
        acceleration=fit.acceleration,
        prior=fit.prior,
        frozen=fit.frozen,
        noise=None if fit.parameters_.noise is None else fit.noise_background_,
    )
    return quietly(again, observations)


def quietly(mixture: GaussianMixture, observations: Observations) -> GaussianMixture | None:
    """Fit without a word; None where it collapses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(observations)
    except CollapseError:
        return None
    return mixture if mixture.admissible_ else None
