"""New data like the old: posterior predictive datasets, parameter uncertainty included."""

from numbers import Integral

import numpy as np
import xarray as xr

from bayesgmm.datatree import CHAIN, DRAW, FEATURE, OBS, unit_text, view
from bayesgmm.estimator import GaussianMixture
from bayesgmm.simulation import draw_rows


def generate(
    dt: "xr.DataTree | GaussianMixture",
    n_obs: int | None = None,
    *,
    n_datasets: int = 1,
    random_seed: int | np.random.Generator | None = None,
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

    Returns
    -------
    DataTree
        Group ``posterior_predictive``: ``x`` (chain, draw, obs_id, feature), one draw per dataset, in the units of the
        data, and ``component_label`` (chain, draw, obs_id), the component each row comes from.

    Raises
    ------
    ValueError
        When a count is not a positive integer, or `n_obs` is left out and no data is kept.
    """
    mixture = view(dt)
    if n_obs is None:
        n_obs = mixture.observe(None).n_rows
    for name, value in (("n_obs", n_obs), ("n_datasets", n_datasets)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"`{name}` must be an integer of at least 1; received {value!r}.")
    rng = np.random.default_rng(random_seed)
    S = mixture.parameters.batch_shape[0]
    draws = rng.choice(S, size=n_datasets, replace=n_datasets > S)
    drawn = [draw_rows(rng, mixture.parameters[s], n_obs) for s in draws]
    rows, labels = (np.stack(part) for part in zip(*drawn, strict=True))
    data = xr.Dataset(
        {
            "x": ((CHAIN, DRAW, OBS, FEATURE), rows[None], {"units": unit_text(mixture.units)}),
            "component_label": ((CHAIN, DRAW, OBS), labels[None]),
        },
        coords={
            CHAIN: [0],
            DRAW: np.arange(n_datasets),
            OBS: np.arange(n_obs),
            FEATURE: list(mixture.feature_names),
        },
    )
    return xr.DataTree.from_dict({"posterior_predictive": data})
