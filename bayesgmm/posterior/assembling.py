"""From draws of a mixture's parameters to the DataTree: labels aligned, log-likelihood pointwise where it fits."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations, known_components
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.chains import distances, split_chains
from bayesgmm.posterior.datatree import IMPORTANCE_DRAW, MODE, parameter_dataset, posterior_datatree
from bayesgmm.posterior.posterior_modes import Mode, probabilities
from bayesgmm.sampler.laplace import ImportanceDraws

MOST_POINTWISE = 20_000_000
"""The pointwise log-likelihood holds at most this many numbers (160 MB)."""

FEWEST_POINTWISE = 100
"""With fewer draws than this the pointwise log-likelihood is no use, and is left out."""


class Pointwise(NamedTuple):
    """The pointwise log-likelihood of some draws.

    Attributes
    ----------
    values : (chain, draw', N) float64 or None
    every : int
        Every so many draws of each chain are there; 0 where none is.
    """

    values: np.ndarray | None
    every: int


def pointwise_log_likelihood(observations: Observations, parameters: MixtureParameters) -> Pointwise:
    """Log p(x_n) of draws (chain, draw), of as many as `MOST_POINTWISE` numbers hold.

    All draws where they fit; otherwise every t-th of each chain, t the least that makes them fit; none where fewer than
    `FEWEST_POINTWISE` in all would be left. Memory beyond the result does not grow with N.
    """
    C, S = parameters.batch_shape
    N = observations.n_rows
    each = min(S, MOST_POINTWISE // (N * C))
    if each == 0 or (each < S and C * each < FEWEST_POINTWISE):
        return Pointwise(None, 0)
    every = -(-S // each)
    some = slice(None, None, every)
    chosen = parameters[:, some]
    flat = chosen.flat()
    rows = map_rows(lambda log_joint: normalise(log_joint).T, observations, flat, trailing=flat.batch_shape)
    return Pointwise(np.moveaxis(rows.reshape(N, *chosen.batch_shape), 0, -1), every)


def assemble(
    observations: Observations,
    drawn: MixtureParameters,
    sample_stats: Mapping[str, np.ndarray],
    start: GaussianMixture,
    modes: Sequence[Mode],
    facts: Mapping[str, Any],
    *,
    compare_chains: bool,
    importance: ImportanceDraws | None = None,
) -> xr.DataTree:
    """Align the draws, keep chains in other modes apart, and make the DataTree.

    Parameters
    ----------
    drawn : MixtureParameters
        Batch shape (chain, draw).
    sample_stats : mapping
        ArviZ's name -> (chain, draw).
    start : GaussianMixture
        The EM fit, kept in group ``em``.
    modes : sequence of Mode
        Kept in group ``modes``; labels are aligned to the first one's optimum.
    facts : mapping
        How the draws were made, for the root attribute; must be JSON.
    compare_chains : bool
        Whether the chains are a sampler's, which may be in modes of their own.
    importance : ImportanceDraws, optional
        Kept in group ``importance``.
    """
    names, units = observations.feature_names, observations.units
    known = known_components(observations)
    alignment = align(drawn, modes[0].optimum, fixed=known)
    aligned = drawn.permute(alignment.permutation)
    kept: list[int] = list(range(len(drawn.weights)))
    apart: list[int] = []
    shares = probabilities(modes)
    meta = dict(facts)
    if compare_chains:
        kept, apart, nearest = split_chains(sample_stats["lp"], distances(aligned, modes), shares)
        meta["chain_modes"] = nearest.tolist()
    parameters = aligned[kept]
    pointwise = pointwise_log_likelihood(observations, parameters)
    meta |= {
        "known_components": list(known),
        "n_exchangeable": drawn.n_components - len(known),
        "log_likelihood_every": pointwise.every,
    }
    tree = posterior_datatree(
        observations,
        parameters,
        sample_stats={name: values[kept] for name, values in sample_stats.items()},
        log_likelihood=pointwise.values,
        log_likelihood_every=max(pointwise.every, 1),
        em=start,
        alignment={name: values[kept] for name, values in alignment._asdict().items()},
        meta=meta,
    )
    if apart:
        tree["other_mode"] = xr.DataTree(parameter_dataset(aligned[apart], names, units))
    tree["modes"] = xr.DataTree(_modes_dataset(modes, shares, names, units))
    if importance is not None:
        columns = {name: getattr(importance, name) for name in ("log_p", "log_g", "log_weights")}
        tree["importance"] = xr.DataTree(xr.Dataset({name: (IMPORTANCE_DRAW, c) for name, c in columns.items()}))
    return tree


def _modes_dataset(
    modes: Sequence[Mode], shares: np.ndarray, names: tuple[str, ...], units: tuple[str, ...]
) -> xr.Dataset:
    """Parameters at each mode with its densities; ``probability`` is among the modes found."""
    stacked = MixtureParameters.stack([mode.parameters for mode in modes])
    dataset = parameter_dataset(stacked, names, units, (MODE,))
    columns = {
        "em_log_likelihood": [mode.em_log_likelihood for mode in modes],
        "log_posterior": [np.nan if mode.gaussian is None else mode.gaussian.log_density for mode in modes],
        "log_evidence": [mode.log_evidence for mode in modes],
        "pareto_k": [np.nan if mode.check is None else mode.check.pareto_k for mode in modes],
        "probability": shares,
    }
    return dataset.assign({name: (MODE, np.asarray(values, dtype=np.float64)) for name, values in columns.items()})
