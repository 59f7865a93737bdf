"""Stand-in posteriors: draws around a maximum-likelihood fit, quick to make, in the DataTree of `sample_posterior`."""

from functools import cache

import numpy as np
import xarray as xr

from bayesgmm.data.datasets import load_dataset
from bayesgmm.data.observations import as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import posterior_datatree
from bayesgmm.questions.density import density
from bayesgmm.questions.generate import generate
from bayesgmm.questions.membership import membership


def scattered_draws(parameters: MixtureParameters, N: int, rng, chains: int, draws: int) -> MixtureParameters:
    """Draws (chain, draw) with about the spread of a posterior of N rows: Dirichlet, normal and Wishart."""
    K, D = parameters.means.shape
    rows = max(D + 1, N // K)
    L = np.linalg.cholesky(parameters.covariances)
    weights = rng.dirichlet(parameters.weights * N, size=(chains, draws))
    standard = rng.normal(size=(chains, draws, K, D)) / np.sqrt(parameters.weights * N)[:, None]
    means = parameters.means + np.einsum("kij,cskj->cski", L, standard)
    noise = rng.normal(size=(chains, draws, K, D, rows)) / np.sqrt(rows)
    root = np.einsum("kij,cskjn->cskin", L, noise)
    return MixtureParameters.from_covariances(weights, means, root @ np.swapaxes(root, -1, -2))


def as_datatree(gm: GaussianMixture, X, draws: MixtureParameters) -> xr.DataTree:
    """Assemble draws as `sample_posterior` does."""
    shape = draws.batch_shape
    return posterior_datatree(
        as_observations(X),
        draws,
        sample_stats={"lp": np.zeros(shape), "diverging": np.zeros(shape, dtype=np.int8)},
        log_likelihood=None,
        em=gm,
        alignment=align(draws, gm.parameters_)._asdict(),
        meta={"n_components": gm.n_components, "covariance_type": gm.covariance_type},
    )


@cache
def fake_posterior(name: str = "faithful", K: int = 2, chains: int = 2, draws: int = 100):
    """A fit, a posterior around it, and the rows (a DataArray); treat them as constants."""
    X = load_dataset(name)
    gm = GaussianMixture(K, n_init=3, random_state=0, max_iter=5000).fit(X)
    scattered = scattered_draws(gm.parameters_, len(X), np.random.default_rng(1), chains, draws)
    return gm, as_datatree(gm, X, scattered), X


@cache
def one_draw(name: str = "faithful", K: int = 2):
    """A fit, and a posterior of one chain and one draw at its parameters."""
    gm, _, X = fake_posterior(name, K)
    p = gm.parameters_
    single = MixtureParameters.from_covariances(p.weights[None, None], p.means[None, None], p.covariances[None, None])
    return gm, as_datatree(gm, X, single), X


def answers(dt: xr.DataTree) -> dict[str, float]:
    """Numbers of every function that reads a posterior."""
    points = dt["observed_data"].to_dataset()["x"].values[:4]
    fitted = membership(dt)
    return {
        "membership": float(fitted["probability_lower"].sum()),
        "agreement": float(fitted["label_agreement"].sum()),
        "new rows": float(membership(dt, points)["probability"].sum()),
        "density": float(density(dt, points)["density_upper"].sum()),
        "generate": float(generate(dt, 3, random_seed=1)["posterior_predictive/x"].sum()),
    }
