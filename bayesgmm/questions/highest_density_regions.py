"""Highest-density regions: the smallest sets that hold given probabilities, and the points inside them."""

from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.draws import predictive_mixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.posterior.datatree import OBS, netcdf_labels, view
from bayesgmm.posterior.intervals import check_ci_prob, interval
from bayesgmm.questions.quantiles import PROBABILITY
from bayesgmm.tools.integers import check_integer

AT_ONCE = 2**22
"""Numbers of one block of draws times samples (32 MiB)."""


def highest_density_regions(
    dt: "xr.DataTree | GaussianMixture",
    probabilities: Any = (0.5, 0.89),
    points: Any = None,
    *,
    n_samples: int = 10_000,
    ci_prob: float | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Find the densities that bound the smallest regions of given probability.

    The region {x : p(x) >= c} holds probability P when c is the (1 - P) quantile of p(X), X drawn from p. The samples
    come from the posterior mean density; in draw s they are weighted by p_s(x) / p(x), so that one set of samples
    serves every draw.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then there is no interval).
    probabilities : array_like, (P,) float64
        In (0, 1).
    points : table, optional
        (M, D) points to judge, in the units of the data.
    n_samples : int
        Samples, at least 100; the Monte Carlo error is reported.
    ci_prob : float, optional
        Probability of the interval; ``az.rcParams["stats.ci_prob"]`` by default.
    random_seed : int or Generator, optional

    Returns
    -------
    Dataset
        Over the dimension probability: ``density_level``, for a posterior with ``density_level_lower`` and
        ``density_level_upper``, and its Monte Carlo standard error ``density_level_mcse``; per unit of volume.
        With `points`, over obs_id: ``content``, the probability of the smallest region that holds the point;
        ``inside`` (probability, obs_id), whether it is in the region of the mean density; and for a posterior
        ``inside_probability``, the share of draws whose own region holds it.

    Raises
    ------
    ValueError
        When a probability is not in (0, 1), there are too few samples, or the points cannot be read.

    References
    ----------
    Hyndman (1996), Computing and graphing highest density regions, The American Statistician 50, section 3.1.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> regions = bg.highest_density_regions(gm, [0.5], [[2.0, 54.0], [3.0, 65.0]], random_seed=0)
    >>> regions["inside"].values.ravel().tolist()
    [True, False]
    """
    mixture = view(dt)
    asked = np.atleast_1d(np.asarray(probabilities, dtype=np.float64))
    if asked.ndim != 1 or not len(asked) or not ((asked > 0) & (asked < 1)).all():
        raise ValueError(f"`probabilities` must be strictly between 0 and 1; received {probabilities!r}.")
    n_samples = check_integer("n_samples", n_samples, 100)
    parameters, names = mixture.parameters, mixture.feature_names
    rows = None if points is None else as_new_observations(points, parameters, names)
    prob = check_ci_prob(ci_prob) if mixture.has_draws else None
    samples, _ = draw_rows(np.random.default_rng(random_seed), predictive_mixture(parameters), n_samples)
    sampled = as_new_observations(samples, parameters, names)
    mean = map_rows(_mean_density, sampled, parameters)
    ordered = np.sort(mean)[::-1]
    variables: dict[str, Any] = {"density_level": (PROBABILITY, _at(ordered, asked))}
    if prob is not None:
        levels = _levels(sampled, parameters, mean, asked)
        ends = interval(levels, prob)
        for name, end in zip(("density_level_lower", "density_level_upper"), ends, strict=True):
            variables[name] = (PROBABILITY, end)
    # one standard error of the share of samples, on either side, turned into densities
    error = np.sqrt(asked * (1 - asked) / n_samples)
    spread = _at(ordered, asked - error) - _at(ordered, asked + error)
    variables["density_level_mcse"] = (PROBABILITY, 0.5 * spread)
    coords: dict[str, Any] = {PROBABILITY: asked}
    if rows is not None:
        coords[OBS] = netcdf_labels(rows.row_labels)
        at_points = map_rows(_mean_density, rows, parameters)
        variables["content"] = (OBS, np.searchsorted(-ordered, -at_points, side="left") / n_samples)
        variables["inside"] = ((PROBABILITY, OBS), at_points >= variables["density_level"][1][:, None])
        if prob is not None:

            def share(log_joint: np.ndarray) -> np.ndarray:
                values = np.exp(normalise(log_joint))
                return np.stack([(values >= level[:, None]).mean(axis=0) for level in levels.T], axis=1)

            inside = map_rows(share, rows, parameters, trailing=(len(asked),))
            variables["inside_probability"] = ((PROBABILITY, OBS), inside.T)
    result = xr.Dataset(variables, coords=coords)
    if prob is not None:
        result.attrs["ci_prob"] = prob
    return result


def _mean_density(log_joint: np.ndarray) -> np.ndarray:
    """(S, K, B) to (B,): the density, averaged over draws."""
    return np.exp(normalise(log_joint)).mean(axis=0)


def _at(ordered: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Density that a share of the samples reaches, from densities in decreasing order."""
    return np.quantile(ordered, np.clip(1 - share, 0, 1))


def _levels(sampled: Observations, parameters: MixtureParameters, mean: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Levels of each draw, (S, P), from samples of the mean density weighted by p_s / p."""
    S, n = parameters.batch_shape[0], sampled.n_rows
    levels = np.empty((S, len(asked)))
    at_once = max(1, AT_ONCE // (n * parameters.n_components))
    for start in range(0, S, at_once):
        some = parameters[start : start + at_once]

        def per_draw(log_joint: np.ndarray) -> np.ndarray:
            return np.exp(normalise(log_joint)).T

        values = map_rows(per_draw, sampled, some, trailing=some.batch_shape).T
        order = np.argsort(-values, axis=1)
        sorted_values = np.take_along_axis(values, order, axis=1)
        held = np.cumsum(np.take_along_axis(values / mean, order, axis=1), axis=1)
        held /= held[:, -1:]
        for s, (share, value) in enumerate(zip(held, sorted_values, strict=True), start):
            levels[s] = np.interp(asked, share, value)
    return levels
