"""Hypothesis strategies: random mixtures, random rows, and both together.

Sizes are drawn by Hypothesis and shrink; numbers come from a generator seeded by it, so that they are well spread.
"""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.mixture.parameters import MixtureParameters


class Problem(NamedTuple):
    """Rows with a mixture to look at them, which has not been fitted to them."""

    observations: Observations
    parameters: MixtureParameters  # in the units of the data

    @property
    def standard(self) -> MixtureParameters:
        return self.observations.to_standard(self.parameters)


def random_covariances(rng: np.random.Generator, shape: tuple[int, ...], D: int, *, diagonal: bool = False):
    """Covariances (*shape, D, D) with spreads between 0.3 and 3 and correlations of every sign."""
    spread = np.exp(rng.uniform(np.log(0.3), np.log(3), size=(*shape, D)))
    if diagonal:
        return spread[..., None] ** 2 * np.eye(D)
    root = rng.normal(size=(*shape, D, D + 2))
    covariance = root @ np.swapaxes(root, -1, -2)
    unit = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    scale = spread / unit
    return covariance * scale[..., :, None] * scale[..., None, :]


def random_mixture(
    rng: np.random.Generator, K: int, D: int, *, batch: tuple[int, ...] = (), diagonal: bool = False
) -> MixtureParameters:
    weights = rng.dirichlet(np.full(K, 2.0), size=batch)
    means = rng.normal(scale=3.0, size=(*batch, K, D))
    return MixtureParameters.from_covariances(
        weights, means, random_covariances(rng, (*batch, K), D, diagonal=diagonal)
    )


def random_rows(rng: np.random.Generator, N: int, D: int, *, clusters: int = 3) -> np.ndarray:
    """Rows (N, D) around a few centres, each column with its own unit and origin."""
    centres = rng.normal(scale=3.0, size=(clusters, D))
    rows = centres[rng.integers(clusters, size=N)] + rng.normal(size=(N, D))
    return rows * np.exp(rng.uniform(-1, 1, size=D)) + rng.normal(scale=5.0, size=D)


seeds = st.integers(0, 2**32 - 1)


@st.composite
def mixtures(draw, *, max_components=5, max_features=4, batch=(), diagonal=False) -> MixtureParameters:
    K, D = draw(st.integers(1, max_components)), draw(st.integers(1, max_features))
    return random_mixture(np.random.default_rng(draw(seeds)), K, D, batch=batch, diagonal=diagonal)


@st.composite
def problems(draw, *, max_rows=300, weighted=None, diagonal=False) -> Problem:
    """Rows and a mixture; `weighted` None leaves it open whether rows have weights."""
    K, D = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    N = draw(st.integers(2, max_rows))
    with_weights = draw(st.booleans()) if weighted is None else weighted
    rng = np.random.default_rng(draw(seeds))
    X = random_rows(rng, N, D)
    weights = rng.integers(0, 4, size=N).astype(float) if with_weights else None
    if weights is not None:
        weights[:2] = 1.0
    observations = as_observations(X, weights=weights)
    standard = random_mixture(rng, K, D, diagonal=diagonal)
    return Problem(observations, observations.from_standard(standard))
