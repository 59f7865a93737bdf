"""New data like the old: posterior predictive datasets, parameter uncertainty included."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.draws import mean_mixture
from bayesgmm.mixture.features import given_values
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows, singular_root
from bayesgmm.posterior.datatree import (
    CHAIN,
    DRAW,
    FEATURE,
    OBS,
    UNIT,
    MixtureView,
    posterior_parameters,
    unit_text,
    view,
)
from bayesgmm.tools.integers import check_integer


def generate(
    dt: "xr.DataTree | GaussianMixture",
    n_obs: int | None = None,
    *,
    n_datasets: int = 1,
    random_seed: int | np.random.Generator | None = None,
    given: Mapping[Any, Any] | None = None,
    parameters: Literal["draws", "mean", "em"] = "draws",
    labels: bool = True,
    measurement_errors: bool = False,
) -> xr.DataTree:
    """Draw datasets from the posterior predictive distribution.

    Each dataset takes one posterior draw of the parameters, so that the spread between datasets carries what is
    unknown about them; rows within a dataset are independent given those.

    Parameters
    ----------
    dt : DataTree or GaussianMixture
        A posterior, or a maximum-likelihood fit (then every dataset has the same parameters).
    n_obs : int, optional
        Rows per dataset; as many as were fitted, by default.
    n_datasets : int
        Number of datasets; their parameters are distinct draws as long as there are enough.
    random_seed : int or Generator, optional
    given : dict, optional
        Features that are known, by name or position, in the units of the data: the others are drawn from the mixture
        conditional on them, and every row has these values.
    parameters : {"draws", "mean", "em"}
        "draws": one posterior draw for each dataset. Plug-in, all datasets alike: "mean", the posterior means of
        weights, means and covariances; "em", the maximum-likelihood fit that seeded the sampler.
    labels : bool
        Whether to keep the component that each row comes from; -1 for noise.
    measurement_errors : bool
        Where the mixture was fitted to rows with measurement errors it is one of the underlying values, and so is what
        is generated. True adds to each row an error with the covariance of the row of the data in its place, or where
        `n_obs` is another number than that of the data, of a row taken at random: data like those that were seen. Rows
        of noise get none: noise is uniform in the values as they are measured.

    Returns
    -------
    DataTree
        Group ``posterior_predictive``: ``x`` (chain, draw, obs_id, feature), one draw per dataset, in the units of the
        data, and ``component_label`` (chain, draw, obs_id), the component each row comes from, -1 for noise.

    Raises
    ------
    ValueError
        When a count is not a positive integer, `n_obs` is left out and no data is kept, a given feature is unknown or
        its value not finite, there are no parameters of the kind asked for, or no errors to add.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
    >>> new = bg.generate(gm, 100, given={"waiting": 70}, random_seed=0)["posterior_predictive/x"]
    >>> new.sizes["obs_id"], set(new.sel(feature="waiting").values.ravel().tolist())
    (100, {70.0})
    """
    mixture = view(dt)
    names, D = mixture.feature_names, len(mixture.feature_names)
    if n_obs is None:
        n_obs = mixture.observe(None).n_rows
    n_obs, n_datasets = check_integer("n_obs", n_obs), check_integer("n_datasets", n_datasets)
    known, numbers = ([], np.empty(0)) if given is None else given_values(names, given)
    rest = [j for j in range(D) if j not in known]
    batch = _parameters(dt, mixture, parameters)
    errors = _error_roots(mixture) if measurement_errors else None
    rng = np.random.default_rng(random_seed)
    S = batch.batch_shape[0]
    draws = rng.choice(S, size=n_datasets, replace=n_datasets > S)
    rows = np.empty((1, n_datasets, n_obs, D))
    components = np.empty((1, n_datasets, n_obs), dtype=np.int64)
    rows[..., known] = numbers
    for dataset, s in enumerate(draws):
        one = batch[s] if given is None else condition(batch[s], known, numbers)
        drawn, components[0, dataset] = draw_rows(rng, one, n_obs)
        rows[0, dataset][:, rest] = drawn
        if errors is not None:
            which = np.arange(n_obs) if n_obs == len(errors) else rng.integers(len(errors), size=n_obs)
            error = (errors[which] @ rng.standard_normal((n_obs, D, 1)))[..., 0]
            error[components[0, dataset] == NOISE_LABEL] = 0.0
            rows[0, dataset] += error
    data = xr.Dataset(
        {"x": ((CHAIN, DRAW, OBS, FEATURE), rows, {"units": unit_text(mixture.units)})},
        coords={
            CHAIN: [0],
            DRAW: np.arange(n_datasets),
            OBS: np.arange(n_obs),
            FEATURE: list(names),
            UNIT: (FEATURE, list(mixture.units)),
        },
    )
    if labels:
        data["component_label"] = ((CHAIN, DRAW, OBS), components)
    return xr.DataTree.from_dict({"posterior_predictive": data})


def _error_roots(mixture: MixtureView) -> np.ndarray:
    """Square roots (N, D, D) of the error covariances of the rows."""
    errors = None if mixture.observations is None else mixture.observations.errors
    if errors is None:
        raise ValueError(
            "`measurement_errors` is True, and the rows that were fitted are kept without any: fit with `errors`, or "
            "add errors of your own to what is generated."
        )
    if errors.ndim == 2:
        return np.sqrt(errors)[:, :, None] * np.eye(errors.shape[1])
    return singular_root(errors)


def _parameters(dt: "xr.DataTree | GaussianMixture", mixture: MixtureView, which: str) -> MixtureParameters:
    """Parameters to draw from, batch shape (S,)."""
    if which not in ("draws", "mean", "em"):
        raise ValueError(f"`parameters` is {which!r}; use 'draws', or to plug in one mixture 'mean' or 'em'.")
    if which == "draws" or isinstance(dt, GaussianMixture):
        return mixture.parameters
    if which == "em":
        if "em" not in dt.children:
            raise ValueError("`parameters` is 'em', and this DataTree has no group 'em': use 'mean' or 'draws'.")
        return posterior_parameters(dt, "em").flat()
    return mean_mixture(mixture.parameters).flat()
