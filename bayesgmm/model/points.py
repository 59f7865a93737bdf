"""A mixture as a point of the model's variables, and back."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pymc as pm

from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.families import parametrisation
from bayesgmm.model.mixture_model import specification
from bayesgmm.priors import InverseWishart, Prior, RandomScale


def mixtures(drawn: Mapping[str, np.ndarray], background: Background | None = None) -> MixtureParameters:
    """Collect the mixtures among a model's variables, with the noise where there is a background."""
    found = MixtureParameters.from_covariances(*(drawn[name] for name in ("weights", "means", "covariances")))
    return found if background is None else replace(found, noise=Noise(drawn["noise_weight"], background))


SMALLEST_START_WEIGHT = 1e-6


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
        simplex, and so is the share of noise, which is its prior mean where the mixture has no noise.
    """
    mixture = specification(model)
    K, D = mixture.n_components, len(model.coords["feature"])
    if parameters.means.shape != (K, D):
        raise ValueError(f"`parameters` must have means of shape {(K, D)}, received {parameters.means.shape}.")
    weights = np.maximum(parameters.weights, SMALLEST_START_WEIGHT)
    values = {"weights": weights / weights.sum(), "means": parameters.means}
    if K == 1:
        del values["weights"]
    if mixture.prior.noise is not None:
        values["noise_weight"] = _share_of_noise(mixture.prior, parameters)
    assert mixture.prior.covariances is not None
    given = () if mixture.centre is None else (mixture.centre,)
    found = parametrisation(mixture.covariance_type).start(mixture.prior.covariances, parameters.covariances, *given)
    return values | found


def starting_points(model: pm.Model, parameters: MixtureParameters) -> list[dict[str, np.ndarray]]:
    """Give `starting_point` of each of many mixtures, batch shape (S,)."""
    mixture = specification(model)
    chosen, prior = parametrisation(mixture.covariance_type), mixture.prior
    S = len(parameters.weights)
    random = isinstance(prior.covariances, InverseWishart) and isinstance(prior.covariances.scale, RandomScale)
    if random or not chosen.starts_many or S == 0:
        return [starting_point(model, parameters[s]) for s in range(S)]
    assert prior.covariances is not None
    weights = np.maximum(parameters.weights, SMALLEST_START_WEIGHT)
    values = {"weights": weights / weights.sum(axis=-1, keepdims=True), "means": parameters.means}
    if mixture.n_components == 1:
        del values["weights"]
    if prior.noise is not None:
        values["noise_weight"] = np.broadcast_to(_share_of_noise(prior, parameters), (S,))
    values |= chosen.start(prior.covariances, parameters.covariances)
    return [{name: many[s] for name, many in values.items()} for s in range(S)]


def _share_of_noise(prior: Prior, parameters: MixtureParameters) -> np.ndarray:
    """Share of noise off the edges of its support; that expected a priori where the mixtures have none."""
    assert prior.noise is not None
    share = prior.noise.mean if parameters.noise is None else parameters.noise.weight
    return np.clip(share, SMALLEST_START_WEIGHT, 1.0 - SMALLEST_START_WEIGHT)
