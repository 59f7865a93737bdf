"""Mixtures with a noise component, and their slow, obvious references: SciPy's normals and uniforms."""

from dataclasses import replace
from functools import cache

import numpy as np
import xarray as xr
from scipy.special import softmax
from scipy.stats import uniform

from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.known import KnownMixture
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from tests.support import oracle
from tests.support.posteriors import as_datatree, fake_posterior, scattered_draws

N_NOISE = 30
"""Uniform rows that come after those of faithful."""


def log_joint(X, parameters: MixtureParameters) -> np.ndarray:
    """log (1 - pi_0) weights_k N(x_n | mu_k, Sigma_k), then log pi_0 u(x_n), (N, K + 1), of one mixture in a box."""
    X = np.asarray(X, dtype=np.float64)
    noise = parameters.noise
    box = uniform(noise.background.lower, noise.background.upper - noise.background.lower)
    with np.errstate(divide="ignore"):
        of_noise = np.log(noise.weight) + box.logpdf(X).sum(axis=1)
        return np.column_stack([oracle.log_joint(X, parameters) + np.log(1 - noise.weight), of_noise])


def density(X, parameters: MixtureParameters) -> np.ndarray:
    """p(x_n), (N,)."""
    return np.exp(log_joint(X, parameters)).sum(axis=1)


def memberships(X, parameters: MixtureParameters) -> np.ndarray:
    """r_nk, noise last, (N, K + 1)."""
    return softmax(log_joint(X, parameters), axis=1)


def over_draws(function, X, parameters: MixtureParameters) -> np.ndarray:
    """One of the functions above for every mixture of a batch (S,), stacked."""
    return np.stack([function(X, parameters[s]) for s in range(parameters.batch_shape[0])])


def with_noise(parameters: MixtureParameters, weight, background: Background) -> MixtureParameters:
    """The same clusters, and noise."""
    return replace(parameters, noise=Noise(np.asarray(weight, dtype=np.float64), background))


def as_mixture(parameters: MixtureParameters, like: GaussianMixture, features=None) -> GaussianMixture:
    """Mixture of given parameters, with the names and units of another."""
    names, units = like.feature_names, like.units
    if features is not None:
        names, units = (tuple(of[j] for j in features) for of in (names, units))
    return GaussianMixture._of(KnownMixture(parameters, {"covariance_type": "full"}, names, units, named=True))


@cache
def noisy_posterior(chains: int = 2, draws: int = 60, hull: bool = False):
    """A fit with noise, a posterior around it, its draws (S,), and rows (a DataArray), the last of them noise.

    The box leaves some of the rows outside. Treat them as constants.
    """
    gm, _, X = fake_posterior()
    rng = np.random.default_rng(3)
    values = np.asarray(X.values, dtype=np.float64)
    margin = 0.1 * np.ptp(values, axis=0)
    edges = values.min(axis=0) + margin / 2, values.max(axis=0) + 3 * margin
    rows = np.concatenate([values, rng.uniform(*edges, size=(N_NOISE, 2))])
    background = Background.hull(rows) if hull else Background.box(*edges)
    table = xr.DataArray(
        rows, dims=X.dims, coords={X.dims[1]: X[X.dims[1]].values, X.dims[0]: np.arange(len(rows))}, attrs=X.attrs
    )
    parameters = with_noise(gm.parameters_, 0.1, background)
    fit = as_mixture(parameters, gm)
    scattered = scattered_draws(gm.parameters_, len(rows), rng, chains, draws)
    scattered = with_noise(scattered, rng.beta(N_NOISE, len(values), size=(chains, draws)), background)
    dt = as_datatree(fit, table, scattered)
    return fit, dt, scattered.flat(), table


@cache
def one_noisy_draw():
    """The fit with noise, and a posterior of one chain and one draw at its parameters."""
    fit, _, _, X = noisy_posterior()
    p = fit.parameters_
    single = MixtureParameters.stack([MixtureParameters.stack([p])])
    return fit, as_datatree(fit, X, single), X
