"""Gaussian mixture regression: what some features are expected to be, given the others, at many values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import as_new_observations
from bayesgmm.data.tables import DataError, read_table
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.conditioning import regressions
from bayesgmm.mixture.features import positions
from bayesgmm.mixture.quantiles import mixed_quantile
from bayesgmm.posterior.datatree import FEATURE, OBS, netcdf_labels, unit_text, view
from bayesgmm.posterior.intervals import check_ci_prob, interval

GIVEN_FEATURE = "given_feature"
LONG_NAMES = {
    "mean": "expected value, mean over draws",
    "sd": "standard deviation of a new value",
    "mean_lower": "lower end of the interval of the expected value over draws",
    "mean_upper": "upper end of the interval of the expected value over draws",
    "predictive_lower": "lower end of the interval of a new value",
    "predictive_upper": "upper end of the interval of a new value",
}
"""What is answered, and what is said of it."""

DIGITS = 1e-10
"""How exact the ends of predictive intervals are, as a share of the smallest standard deviation."""


def conditional_mean(
    dt: "xr.DataTree | GaussianMixture", given: Any, *, ci_prob: float | None = None, predictive: bool = True
) -> xr.Dataset:
    """Predict the other features from given ones: Gaussian mixture regression.

    E[x_a | x_b] = sum_k w_k(x_b) (mu_ka + Sigma_kab Sigma_kbb^-1 (x_b - mu_kb)), with
    ``w_k(x_b) ∝ weights_k N(x_b | mu_kb, Sigma_kbb)``, in every draw. Where the mixture has noise in a box, and x_b is
    inside, noise adds its own weight times the middle of the box. Time is O(S M K D^2); memory, the result and a few
    blocks.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then the mean has no interval).
    given : DataFrame, DataArray, Series or dict
        (M, B) values of the given features, in the units of the data: columns named as the features are, or
        ``{feature: M values}``. The other features are predicted.
    ci_prob : float, optional
        Probability of both intervals; ``az.rcParams["stats.ci_prob"]`` by default.
    predictive : bool
        Whether to find the predictive interval too, which takes most of the time.

    Returns
    -------
    Dataset
        Over (obs_id, feature), in the units of the data: ``mean``, the posterior mean of E[x_a | x_b];
        ``mean_lower``, ``mean_upper``, its interval over draws (how well the *curve* is known); ``sd``, the standard
        deviation of a new x_a at x_b; ``predictive_lower``, ``predictive_upper``, equal-tailed quantiles of a new x_a
        at x_b, parameter uncertainty included (where a *row* will be). The given values are ``given``
        (obs_id, given_feature).

    Raises
    ------
    ValueError
        When a feature is unknown, none or every one is given, or a value is missing or infinite; or noise is uniform in
        a hull.

    Notes
    -----
    A conditional mixture may have several modes: its mean may then lie where hardly any row does. `conditional` gives
    the whole distribution at one value, `modes` its modes.

    References
    ----------
    Ghahramani & Jordan (1994), Supervised learning from incomplete data via an EM approach, NIPS 6, section 3.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> bg.conditional_mean(gm, {"waiting": [50, 70, 90]})["mean"].values.round(2).ravel().tolist()
    [1.98, 3.92, 4.55]
    """
    mixture = view(dt)
    names = mixture.feature_names
    columns, table = _given_table(names, given)
    chosen = positions(names, list(columns))
    if len(chosen) == len(names):
        raise ValueError(f"every feature is given ({', '.join(names)}): leave out the one to predict.")
    prob = check_ci_prob(ci_prob)
    parameters = mixture.parameters
    evidence = parameters.marginal(chosen)
    rows_given = as_new_observations(table, evidence, tuple(names[j] for j in chosen))
    rest = [j for j in range(len(names)) if j not in chosen]
    slopes, means, covariances = regressions(parameters, chosen)
    # about a centre: slope times a large origin would lose the digits that tell the values apart
    centre = rows_given.shift
    means = means - np.einsum("skab,skb->ska", slopes, evidence.means - centre)
    sds = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
    box = None if parameters.noise is None else parameters.noise.background.marginal(rest)
    wanted = [name for name in LONG_NAMES if _is_wanted(name, mixture.has_draws, predictive)]
    answers = {name: np.full((rows_given.n_rows, len(rest)), np.nan) for name in wanted}

    def predict(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
        normalise(log_joint)
        r, (S, K, B) = log_joint, (*evidence.weights.shape, log_joint.shape[-1])
        x = (np.asarray(rows_given.values[rows], dtype=np.float64) - centre).T
        for a in range(len(rest)):
            expected, sd = slopes[:, :, a] @ x + means[:, :, a, None], sds[:, :, a, None]
            centres, variances, uniform = expected, sd**2, None
            if box is not None:
                # noise after the components, at the middle of the box
                lower, upper = float(box.lower[a]), float(box.upper[a])
                centres = _with_last(expected, 0.5 * (lower + upper))
                variances = _with_last(variances, (upper - lower) ** 2 / 12)
                uniform = (r[:, K].mean(axis=0), lower, upper)
            per_draw = (r * centres).sum(axis=1)
            mean = per_draw.mean(axis=0)
            answers["mean"][rows, a] = mean
            answers["sd"][rows, a] = np.sqrt((r * ((centres - mean) ** 2 + variances)).sum(axis=1).mean(axis=0))
            if mixture.has_draws:
                answers["mean_lower"][rows, a], answers["mean_upper"][rows, a] = interval(per_draw, prob)
            if predictive:
                of_all_draws = ((r[:, :K] / S).reshape(S * K, B), expected.reshape(S * K, B), sd.reshape(S * K, 1))
                for name, q in (("predictive_lower", (1 - prob) / 2), ("predictive_upper", (1 + prob) / 2)):
                    answers[name][rows, a] = mixed_quantile(*of_all_draws, q, uniform, tolerance=DIGITS * sd.min())

    for_each_block(predict, rows_given, evidence)
    unreached = np.isnan(answers["mean"]).any(axis=1)
    if unreached.any():
        raise DataError(
            f"{rows_given.name_rows(unreached)} of `given` are so far from every component that double precision has "
            "no density there: check the values."
        )
    units = unit_text(tuple(mixture.units[j] for j in rest))
    result = xr.Dataset(
        {
            name: ((OBS, FEATURE), values, {"units": units, "long_name": LONG_NAMES[name]})
            for name, values in answers.items()
        },
        coords={
            OBS: netcdf_labels(rows_given.row_labels),
            FEATURE: [names[j] for j in rest],
            GIVEN_FEATURE: [names[j] for j in chosen],
        },
    )
    result["given"] = ((OBS, GIVEN_FEATURE), np.asarray(rows_given.values, dtype=np.float64))
    result.attrs["ci_prob"] = prob
    return result


def _is_wanted(name: str, has_draws: bool, predictive: bool) -> bool:
    """Whether a variable is asked for, and there is anything to make it of."""
    if name in ("mean_lower", "mean_upper"):
        return has_draws
    return predictive or not name.startswith("predictive")


def _given_table(names: tuple[str, ...], given: Any) -> tuple[tuple[Any, ...], Any]:
    """Features that are given, and a table of their values."""
    if isinstance(given, Mapping):
        if not given:
            raise ValueError(f"`given` names no feature; expected some of {', '.join(names)}.")
        values = {key: np.atleast_1d(np.asarray(value)) for key, value in given.items()}
        lengths = {key: value.shape for key, value in values.items()}
        if len(set(lengths.values())) > 1 or len(next(iter(lengths.values()))) != 1:
            raise ValueError(f"`given` needs as many values of each feature, in one dimension; received {lengths}.")
        return tuple(values), np.stack(list(values.values()), axis=1)
    table = read_table(given)
    if not table.named:
        raise ValueError(
            "`given` must say which features it holds: pass a DataFrame, a DataArray with names, or "
            f"{{{names[0]!r}: values}}."
        )
    return table.names, given


def _with_last(values: np.ndarray, last: float) -> np.ndarray:
    """Values (S, K, B) of the components, and those of the noise after them, (S, K + 1, B)."""
    return np.concatenate([values, np.full_like(values[:, :1], last)], axis=1)
