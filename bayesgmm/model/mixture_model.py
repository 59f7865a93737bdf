"""The Bayesian mixture as a PyMC model, to be sampled as it is or extended.

May import PyMC, the priors, the parametrisations and the distribution of the rows.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.transforms import Transform
from pytensor.tensor.variable import TensorVariable

from bayesgmm.data.background import background_density
from bayesgmm.data.observations import Observations, as_observations, known_components
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.task import Task, check_task
from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.coordinates.matrices import covariances
from bayesgmm.model.families import parametrisation
from bayesgmm.model.likelihood import mixture_log_likelihood
from bayesgmm.model.packing import pack
from bayesgmm.model.rows import MixtureRows
from bayesgmm.priors import Dirichlet, Prior


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
    centre : (K, D, D) or (1, D, D), or None
        Where the family has orientations of its own: the rotations in the middle of their chart.
    known_components : tuple of int
        Components that some rows are known to be of: they are not exchangeable.
    background : Background or None
        Where noise is, in the units of the data.
    """

    n_components: int
    covariance_type: str
    prior: Prior
    centre: np.ndarray | None = field(default=None, compare=False)
    known_components: tuple[int, ...] = ()
    background: Background | None = field(default=None, compare=False)


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


def mixture_model(
    X: Any,
    n_components: int,
    *,
    covariance_type: str = "full",
    prior: Prior | None = None,
    start: MixtureParameters | GaussianMixture | None = None,
    weights: Any = None,
    errors: Any = None,
    known_labels: Any = None,
    noise: Any = None,
) -> pm.Model:
    """Build the PyMC model of a Gaussian mixture, with the allocations summed out.

    weights ~ Dirichlet, means_k ~ Normal, Sigma_k ~ InverseWishart, LKJ with a prior on the standard deviations, or
    with priors on volume, shape and orientation, x_n ~ sum_k weights_k Normal(means_k, Sigma_k), independent. With
    noise, noise_weight ~ Beta and x_n ~ (1 - noise_weight) times that sum + noise_weight Uniform(background).

    Parameters
    ----------
    X : array, DataFrame, Series, DataArray or Observations
        (N, D) rows, in any units. NaN is a missing value: the likelihood is that of the values there are.
    n_components : int
        K.
    covariance_type : str
        "full", "tied", "diag" or "spherical", or one of mclust's fourteen codes ("E", "V" for one feature).
    prior : Prior, optional
        In the units of the data; what it leaves out is filled in from the data (`Prior.resolve`).
    start : MixtureParameters or fitted GaussianMixture, optional
        A mixture of this K and D near the posterior. Its orientations become the middle of the chart of orientations,
        in EEV, VEV, EVE and VVE, which helps the sampler there; nothing else is taken from it, and the posterior of
        the covariances is the same. By default the principal axes of the data.
    weights : (N,) array, optional
        Row weights, which multiply the log likelihood of their row: whole numbers count a row so many times; others
        make a pseudo-likelihood.
    errors : (D,), (N, D) or (N, D, D) array, optional
        Variances of the measurement errors, in squared units, of each feature or each value; or a covariance for each
        row. The mixture is then that of the underlying values.
    known_labels : (N,) array, optional
        Component of the rows for which it is known, as in `GaussianMixture.fit`. These components are then told apart
        by the data; the row's likelihood is the joint one of its values and its component.
    noise : "box", "hull" or (2, D) array, optional
        A component of rows that are of no cluster, uniform over the smallest box around the data, their convex hull,
        or a box of given lower and upper edges, in the units of the data. It is fixed before the data are fitted: the
        posterior is conditional on it. Rows outside given edges are not noise. Weights are shares of the other rows.

    Returns
    -------
    pm.Model
        Dimensions ``component``, ``feature``, ``feature_bis``, ``obs_id``. Free variables ``weights`` (component),
        ``means`` (component, feature), with noise ``noise_weight`` (), and those of the family: ``bartlett_diagonal``,
        ``bartlett_above`` under an InverseWishart, ``standard_deviations``, ``partial_correlations_unit`` under an LKJ
        prior (see `bayesgmm.model.families`); under a Decomposed prior ``volume_root``, ``shape_contrasts`` or
        ``axis_gaps``, and ``partial_correlations_unit`` or ``rotations_unit``; and for a RandomScale
        ``scale_diagonal``, ``scale_above``. Deterministic ``covariances`` (component, feature, feature_bis), and
        ``weights`` too for a single component. Observed ``x`` (obs_id, feature). Data ``x_data``: `pm.set_data` takes
        any number of rows. `specification` tells what it was built from.

    Notes
    -----
    It is an ordinary model: open it with ``with model:`` and add a `pm.Potential` on ``model["weights"]``,
    ``model["means"]`` or ``model["covariances"]``; fix a variable with `pm.do`. For a prior of another kind, write the
    model of a few lines that this function is, with your own variables and `bayesgmm.model.rows.MixtureRows`, which
    takes any weights, means and precision Cholesky factors.

    Where rows are incomplete (missing values, errors, known labels), and where there is noise, there is no observed
    ``x``: the likelihood is the potential ``x_log_likelihood``, on data laid out by `bayesgmm.model.packing` where
    rows are incomplete, and `pm.set_data` and `pm.sample_posterior_predictive` do not apply; `bayesgmm.generate` and
    `bayesgmm.impute` do their work.

    The likelihood can be differentiated once. ``obs_id`` has no labels, so that `pm.set_data` need not be told new
    ones. There are no initial values in the model: `starting_point` gives them at the parameters of an EM fit.

    Raises
    ------
    DataError
        Naming the row or column that cannot be used.
    PriorError
        Naming the hyperparameter that does not fit.
    ValueError
        When `n_components` or `covariance_type` is out of range, or `noise` is no background.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> model = mixture_model(X, n_components=2)
    >>> [variable.name for variable in model.free_RVs]
    ['weights', 'means', 'bartlett_diagonal', 'bartlett_above']
    """
    observations = as_observations(X, weights=weights, errors=errors, known_labels=known_labels)
    return model_of(check_task(observations, n_components, covariance_type, noise), prior, start)


def model_of(task: Task, prior: Prior | None = None, start: Any = None) -> pm.Model:
    """Build the model of `mixture_model` for rows and a mixture that were checked."""
    observations, K, background = task.observations, task.n_components, task.background
    chosen, D = parametrisation(task.family.name), observations.n_features
    resolved = (prior or Prior()).resolve(observations, K, chosen.name, noise=background is not None)
    centre = None
    if chosen.centre is not None and D > 1:
        centre = chosen.centre(_covariances_of(start, observations, K))
    names = list(observations.feature_names)
    pairs = [f"{names[i]}:{names[j]}" for i, j in zip(*np.triu_indices(D, 1), strict=True)]
    coords = {"component": list(range(K)), "feature": names, "feature_bis": names}
    with pm.Model(coords=coords | ({"feature_pair": pairs} if pairs else {})) as model:
        log_weights, log_noise = pt.log(_draw_weights(resolved, K)), None
        if resolved.noise is not None:
            noise_weight = pm.Beta("noise_weight", resolved.noise.alpha, resolved.noise.beta)
            log_weights, log_noise = log_weights + pt.log1p(-noise_weight), pt.log(noise_weight)
        means = _draw_means(resolved, K, D)
        assert resolved.covariances is not None
        # data, and no constant: one compiled model serves every centre
        given = () if centre is None else (pm.Data("orientation_centre", centre, shape=centre.shape),)
        U = chosen.precision_cholesky(resolved.covariances, K, D, *given)
        pm.Deterministic("covariances", covariances(U), dims=("component", "feature", "feature_bis"))
        _observe(observations, (log_weights, means, U), log_noise, background)
    known = known_components(observations)
    model.mixture_specification = MixtureSpecification(K, chosen.name, resolved, centre, known, background)
    return model


def _observe(
    observations: Observations,
    mixture: tuple[TensorVariable, ...],
    log_noise: TensorVariable | None,
    background: Background | None,
) -> None:
    """Add the rows to the model in context: an observed variable, or a potential for noise or incomplete rows."""
    if observations.incomplete:
        # here, because its pass is compiled, for half a minute on a new machine, when it is imported
        from bayesgmm.model.likelihood_incomplete import incomplete_log_likelihood

        packed, _ = pack(observations, background)
        # PyMC narrows whole numbers to 32 bits
        arrays = [pm.Data(f"x_{name}", part, borrow=True).astype(part.dtype) for name, part in packed._asdict().items()]
        noise = () if log_noise is None else (log_noise,)
        pm.Potential("x_log_likelihood", incomplete_log_likelihood(arrays, *mixture, *noise))
        return
    values = observations.values.astype(np.float64, order="C")
    x = pm.Data("x_data", values, dims=("obs_id", "feature"), shape=(None, observations.n_features), borrow=True)
    if observations.weights is None:
        row_weights = pt.ones(x.shape[0])
    else:
        row_weights = pm.Data("row_weights", observations.weights, dims="obs_id")
    if background is not None:
        density = np.atleast_1d(background_density(observations, background))
        given = pm.Data("background_log_density", density, shape=(None,))
        counts = pt.ones(1) if observations.weights is None else row_weights
        pm.Potential("x_log_likelihood", mixture_log_likelihood(x, counts, *mixture, log_noise, given))
        return
    MixtureRows("x", row_weights, *mixture, observed=x, dims=("obs_id", "feature"))


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


def _covariances_of(start: Any, observations: Observations, K: int) -> np.ndarray:
    """Covariances (K, D, D) of a start, or without one that of the data for each component."""
    D = observations.n_features
    if start is None:
        return np.repeat(observations.covariance()[None], K, axis=0)
    parameters = start.parameters_ if isinstance(start, GaussianMixture) else start
    if not isinstance(parameters, MixtureParameters):
        raise ValueError(f"`start` must be a fitted GaussianMixture or MixtureParameters; received {type(start)!r}.")
    if parameters.means.shape != (K, D):
        raise ValueError(f"`start` must have means of shape {(K, D)}, received {parameters.means.shape}.")
    return parameters.covariances


def _draw_weights(prior: Prior, K: int) -> TensorVariable:
    assert isinstance(prior.weights, Dirichlet)
    if K == 1:
        return pm.Deterministic("weights", pt.ones(1), dims="component")
    return pm.Dirichlet("weights", np.asarray(prior.weights.concentration), shape=(K,), dims="component")


def _draw_means(prior: Prior, K: int, D: int) -> TensorVariable:
    assert prior.means is not None
    mu, sigma = np.asarray(prior.means.mu), np.asarray(prior.means.sigma)
    return pm.Normal("means", mu, sigma, shape=(K, D), dims=("component", "feature"), default_transform=Standardise())
