"""Optima of the likelihood besides the best one: where EM ends from random starts.

Relabellings of one mixture are one optimum here.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.data.samples import random_positions
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import fit_quietly
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters

ELSEWHERE_STARTS = 5
"""Random starts of EM, beside those of the fit itself, that look for other optima."""

EXPLORED_ROWS = 10_000
"""With more rows than this other optima are looked for among so many of them, and followed up on all."""

MOST_OTHERS = 3
"""Most optima followed up beside the fit itself, the most likely first."""

SAME_MIXTURE = 0.01
"""Sum of Bhattacharyya distances below which two mixtures are one optimum."""


def fit_em(observations: Observations, K: int, kind: str, seed: int, **settings: Any) -> GaussianMixture:
    """Fit by EM without a word: the sampler needs a place to begin, and the prior mends what collapsed."""
    return fit_quietly(GaussianMixture(K, covariance_type=kind, random_state=seed % 2**31, **settings), observations)


def other_optima(
    observations: Observations, start: GaussianMixture, kind: str, seed: int, **settings: Any
) -> list[GaussianMixture]:
    """Where EM ends from random starts, where that is admissible and not `start`; the most likely first.

    `settings` are those of `GaussianMixture`.
    """
    K = start.parameters_.n_components
    if K == 1:
        return []
    seeds = np.random.SeedSequence(seed).generate_state(ELSEWHERE_STARTS + 1)
    some = observations
    if observations.n_rows > EXPLORED_ROWS:
        rng = np.random.default_rng(seeds[-1])
        some = observations.take(random_positions(observations.n_rows, EXPLORED_ROWS, rng))
    ends = []
    for one in seeds[:-1]:
        try:
            ends.append(fit_em(some, K, kind, int(one), init_params="random_from_data", **settings))
        except CollapseError:
            continue
    others: list[GaussianMixture] = []
    known = [start.parameters_]
    for end in sorted(ends, key=lambda end: -end.lower_bound_):
        if len(others) == MOST_OTHERS:
            break
        if not end.admissible_ or is_known(end.parameters_, known):
            continue
        if some is not observations:
            known.append(end.parameters_)
            try:
                end = fit_em(observations, K, kind, 0, init_params=end, **settings)
            except CollapseError:
                continue
            on_all_rows = [fit.parameters_ for fit in (start, *others)]
            if not end.admissible_ or is_known(end.parameters_, on_all_rows):
                continue
        known.append(end.parameters_)
        others.append(end)
    return others


def is_known(parameters: MixtureParameters, known: Iterable[MixtureParameters]) -> bool:
    """Whether a mixture is one of those known already, up to labels."""
    return any(float(align(parameters, one).cost) < SAME_MIXTURE for one in known)
