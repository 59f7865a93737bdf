"""Who belongs where, how sure, and how sure of that: membership probabilities with intervals."""

from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.blocks import map_rows
from bayesgmm.datatree import COMPONENT, OBS, netcdf_labels, view
from bayesgmm.estimator import GaussianMixture
from bayesgmm.intervals import check_ci_prob, interval
from bayesgmm.kernel.responsibilities import normalise


def membership(dt: "xr.DataTree | GaussianMixture", X: Any = None, *, ci_prob: float | None = None) -> xr.Dataset:
    """Give membership probabilities of rows, with intervals over the posterior.

    r_nk = weights_k N(x_n | mu_k, Sigma_k) / p(x_n) in each draw. Its posterior mean is P(z_n = k | data); its interval
    says how far the parameters leave that probability open. Time is O(S N K D^2); memory, the result and a few blocks.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is no interval).
    X : table, optional
        Rows to judge; the fitted rows by default.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.

    Returns
    -------
    Dataset
        Over (obs_id, component): ``probability``, ``probability_lower``, ``probability_upper``. Over obs_id: ``label``
        (most probable component) and ``label_agreement`` (share of draws whose most probable component it is).
    """
    mixture = view(dt)
    observations = mixture.observe(X)
    K = mixture.parameters.n_components
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None

    def summarise(log_joint: np.ndarray) -> np.ndarray:
        """(S, K, B) to (B, 3 K + 2): mean, lower, upper, label, agreement."""
        normalise(log_joint)
        mean = log_joint.mean(axis=0)
        label = mean.argmax(axis=0)
        agreement = (log_joint.argmax(axis=1) == label).mean(axis=0)
        lower, upper = interval(log_joint, prob) if mixture.has_draws else (mean, mean)
        return np.concatenate([mean, lower, upper, label[None], agreement[None]]).T

    rows = map_rows(summarise, observations, mixture.parameters, trailing=(3 * K + 2,))
    per_component = {
        "probability": (rows[:, :K], "P(component | row), mean over draws"),
        "probability_lower": (rows[:, K : 2 * K], "lower end of the interval over draws"),
        "probability_upper": (rows[:, 2 * K : 3 * K], "upper end of the interval over draws"),
    }
    if not mixture.has_draws:
        per_component = {"probability": per_component["probability"]}
    result = xr.Dataset(
        {name: ((OBS, COMPONENT), values, {"long_name": text}) for name, (values, text) in per_component.items()},
        coords={OBS: netcdf_labels(observations.row_labels), COMPONENT: np.arange(K)},
    )
    result["label"] = (OBS, rows[:, 3 * K].astype(np.int64), {"long_name": "most probable component"})
    if mixture.has_draws:
        result["label_agreement"] = (OBS, rows[:, 3 * K + 1], {"long_name": "share of draws that agree with the label"})
        result.attrs["ci_prob"] = prob
    return result
