"""Mixtures of some of the features: marginal over the others, or conditional on them, in every draw."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

import xarray as xr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.features import given_values, positions
from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import (
    FEATURE,
    FEATURE_BIS,
    NOISE,
    meta,
    parameter_dataset,
    posterior_parameters,
    view,
    write_meta,
)

FITTED = ("posterior", "em")
"""Groups that hold parameters of the mixture."""

OF_THE_DRAWS = ("sample_stats", "alignment")
"""Groups about the draws themselves: they hold for whatever follows from the draws."""


@overload
def marginal(dt: xr.DataTree, features: str | int | Sequence[Any]) -> xr.DataTree: ...
@overload
def marginal(dt: GaussianMixture, features: str | int | Sequence[Any]) -> GaussianMixture: ...
def marginal(
    dt: "xr.DataTree | GaussianMixture", features: str | int | Sequence[Any]
) -> "xr.DataTree | GaussianMixture":
    """Take the mixture of some of the features, the others integrated out.

    p(x_a) = sum_k weights_k N(x_a | mu_ka, Sigma_kaa), in every draw: a Gaussian mixture of the same weights. Noise in
    a box has the same share in the box of these features.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    features : str, int or sequence of them
        Names or positions; the result has them in this order.

    Returns
    -------
    DataTree or GaussianMixture
        Of the kind that was given, over the features asked for; every function takes it. A posterior keeps its
        observed rows in these features, and loses its pointwise log-likelihood and its prior, which are of the whole.

    Raises
    ------
    ValueError
        When a feature is unknown or named twice; the names there are, are listed. Also when noise is uniform in a hull,
        of which some features alone are not.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, equation 2.98.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> bg.marginal(gm, "waiting").means_.round(1).ravel().tolist()
    [80.0, 54.5]
    """
    if isinstance(dt, GaussianMixture):
        return dt.marginal(features)
    mixture = view(dt)
    names = mixture.feature_names
    chosen = positions(names, [features] if isinstance(features, str | int) else list(features))
    tree = _derived(dt, lambda parameters: parameters.marginal(chosen), chosen, names, mixture.units)
    if "observed_data" in dt.children:
        tree["observed_data"] = xr.DataTree(dt["observed_data"].to_dataset().isel({FEATURE: chosen}))
    return _say(tree, dt, chosen, "marginal_of", list(names))


@overload
def conditional(dt: xr.DataTree, values: Mapping[Any, Any]) -> xr.DataTree: ...
@overload
def conditional(dt: GaussianMixture, values: Mapping[Any, Any]) -> GaussianMixture: ...
def conditional(dt: "xr.DataTree | GaussianMixture", values: Mapping[Any, Any]) -> "xr.DataTree | GaussianMixture":
    """Take the mixture of the other features, at known values of the given ones.

    p(x_a | x_b) = sum_k w_k N(x_a | m_k, S_k) with ``w_k ∝ weights_k N(x_b | mu_kb, Sigma_kbb)``,
    ``m_k = mu_ka + Sigma_kab Sigma_kbb^-1 (x_b - mu_kb)`` and ``S_k = Sigma_kaa - Sigma_kab Sigma_kbb^-1 Sigma_kba``,
    in every draw: the spread between draws is what the parameters leave open. Noise in a box is uniform over the edges
    of the other features; its weight is proportional to its density at x_b, which is zero outside the box.

    The draws count alike, as they came from the data: x_b is a condition, as in regression, not one more row that
    would itself say something of the parameters.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit.
    values : dict
        Value of each given feature, by name or position, in the units of the data.

    Returns
    -------
    DataTree or GaussianMixture
        Of the kind that was given, over the other features in their order; every function takes it. Components keep
        their numbers. There are no observed rows at exactly these values, so none are kept.

    Raises
    ------
    ValueError
        When a feature is unknown, none or every one is given, a value is not finite, or so far from every component
        that double precision has no density there. Also when noise is uniform in a hull.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, equations 2.81 and 2.82.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> bg.conditional(gm, {"waiting": 70}).weights_.round(2).tolist()
    [0.94, 0.06]
    """
    if isinstance(dt, GaussianMixture):
        return dt.conditional(values)
    mixture = view(dt)
    names = mixture.feature_names
    given, numbers = given_values(names, values)
    rest = [j for j in range(len(names)) if j not in given]
    tree = _derived(dt, lambda parameters: condition(parameters, given, numbers), rest, names, mixture.units)
    return _say(tree, dt, rest, "given", {names[j]: float(value) for j, value in zip(given, numbers, strict=True)})


def _derived(
    dt: xr.DataTree, change: Any, features: list[int], names: tuple[str, ...], units: tuple[str, ...]
) -> xr.DataTree:
    """Apply a change of the mixture to each group that holds one; coordinates of the draws stay as they are."""
    chosen_names, chosen_units = (tuple(of[j] for j in features) for of in (names, units))
    groups = {}
    for group in FITTED:
        if group not in dt.children:
            continue
        before = dt[group].to_dataset()
        changed: MixtureParameters = change(posterior_parameters(dt, group))
        after = parameter_dataset(changed, chosen_names, chosen_units)
        kept = {dim: before[dim] for dim in after.coords if dim in before.coords and dim not in (FEATURE, FEATURE_BIS)}
        groups[group] = after.assign_coords(kept)
    groups |= {group: dt[group].to_dataset() for group in OF_THE_DRAWS if group in dt.children}
    return xr.DataTree.from_dict(groups)


def _say(tree: xr.DataTree, dt: xr.DataTree, features: list[int], key: str, value: Any) -> xr.DataTree:
    """Write down where the mixture comes from; its prior and family were those of the whole, and are left out.

    `features` are the positions of those that it has: the background of noise is that of these.
    """
    before = meta(dt, missing_ok=True)
    kept = {name: before[name] for name in before if name not in ("prior", "covariance_type")}
    if kept.get(NOISE) is not None:
        kept[NOISE] = Background.from_json(kept[NOISE]).marginal(features).to_json()
    write_meta(tree, {**kept, "covariance_type": "full", key: value})
    return tree
