"""Gibbs sampling of a mixture whose priors are conjugate: chains that go on from others and pass between their modes.

Given the component of each row, weights, means, covariances and a random scale have known laws; given these, rows are
allocated independently (Diebolt & Robert 1994; Richardson & Green 1997, without their jumps). A sweep leaves the
posterior unchanged, and may move a component from one group of rows to another in one step, where a path through the
parameters would have to cross a valley.

May import NumPy, the compiled sweeps and the modules below it only.
"""

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.em.families import covariance_family
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.priors import Dirichlet, InverseWishart, Normal, Prior, RandomScale
from bayesgmm.tools.threads import over_threads

CHAINS, DRAWS = 4, 1500
"""What `longer_chains` returns; a tenth more draws of each chain are made first and left out."""

MOST_SWEEPS, FEWEST_SWEEPS = 25, 5
"""From one kept draw to the next."""

MOST_VISITS = 1_000_000_000
"""Of rows by components, in all sweeps of all chains: half a minute."""


def has_known_conditionals(observations: Observations, covariance_type: str, prior: Prior) -> bool:
    """Whether `continue_chains` can sample this posterior: complete rows, whole weights, conjugate priors, no noise."""
    return (
        not observations.incomplete
        and observations.has_whole_weights
        and covariance_family(covariance_type).linear
        and isinstance(prior.covariances, InverseWishart)
        and prior.noise is None
    )


def longer_chains(
    observations: Observations, covariance_type: str, prior: Prior, draws: MixtureParameters, random_seed: int
) -> MixtureParameters | None:
    """Go on from draws (S,) of chains that were too short, or None where that cannot be done or takes too long.

    Chains begin at draws evenly spaced among them, and are `MOST_SWEEPS` times as long as they have draws.
    """
    if not has_known_conditionals(observations, covariance_type, prior):
        return None
    before = DRAWS // 10
    visits = CHAINS * (DRAWS + before) * observations.total_weight * draws.n_components
    every = int(min(MOST_SWEEPS, MOST_VISITS / visits))
    if every < FEWEST_SWEEPS:
        return None
    S = len(draws.weights)
    starts = draws[np.floor((np.arange(CHAINS) + 1) * (S / CHAINS)).astype(np.int64) - 1]
    return continue_chains(
        observations, covariance_type, prior, starts, draws=DRAWS + before, every=every, random_seed=random_seed
    )[:, before:]


def continue_chains(
    observations: Observations,
    covariance_type: str,
    prior: Prior,
    starts: MixtureParameters,
    *,
    draws: int,
    every: int,
    random_seed: int,
) -> MixtureParameters:
    """Sample from given mixtures on, one chain from each.

    Parameters
    ----------
    observations : Observations
        Complete rows; whole weights count rows.
    covariance_type : str
        Of a family whose covariances are a linear space: an inverse Wishart prior is conjugate there.
    prior : Prior
        Resolved, the covariances' an `InverseWishart`.
    starts : MixtureParameters
        Batch shape (chain,), in the units of the data, of the family.
    draws, every : int
        Every `every`-th sweep is kept, `draws` of them.
    random_seed : int
        The draws do not depend on the number of cores.

    Returns
    -------
    MixtureParameters
        Batch shape (chain, draws). Labels switch.

    Notes
    -----
    A sweep costs about as much as a pass over the rows.
    """
    # compiled at the first call only
    from bayesgmm.kernel.compiled.gibbs import DIAGONAL, MATRIX, OWN, SHARED, SPHERICAL, gibbs_sweeps

    family = covariance_family(covariance_type)
    assert isinstance(prior.weights, Dirichlet)
    assert isinstance(prior.means, Normal)
    assert isinstance(prior.covariances, InverseWishart)
    rows = observations.values.astype(np.float64)
    if observations.weights is not None:
        rows = np.repeat(rows, observations.weights.astype(np.int64), axis=0)
    C, K, D = *starts.weights.shape, starts.n_features
    form = SPHERICAL if family.spherical else DIAGONAL if family.diagonal else MATRIX
    scale = prior.covariances.scale
    shape, rate = (scale.shape, _matrix(scale.rate, D)) if isinstance(scale, RandomScale) else (0.0, np.eye(D))
    assert shape is not None
    mu, sigma = (np.array(np.broadcast_to(part, (K, D)), np.float64) for part in (prior.means.mu, prior.means.sigma))
    concentration = np.array(np.broadcast_to(prior.weights.concentration, (K,)), np.float64)
    precisions = starts.precision_cholesky @ np.swapaxes(starts.precision_cholesky, -1, -2)
    seeds = np.random.SeedSequence(random_seed).generate_state(C)
    # a random scale is drawn given the precisions before it is used
    begins = rate if isinstance(scale, RandomScale) else _matrix(scale, D)

    def chain(c: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kept = np.empty((draws, K)), np.empty((draws, K, D)), np.empty((draws, K, D, D))
        gibbs_sweeps(
            np.ascontiguousarray(rows),
            concentration,
            mu,
            sigma**-2.0,
            float(prior.covariances.dof),  # type: ignore[union-attr]
            begins.copy(),
            float(shape),
            rate,
            form,
            SHARED if family.common else OWN,
            starts.weights[c].copy(),
            starts.means[c].copy(),
            np.ascontiguousarray(precisions[c]),
            every,
            int(seeds[c]),
            *kept,
        )
        return kept

    chains = over_threads(chain, range(C))
    weights, means, precisions = (np.stack(part) for part in zip(*chains, strict=True))
    return MixtureParameters.from_covariances(weights, means, np.linalg.inv(precisions))


def _matrix(value: object, D: int) -> np.ndarray:
    """Bring a number, a diagonal or a matrix to (D, D), in memory of its own."""
    array = np.asarray(value, dtype=np.float64)
    return np.array(array if array.ndim == 2 else np.diag(np.broadcast_to(array, (D,))), dtype=np.float64)
