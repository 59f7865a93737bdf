"""Leave-one-out probability integral transforms, by ArviZ."""

import numpy as np
import xarray as xr

from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.posterior.datatree import CHAIN, COMPONENT, DRAW, FEATURE, OBS, MixtureView, netcdf_labels

MOST_DRAWS = 1000
MOST_NUMBERS = 10_000_000
"""Draws times rows of one array (80 MB)."""


def leave_one_out_pit(mixture: MixtureView, steps: np.ndarray, rng: np.random.Generator) -> xr.Dataset:
    """LOO-PIT of each feature, p(x_new <= x_nj | the other rows), and whether they are uniform.

    Parameters
    ----------
    mixture : MixtureView
        A posterior with the rows it was fitted to.
    steps : (D,) float64
        What values are rounded to, 0 for not at all: new values are rounded alike, and ties broken at random.

    Returns
    -------
    Dataset
        ``loo_pit`` (obs_id, feature), ``p_value`` (feature) of ArviZ's test of uniformity, which allows for the
        dependence between rows.

    References
    ----------
    Saeilynoja, Buerkner & Vehtari (2022), Graphical test for discrete uniformity, Statistics and Computing 32.
    Vehtari, Gelman & Gabry (2017), Practical Bayesian model evaluation, Statistics and Computing 27.
    """
    from arviz_stats import loo_pit
    from arviz_stats.base import array_stats

    rows = mixture.observe(None)
    S = mixture.parameters.batch_shape[0]
    most = max(10, min(MOST_DRAWS, MOST_NUMBERS // rows.n_rows))
    parameters = mixture.parameters[np.unique(np.linspace(0, S - 1, min(S, most)).astype(int))]
    S = parameters.batch_shape[0]
    log_likelihood = map_rows(lambda log_joint: normalise(log_joint).T, rows, parameters, trailing=(S,)).T[None]
    component = _components(rng, parameters.weights, rows.n_rows)
    noise = parameters.noise
    in_noise = None if noise is None else rng.random(component.shape) < noise.weight[:, None]
    draw = np.arange(S)[:, None]
    values = np.asarray(rows.values, dtype=np.float64)
    names = mixture.feature_names
    pit, p_value = np.empty(values.shape), np.empty(len(names))
    dims = (CHAIN, DRAW, OBS)
    for j in range(len(names)):
        sd = np.sqrt(parameters.covariances[draw, component, j, j])
        new = parameters.means[draw, component, j] + sd * rng.standard_normal(component.shape)
        if noise is not None and in_noise is not None:
            lower, upper = noise.background.lower[j], noise.background.upper[j]
            new = np.where(in_noise, rng.uniform(lower, upper, new.shape), new)
        column = values[:, j]
        if steps[j]:
            # ArviZ breaks ties of whole numbers
            column, new = np.rint(column / steps[j]).astype(np.int64), np.rint(new / steps[j]).astype(np.int64)
        tree = xr.DataTree.from_dict(
            {
                "posterior": xr.Dataset({"weights": ((CHAIN, DRAW, COMPONENT), parameters.weights[None])}),
                "posterior_predictive": xr.Dataset({"x": (dims, new[None])}),
                "log_likelihood": xr.Dataset({"x": (dims, log_likelihood)}),
                "observed_data": xr.Dataset({"x": (OBS, column)}),
            }
        )
        pit[:, j] = loo_pit(tree, var_names="x", random_state=int(rng.integers(2**31)), pareto_pit=True)["x"].values
        p_value[j] = np.ravel(array_stats.uniformity_test(pit[:, j])[0])[0]
    return xr.Dataset(
        {"loo_pit": ((OBS, FEATURE), pit), "p_value": (FEATURE, p_value)},
        coords={OBS: netcdf_labels(rows.row_labels), FEATURE: list(names)},
    )


def _components(rng: np.random.Generator, weights: np.ndarray, N: int) -> np.ndarray:
    """Draw a component for each row in each mixture, (S, N)."""
    edges = np.cumsum(weights, axis=1)
    u = rng.random((len(weights), N))
    return np.minimum((u[:, :, None] > edges[:, None, :-1]).sum(axis=2), weights.shape[1] - 1)
