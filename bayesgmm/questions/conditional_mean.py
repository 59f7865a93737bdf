"""Gaussian mixture regression: what some features are expected to be, given the others, at many values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri

from bayesgmm.data.observations import as_new_observations
from bayesgmm.data.tables import DataError, read_table
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.conditioning import regressions
from bayesgmm.mixture.features import positions
from bayesgmm.posterior.datatree import FEATURE, OBS, netcdf_labels, unit_text, view
from bayesgmm.posterior.intervals import check_ci_prob, interval

MOST_STEPS = 200
"""Newton and bisection steps of a quantile: bisection alone would need some 60."""


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
    box = None if parameters.noise is None else parameters.noise.background
    out = np.full((6, rows_given.n_rows, len(rest)), np.nan)

    def predict(rows: slice | np.ndarray, log_joint: np.ndarray) -> None:
        normalise(log_joint)
        x = (np.asarray(rows_given.values[rows], dtype=np.float64) - centre).T
        for a in range(len(rest)):
            expected, sd = slopes[:, :, a] @ x + means[:, :, a, None], sds[:, :, a, None]
            edges = None if box is None else (float(box.lower[rest[a]]), float(box.upper[rest[a]]))
            r, centres, variances = log_joint, expected, sd**2
            if edges is not None:
                # noise after the components, at the middle of the box
                r = log_joint[:, : expected.shape[1]]
                centres = _with_last(expected, 0.5 * (edges[0] + edges[1]))
                variances = _with_last(variances, (edges[1] - edges[0]) ** 2 / 12)
            per_draw = (log_joint * centres).sum(axis=1)
            mean = per_draw.mean(axis=0)
            spread = (log_joint * ((centres - mean) ** 2 + variances)).sum(axis=1).mean(axis=0)
            out[:2, rows, a] = mean, np.sqrt(spread)
            if mixture.has_draws:
                out[2:4, rows, a] = interval(per_draw, prob)
            if predictive:
                for end, q in ((4, (1 - prob) / 2), (5, (1 + prob) / 2)):
                    uniform = None if edges is None else (log_joint[:, -1].mean(axis=0), *edges)
                    out[end, rows, a] = _mixed_quantile(r, expected, sd, q, uniform)

    for_each_block(predict, rows_given, evidence)
    unreached = np.isnan(out[0]).any(axis=1)
    if unreached.any():
        raise DataError(
            f"{rows_given.name_rows(unreached)} of `given` are so far from every component that double precision has "
            "no density there: check the values."
        )
    return _labelled(out, mixture.has_draws, predictive, prob, mixture, rest, rows_given, chosen)


def _labelled(
    out: np.ndarray,
    has_draws: bool,
    predictive: bool,
    prob: float,
    mixture: Any,
    rest: list[int],
    rows_given: Any,
    chosen: list[int],
) -> xr.Dataset:
    """Name what was found."""
    kept = {"mean": (0, "expected value, mean over draws"), "sd": (1, "standard deviation of a new value")}
    if has_draws:
        kept["mean_lower"] = (2, "lower end of the interval of the expected value over draws")
        kept["mean_upper"] = (3, "upper end of the interval of the expected value over draws")
    if predictive:
        kept["predictive_lower"] = (4, "lower end of the interval of a new value")
        kept["predictive_upper"] = (5, "upper end of the interval of a new value")
    attrs = {"units": unit_text(tuple(mixture.units[j] for j in rest))}
    result = xr.Dataset(
        {name: ((OBS, FEATURE), out[row], {**attrs, "long_name": text}) for name, (row, text) in kept.items()},
        coords={
            OBS: netcdf_labels(rows_given.row_labels),
            FEATURE: [mixture.feature_names[j] for j in rest],
            "given_feature": [mixture.feature_names[j] for j in chosen],
        },
    )
    result["given"] = ((OBS, "given_feature"), np.asarray(rows_given.values, dtype=np.float64))
    result.attrs["ci_prob"] = prob
    return result


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


def _mixed_quantile(
    weights: np.ndarray,
    means: np.ndarray,
    sds: np.ndarray,
    q: float,
    uniform: tuple[np.ndarray, float, float] | None = None,
) -> np.ndarray:
    """Solve mean_s sum_k w_sk Phi((y - m_sk) / sd_sk) = q for each of B points.

    Newton's steps, and bisection where a step would leave the bracket, which each step shrinks.

    Parameters
    ----------
    weights, means : (S, K, B) float64
    sds : (S, K, 1) float64
    q : float, in (0, 1)
    uniform : ((B,) float64, float, float), optional
        Weight, lower and upper edge of a uniform distribution besides.

    Returns
    -------
    (B,) float64, to 1e-10 of the smallest standard deviation or to the last digits.
    """
    S, own = len(weights), means + sds * ndtri(q)
    room = 1e-6 * sds.max()
    present = weights > 0
    low = np.where(present, own - room, np.inf).min(axis=(0, 1))
    high = np.where(present, own + room, -np.inf).max(axis=(0, 1))
    y = (weights * own).sum(axis=(0, 1)) / S
    if uniform is not None:
        share, lower, upper = uniform
        there, at, edge = share > 0, lower + q * (upper - lower), 1e-6 * (upper - lower)
        low = np.where(there, np.minimum(low, at - edge), low)
        high = np.where(there, np.maximum(high, at + edge), high)
        y = y + share * at
    tolerance = 1e-10 * sds.min()
    for _ in range(MOST_STEPS):
        z = (y - means) / sds
        excess = (weights * ndtr(z)).sum(axis=(0, 1)) / S - q
        if uniform is not None:
            excess = excess + share * (np.clip(y, lower, upper) - lower) / (upper - lower)
        low, high = np.where(excess < 0, y, low), np.where(excess < 0, high, y)
        np.multiply(z, z, out=z)
        z *= -0.5
        np.exp(z, out=z)
        slope = (weights * z / sds).sum(axis=(0, 1)) / (S * np.sqrt(2 * np.pi))
        if uniform is not None:
            slope = slope + np.where((y >= lower) & (y <= upper), share / (upper - lower), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = y - excess / slope
        middle = low + 0.5 * (high - low)
        new = np.where((step > low) & (step < high), step, middle)
        done = np.abs(new - y) <= np.maximum(tolerance, 4 * np.spacing(np.abs(y)))
        y = new
        if done.all():
            break
    return y
