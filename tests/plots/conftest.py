"""A posterior to draw, made without sampling: draws about a known mixture."""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.data.observations import as_observations
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import posterior_datatree

CHAINS, DRAWS = 2, 20


@dataclass(frozen=True)
class Case:
    """Rows, their EM fit, and a stand-in for their posterior."""

    X: pd.DataFrame
    fit: bg.GaussianMixture
    posterior: xr.DataTree


def make_case(n_features: int, n_components: int, n_rows: int = 150, seed: int = 7) -> Case:
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=3.0, size=(n_components, n_features))
    values = centres[rng.integers(n_components, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    X = pd.DataFrame(values, columns=[f"feature_{letter}" for letter in "abcdef"[:n_features]])
    fit = bg.GaussianMixture(n_components, random_state=0).fit(X)
    centre, shape = fit.parameters_, (CHAINS, DRAWS)
    factor = np.linalg.cholesky(centre.covariances)
    moved = np.einsum("kij,csdkj->csdki", factor, rng.normal(size=(*shape, 1, *centre.means.shape)))[:, :, 0]
    draws = MixtureParameters.from_covariances(
        rng.dirichlet(centre.weights * n_rows, size=shape),
        centre.means + moved * 0.15,
        centre.covariances * rng.gamma(100, 0.01, size=(*shape, n_components, 1, 1)),
    )
    posterior = posterior_datatree(
        as_observations(X),
        draws,
        sample_stats={"lp": np.zeros(shape)},
        log_likelihood=None,
        em=fit,
        alignment={"cost": np.zeros(shape)},
        meta={"n_components": n_components},
    )
    return Case(X, fit, posterior)


@pytest.fixture(scope="session")
def one() -> Case:
    """One feature, three components."""
    return make_case(1, 3)


@pytest.fixture(scope="session")
def two() -> Case:
    """Two features, two components."""
    return make_case(2, 2)


@pytest.fixture(scope="session")
def four() -> Case:
    """Four features, three components."""
    return make_case(4, 3)


@pytest.fixture(scope="session")
def many() -> Case:
    """More rows than a picture draws."""
    return make_case(2, 2, n_rows=6000)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
