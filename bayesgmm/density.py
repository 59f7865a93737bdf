"""The density that a fit or a posterior gives to points, with a band."""

from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.blocks import map_rows
from bayesgmm.datatree import FEATURE, OBS, view
from bayesgmm.estimator import GaussianMixture
from bayesgmm.intervals import check_ci_prob, interval
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.observations import as_new_observations


def density(dt: "xr.DataTree | GaussianMixture", points: Any, *, ci_prob: float | None = None) -> xr.Dataset:
    """Density of points under the mixture: posterior mean and pointwise interval.

    The posterior mean of p(x | parameters) is the posterior predictive density of a new row at x.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is no interval).
    points : table
        (M, D) points in the units of the data.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.

    Returns
    -------
    Dataset
        Over obs_id (the points): ``density``, ``density_lower``, ``density_upper``, per unit of volume of the data, and
        the points themselves as ``point`` (obs_id, feature).
    """
    mixture = view(dt)
    observations = as_new_observations(points, mixture.parameters, mixture.feature_names)
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None

    def summarise(log_joint: np.ndarray) -> np.ndarray:
        """(S, K, B) to (B, 3): mean, lower, upper."""
        values = np.exp(normalise(log_joint))
        mean = values.mean(axis=0)
        return np.stack([mean, *(interval(values, prob) if mixture.has_draws else (mean, mean))], axis=1)

    rows = map_rows(summarise, observations, mixture.parameters, trailing=(3,))
    names = ("density", "density_lower", "density_upper") if mixture.has_draws else ("density",)
    result = xr.Dataset(
        {name: (OBS, rows[:, column]) for column, name in enumerate(names)},
        coords={OBS: np.arange(observations.n_rows), FEATURE: list(mixture.feature_names)},
    )
    result["point"] = ((OBS, FEATURE), np.asarray(observations.values, dtype=np.float64))
    if prob is not None:
        result.attrs["ci_prob"] = prob
    return result
