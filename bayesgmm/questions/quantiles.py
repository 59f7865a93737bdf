"""Distribution function and quantiles of a mixture in one feature, with bands."""

from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.draws import predictive_mixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.quantiles import cumulative
from bayesgmm.mixture.quantiles import quantile as mixture_quantile
from bayesgmm.posterior.datatree import OBS, MixtureView, unit_text, view
from bayesgmm.posterior.intervals import check_ci_prob, interval

PROBABILITY = "probability"

BLOCK_NUMBERS = 2**21
"""A block of points times draws times components takes about this many numbers (16 MiB)."""


def cdf(dt: "xr.DataTree | GaussianMixture", points: Any, *, ci_prob: float | None = None) -> xr.Dataset:
    """Distribution function of one feature: posterior mean and pointwise interval.

    P(X <= x) = sum_k weights_k Phi((x - mu_k) / sigma_k), noise besides where the mixture has it. Its posterior mean is
    that of a new row.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        In one feature: take a `marginal` or a `conditional` first where there are more.
    points : array_like, (M,) float64
        In the units of the data; infinity is allowed.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.

    Returns
    -------
    Dataset
        Over obs_id (the points): ``cdf``, and for a posterior ``cdf_lower`` and ``cdf_upper``; the points as ``point``.

    Raises
    ------
    ValueError
        When the mixture has more features than one, or a point is NaN.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> bg.cdf(bg.marginal(gm, "waiting"), [60, 70, 80])["cdf"].values.round(2).tolist()
    [0.3, 0.39, 0.68]
    """
    mixture = _one_feature(dt, "cdf")
    x = _numbers("points", points)
    if np.isnan(x).any():
        raise ValueError("`points` holds NaN: give numbers, or infinity.")
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None
    summaries = [_summary(cumulative(mixture.parameters, block), prob) for block in _blocks(x, mixture.parameters)]
    names = ("cdf", "cdf_lower", "cdf_upper") if mixture.has_draws else ("cdf",)
    values = np.concatenate(summaries, axis=1)
    result = xr.Dataset(
        {name: (OBS, row) for name, row in zip(names, values, strict=True)}, coords={OBS: np.arange(len(x))}
    )
    result["point"] = (OBS, x, {"units": unit_text(mixture.units), "long_name": mixture.feature_names[0]})
    return _with_prob(result, prob)


def quantile(dt: "xr.DataTree | GaussianMixture", probabilities: Any, *, ci_prob: float | None = None) -> xr.Dataset:
    """Quantiles of one feature, with intervals: `quantile` inverts `cdf`.

    The value is the quantile of a new row: the x where the posterior mean of P(X <= x) is the probability. The interval
    is of the quantiles of the single draws.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        In one feature: take a `marginal` or a `conditional` first where there are more.
    probabilities : array_like, (Q,) float64
        In [0, 1]; infinite quantiles at 0 and 1.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.

    Returns
    -------
    Dataset
        Over the dimension probability: ``quantile``, and for a posterior ``quantile_lower`` and ``quantile_upper``, in
        the units of the data.

    Raises
    ------
    ValueError
        When the mixture has more features than one, or a probability is outside [0, 1].

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> bg.quantile(bg.marginal(gm, "waiting"), [0.05, 0.5, 0.95])["quantile"].values.round(1).tolist()
    [48.2, 75.4, 88.5]
    """
    mixture = _one_feature(dt, "quantile")
    q = _numbers("probabilities", probabilities)
    outside = ~((q >= 0) & (q <= 1))
    if outside.any():
        raise ValueError(f"`probabilities` must be in [0, 1]; received {q[outside][0]}.")
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None
    attrs = {"units": unit_text(mixture.units), "long_name": mixture.feature_names[0]}
    variables = {"quantile": (PROBABILITY, mixture_quantile(predictive_mixture(mixture.parameters), q), attrs)}
    if mixture.has_draws:
        draws = mixture_quantile(mixture.parameters, q)
        ends = np.stack([draws[0], draws[0]]) if len(draws) == 1 else np.full((2, len(q)), np.nan)
        finite = np.isfinite(draws).all(axis=0)
        ends[:, finite] = interval(draws[:, finite], prob)
        ends[:, ~finite] = draws[0, ~finite]
        for name, row in zip(("quantile_lower", "quantile_upper"), ends, strict=True):
            variables[name] = (PROBABILITY, row, attrs)
    return _with_prob(xr.Dataset(variables, coords={PROBABILITY: q}), prob)


def _one_feature(dt: "xr.DataTree | GaussianMixture", function: str) -> MixtureView:
    mixture = view(dt)
    names = mixture.feature_names
    if len(names) != 1:
        raise ValueError(
            f"`{function}` needs one feature, this mixture has {len(names)} ({', '.join(names)}): take a marginal "
            f"first, as in `{function}(marginal(dt, {names[0]!r}), ...)`."
        )
    return mixture


def _numbers(name: str, given: Any) -> np.ndarray:
    try:
        numbers = np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be numbers; received {given!r}.") from None
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"`{name}` must be one or more numbers in one dimension; received shape {numbers.shape}.")
    return numbers


def _blocks(x: np.ndarray, parameters: MixtureParameters) -> list[np.ndarray]:
    per_point = parameters.weights.size
    return np.array_split(x, -(-len(x) * per_point // BLOCK_NUMBERS))


def _summary(draws: np.ndarray, prob: float | None) -> np.ndarray:
    """(S, M) to (3, M), or to (1, M) where there is no interval."""
    mean = draws.mean(axis=0)
    return mean[None] if prob is None else np.stack([mean, *interval(draws, prob)])


def _with_prob(result: xr.Dataset, prob: float | None) -> xr.Dataset:
    if prob is not None:
        result.attrs["ci_prob"] = prob
    return result
