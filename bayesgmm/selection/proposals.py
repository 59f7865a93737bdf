"""Proposals for an integral over a posterior: Gaussian mixtures fitted to its unconstrained draws by EM.

Posteriors of mixtures are skewed and have several modes: a proposal has as many components as predict other draws best.
"""

import numpy as np

from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import fit_quietly

PROPOSAL_COMPONENTS = (1, 2, 4, 8)

ENOUGH_BETTER = 0.02
"""A proposal of more components must predict a held-out draw better by this much, in log density."""

PATIENCE = 2
"""EM may end in a poor optimum: so many proposals that are no better are tried before the search ends."""


def fit_proposal(
    draws: np.ndarray, held_out: np.ndarray, seed: int, counts: tuple[int, ...] = PROPOSAL_COMPONENTS
) -> GaussianMixture:
    """Gaussian mixture of the unconstrained draws (chain, draw, n) that predicts the held-out ones best."""
    size = draws.shape[-1]
    best: GaussianMixture | None = None
    best_score, worse = -np.inf, 0
    for n_components in counts:
        if best is not None and draws[..., 0].size < 5 * n_components * size:
            break
        # more iterations predict held-out draws no better, often worse
        proposal = GaussianMixture(n_components, random_state=seed % 2**31, tol=1e-3, max_iter=30)
        try:
            # a proposal need not be the best there is
            fit_quietly(proposal, draws.reshape(-1, size))
        except CollapseError:
            break
        score = proposal.score(held_out.reshape(-1, size))
        if score >= best_score + ENOUGH_BETTER:
            best, best_score, worse = proposal, score, 0
        elif (worse := worse + 1) == PATIENCE:
            break
    assert best is not None
    return best


def proposal_density(proposal: GaussianMixture, vectors: np.ndarray) -> np.ndarray:
    """Log density of a proposal at vectors (..., n)."""
    return proposal.score_samples(vectors.reshape(-1, vectors.shape[-1])).reshape(vectors.shape[:-1])
