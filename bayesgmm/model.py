"""The Bayesian mixture as a PyMC model, to be sampled as it is or extended.

May import PyMC, the priors, the parametrisations and the distribution of the rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.transforms import Transform
from pytensor.tensor.variable import TensorVariable

from bayesgmm.distribution import MixtureRows
from bayesgmm.observations import as_observations, check_components
from bayesgmm.parameters import MixtureParameters
from bayesgmm.parametrisation import parametrisation
from bayesgmm.parametrisation.matrices import covariances
from bayesgmm.priors import Dirichlet, Prior

SMALLEST_START_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class MixtureSpecification:
    """What a model was built from.

    Attributes
    ----------
    n_components : int
    covariance_type : str
        Name of the family.
    prior : Prior
        Resolved: every number filled in.
    """

    n_components: int
    covariance_type: str
    prior: Prior


class Standardise(Transform):
    """Sample (value - mu) / sigma of a normal variable, so that the sampler sees order one whatever the units."""

    name = "standardised"
    ndim_supp = 0

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Go from the units of the data to standard units."""
        _, _, mu, sigma = inputs
        return (value - mu) / sigma

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Go back to the units of the data."""
        _, _, mu, sigma = inputs
        return mu + sigma * value

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        """Give log sigma for each element."""
        _, _, _, sigma = inputs
        return pt.log(sigma) + pt.zeros_like(value)


def mixture_model(X: Any, n_components: int, *, covariance_type: str = "full", prior: Prior | None = None) -> pm.Model:
    """Build the PyMC model of a Gaussian mixture, with the allocations summed out.

    weights ~ Dirichlet, means_k ~ Normal, Sigma_k ~ InverseWishart or LKJ with a prior on the standard deviations,
    x_n ~ sum_k weights_k Normal(means_k, Sigma_k), independent.

    Parameters
    ----------
    X : array, DataFrame, Series, DataArray or Observations
        (N, D) rows, in any units. Row weights of Observations multiply the log likelihood of their row.
    n_components : int
        K.
    covariance_type : str
        "full", "tied", "diag" or "spherical", or mclust's code.
    prior : Prior, optional
        In the units of the data; what it leaves out is filled in from the data (`Prior.resolve`).

    Returns
    -------
    pm.Model
        Dimensions ``component``, ``feature``, ``feature_bis``, ``obs_id``. Free variables ``weights`` (component),
        ``means`` (component, feature) and those of the family: ``bartlett_diagonal``, ``bartlett_above`` under an
        InverseWishart, ``standard_deviations``, ``partial_correlations_unit`` under an LKJ prior (see
        `bayesgmm.parametrisation`). Deterministic ``covariances`` (component, feature, feature_bis), and ``weights``
        too for a single component. Observed ``x`` (obs_id, feature). Data ``x_data``: `pm.set_data` takes any number
        of rows. `specification` tells what it was built from.

    Notes
    -----
    It is an ordinary model: open it with ``with model:`` and add a `pm.Potential` on ``model["weights"]``,
    ``model["means"]`` or ``model["covariances"]``; fix a variable with `pm.do`. For a prior of another kind, write the
    model of a few lines that this function is, with your own variables and `bayesgmm.distribution.MixtureRows`, which
    takes any weights, means and precision Cholesky factors.

    The likelihood can be differentiated once. ``obs_id`` has no labels, so that `pm.set_data` need not be told new
    ones. There are no initial values in the model: `starting_point` gives them at the parameters of an EM fit.

    Raises
    ------
    DataError
        Naming the row or column that cannot be used.
    PriorError
        Naming the hyperparameter that does not fit.
    ValueError
        When `n_components` or `covariance_type` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> model = mixture_model(X, n_components=2)
    >>> [variable.name for variable in model.free_RVs]
    ['weights', 'means', 'bartlett_diagonal', 'bartlett_above']
    """
    if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer) or n_components < 1:
        raise ValueError(f"`n_components` must be an integer of at least 1; received {n_components!r}.")
    family = parametrisation(covariance_type).name
    observations = as_observations(X)
    K, D = int(n_components), observations.n_features
    check_components(observations, K)
    resolved = (prior or Prior()).resolve(observations, K, family)
    names = list(observations.feature_names)
    pairs = [f"{names[i]}:{names[j]}" for i, j in zip(*np.triu_indices(D, 1), strict=True)]
    coords = {"component": list(range(K)), "feature": names, "feature_bis": names}
    with pm.Model(coords=coords | ({"feature_pair": pairs} if pairs else {})) as model:
        values = observations.values.astype(np.float64, order="C")
        x = pm.Data("x_data", values, dims=("obs_id", "feature"), shape=(None, D), borrow=True)
        if observations.weights is None:
            row_weights = pt.ones(x.shape[0])
        else:
            row_weights = pm.Data("row_weights", observations.weights, dims="obs_id")
        weights = _draw_weights(resolved, K)
        means = _draw_means(resolved, K, D)
        assert resolved.covariances is not None
        U = parametrisation(family).precision_cholesky(resolved.covariances, K, D)
        pm.Deterministic("covariances", covariances(U), dims=("component", "feature", "feature_bis"))
        MixtureRows("x", row_weights, pt.log(weights), means, U, observed=x, dims=("obs_id", "feature"))
    model.mixture_specification = MixtureSpecification(K, family, resolved)
    return model


def specification(model: pm.Model) -> MixtureSpecification:
    """Tell what a model of `mixture_model` was built from.

    Raises
    ------
    ValueError
        When the model is another one.
    """
    found = getattr(model, "mixture_specification", None)
    if not isinstance(found, MixtureSpecification):
        raise ValueError("`model` was not built by `mixture_model`, or is a copy that lost its specification.")
    return found


def resolved_prior(model: pm.Model) -> Prior:
    """Give the prior of a model of `mixture_model`, with every number filled in."""
    return specification(model).prior


def starting_point(model: pm.Model, parameters: MixtureParameters) -> dict[str, np.ndarray]:
    """Give values of the model's free variables at given parameters, for ``pm.sample(initvals=...)``.

    Parameters
    ----------
    model : pm.Model
        Of `mixture_model`.
    parameters : MixtureParameters
        One mixture, in the units of the data, with covariances of the model's family.

    Returns
    -------
    dict
        Constrained values by the name of the variable. Weights below 1e-6 are raised to it, off the edge of the
        simplex.
    """
    mixture = specification(model)
    K, D = mixture.n_components, len(model.coords["feature"])
    if parameters.means.shape != (K, D):
        raise ValueError(f"`parameters` must have means of shape {(K, D)}, received {parameters.means.shape}.")
    weights = np.maximum(parameters.weights, SMALLEST_START_WEIGHT)
    values = {"weights": weights / weights.sum(), "means": parameters.means}
    if K == 1:
        del values["weights"]
    assert mixture.prior.covariances is not None
    return values | parametrisation(mixture.covariance_type).start(mixture.prior.covariances, parameters.covariances)


def _draw_weights(prior: Prior, K: int) -> TensorVariable:
    assert isinstance(prior.weights, Dirichlet)
    if K == 1:
        return pm.Deterministic("weights", pt.ones(1), dims="component")
    return pm.Dirichlet("weights", np.asarray(prior.weights.concentration), shape=(K,), dims="component")


def _draw_means(prior: Prior, K: int, D: int) -> TensorVariable:
    assert prior.means is not None
    mu, sigma = np.asarray(prior.means.mu), np.asarray(prior.means.sigma)
    return pm.Normal("means", mu, sigma, shape=(K, D), dims=("component", "feature"), default_transform=Standardise())
