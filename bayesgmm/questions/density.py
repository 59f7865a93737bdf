"""The density that a fit or a posterior gives to points or on a grid, with a band."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.data.samples import even_positions
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.features import positions
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import FEATURE, OBS, MixtureView, view
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.summaries import summarise_densities

NAMES = ("density", "density_lower", "density_upper")

MOST_ERRORS = 200
"""Rows whose errors are averaged over, spread evenly over the table."""


def density(
    dt: "xr.DataTree | GaussianMixture",
    points: Any,
    *,
    ci_prob: float | None = None,
    intervals: bool = True,
    progressbar: bool = True,
    measurement_errors: Any = None,
) -> xr.Dataset:
    """Density of points under the mixture: posterior mean and pointwise interval.

    The posterior mean of p(x | parameters) is the posterior predictive density of a new row at x, be it of a component
    or of noise. Time is O(S M K D^2); memory, the result and a few blocks.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is no interval).
    points : table or dict
        (M, D) points in the units of the data; or a grid, as one array of coordinates for each feature,
        ``{"waiting": [50, 60, 70], ...}``, such as `grid_axes` makes. A grid over some of the features asks for their
        marginal density.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.
    intervals : bool
        Whether to find the interval, which takes most of the time.
    progressbar : bool
        Whether to show progress on a terminal.
    measurement_errors : array or True, optional
        Variances of errors with which the points are measured, in squared units: the density is then that of measured
        values, each component with the covariance Sigma_k + E. As for `GaussianMixture.fit`: of each feature, (D,); for
        each point, (M, D); or covariances (M, D, D). True: errors as the rows of the posterior have them, on average
        over at most 200 of the rows. Without, the density of the underlying values.

    Returns
    -------
    Dataset
        ``density``, ``density_lower``, ``density_upper``, per unit of volume of the data. Over obs_id (the points),
        with the points themselves as ``point`` (obs_id, feature); on a grid, over its features.

    Raises
    ------
    ValueError
        When the points are not of these features, or a value is missing or infinite; for some of the features where
        noise is uniform in a hull; where `measurement_errors` are no variances, or True and no row has any.
    """
    mixture = view(dt)
    parameters, names = mixture.parameters, mixture.feature_names
    axes = _axes(names, points) if isinstance(points, Mapping) else None
    chosen = list(range(len(names)))
    averaged = measurement_errors is True
    errors = None if averaged or measurement_errors is False else measurement_errors
    if axes is not None:
        chosen = positions(names, list(axes))
        names = tuple(names[j] for j in chosen)
        parameters = parameters if chosen == list(range(parameters.n_features)) else parameters.marginal(chosen)
        points = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1).reshape(-1, len(axes))
        errors = None if errors is None else _of_features(np.asarray(errors), chosen)
    observations = as_new_observations(points, parameters, names, errors=errors)
    if observations.missing is not None:
        raise ValueError(
            f"the points have missing values in {observations.name_rows(observations.missing.any(axis=1))}: a point "
            "has a density over all of its features; for a density over some of them, take their `marginal`."
        )
    prob = check_ci_prob(ci_prob) if mixture.has_draws and intervals else None
    if averaged:
        values = _as_measured(observations, parameters, _some_errors(mixture, chosen), prob)
    else:
        values = summarise_densities(observations, parameters, prob, progressbar=progressbar)
    summaries = dict(zip(NAMES[: len(values)], values, strict=True))
    if axes is not None:
        shape = tuple(map(len, axes.values()))
        units = [{"units": mixture.units[j]} for j in chosen]
        result = xr.Dataset(
            {name: (names, heights.reshape(shape)) for name, heights in summaries.items()},
            {name: (name, *of) for name, of in zip(names, zip(axes.values(), units, strict=True), strict=True)},
        )
    else:
        result = xr.Dataset(
            {name: (OBS, heights) for name, heights in summaries.items()},
            coords={OBS: np.arange(observations.n_rows), FEATURE: list(names)},
        )
        result["point"] = ((OBS, FEATURE), np.asarray(observations.values, dtype=np.float64))
    if prob is not None:
        result.attrs["ci_prob"] = prob
    return result


def _of_features(errors: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Errors of some features: variances along the last axis, or covariances in the last two."""
    return errors[:, chosen][:, :, chosen] if errors.ndim == 3 else errors[..., chosen]


def _some_errors(mixture: MixtureView, chosen: list[int]) -> list[tuple[np.ndarray, float]]:
    """Distinct errors of the rows that were fitted and the share of rows that have each, of `MOST_ERRORS` rows at most.

    Raises
    ------
    ValueError
        When they are kept without any.
    """
    rows = mixture.observations
    if rows is None or rows.errors is None:
        raise ValueError(
            "`measurement_errors` is True, and the rows that were fitted are kept without any: pass the variances of "
            "the errors, or fit with `errors`."
        )
    seen = np.arange(rows.n_rows) if rows.missing is None else np.flatnonzero(~rows.missing[:, chosen].any(axis=1))
    seen = seen[even_positions(len(seen), MOST_ERRORS)]
    weights = rows.counts[seen]
    distinct, which = np.unique(_of_features(rows.errors[seen], chosen), axis=0, return_inverse=True)
    shares = np.bincount(which.ravel(), weights, len(distinct)) / weights.sum()
    return list(zip(distinct, shares.tolist(), strict=True))


def _as_measured(
    observations: Observations,
    parameters: MixtureParameters,
    errors: list[tuple[np.ndarray, float]],
    prob: float | None,
) -> np.ndarray:
    """Mean, and the interval where one is asked for, of the density blurred by errors, averaged over these."""
    S, M = parameters.batch_shape[0], observations.n_rows
    densities = np.zeros((S, M))

    def log_density(log_joint: np.ndarray) -> np.ndarray:
        return normalise(log_joint).T

    for error, share in errors:
        errors_of_all = np.broadcast_to(error, (M, *error.shape)).copy()
        rows = replace(observations, errors=errors_of_all) if error.any() else observations
        densities += share * np.exp(map_rows(log_density, rows, parameters, trailing=(S,)).T)
    mean = densities.mean(axis=0)[None]
    return mean if prob is None else np.concatenate([mean, np.stack(interval(densities, prob))])


def _axes(names: tuple[str, ...], points: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """Coordinates of a grid by name.

    Raises
    ------
    ValueError
        Naming the feature whose coordinates are no list of finite numbers.
    """
    chosen = positions(names, list(points))
    axes = {}
    for j, given in zip(chosen, points.values(), strict=True):
        try:
            axis = np.atleast_1d(np.asarray(given, dtype=np.float64))
        except (TypeError, ValueError):
            axis = np.empty(0)
        if axis.ndim != 1 or not len(axis) or not np.isfinite(axis).all():
            raise ValueError(f"the grid of {names[j]!r} must be one or more finite numbers; received {given!r}.")
        if names[j] in NAMES:
            raise ValueError(f"a feature named {names[j]!r} cannot be an axis of a grid: pass points as a table.")
        axes[names[j]] = axis
    return axes
