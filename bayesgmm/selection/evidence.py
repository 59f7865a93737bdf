"""Log evidence of a mixture, log p(data | K, family, prior), by bridge sampling inside one labelling.

Where the prior does not tell components apart, the posterior is K! copies of itself, one for each way to label the
components, and an estimate that sees one copy is short of log K!. Here that is made exact: with A the region of one
labelling (`bayesgmm.selection.labelled_region`),

    Z = K! Z_A,   Z_A the integral of prior x likelihood over A.

Z_A is found by bridge sampling between draws in A and a proposal which need not respect A: outside, the target is zero.
Nothing costs K!. One half of each chain makes the proposal for the other half (`bayesgmm.selection.proposals`), and the
two estimates are averaged.

With more components than the data need, chains of NUTS stay where they are for long. Where that leaves the evidence
unknown, or known badly, a Gibbs sampler goes on from their ends if the priors are conjugate
(`bayesgmm.posterior.gibbs`), and the bridge is built from its draws.
"""

from dataclasses import dataclass, replace
from math import log, sqrt

import arviz_stats
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayesgmm.diagnostics.findings import LARGEST_PARETO_K
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior import datatree
from bayesgmm.sampler.bridge import BridgeError, bridge
from bayesgmm.selection.labelled_region import EvidenceError, Target
from bayesgmm.selection.proposals import PROPOSAL_COMPONENTS, fit_proposal, proposal_density

MORE_COMPONENTS = (4, 8, 16, 32)
"""Of the proposal for longer chains, which have draws enough."""

FEWEST_DRAWS = 200
LARGEST_RHAT = 1.05
HOPELESS_RHAT = 2.0
"""Above it no two chains of four agree: going on from them is no remedy."""

LARGE_ERROR = 0.05
"""Standard error from which on longer chains are worth their time."""


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """An estimate of the log evidence.

    Attributes
    ----------
    value : float
        Natural log of p(data | K, family, prior), in the units of the data.
    standard_error : float
        Of `value`; from the variance of the estimate, with the autocorrelation of the chains in it.
    method : str
        "bridge"; "importance" where chains found several modes and their shares are not known from the draws; "Gibbs
        and bridge" where they left more to be known, and a Gibbs sampler went on from them.
    effective_draws : float
        How many independent draws the estimate is worth.
    overlap : float
        Share of the proposals that lie in the region of one labelling.
    """

    value: float
    standard_error: float
    method: str
    effective_draws: float
    overlap: float

    def __str__(self) -> str:
        """Value, error and method in one line."""
        return f"log evidence {self.value:.3f}, standard error {self.standard_error:.3f} ({self.method} sampling)"


def log_evidence(dt: xr.DataTree, *, n_proposals: int | None = None, random_seed: int | None = None) -> LogEvidence:
    """Estimate the log evidence of a posterior, label switching taken into account.

    Parameters
    ----------
    dt : DataTree
        Of `sample_posterior`.
    n_proposals : int, optional
        Draws of the proposal; by default twice the posterior draws, and at least 4000. Each costs one pass over the
        data.
    random_seed : int, optional

    Returns
    -------
    LogEvidence
        ``value`` and ``standard_error``, in natural logs.

    Raises
    ------
    EvidenceError
        When the draws or the prior cannot support it: chains that do not agree, too few draws, an improper posterior
        (a HalfNormal prior on standard deviations where rows repeat), draws that were cut short.

    Notes
    -----
    With noise the evidence is that of a mixture with the stored background: compare it with others of the same rows,
    and remember that another box has another evidence.

    A factor K! counts the labellings where the prior does not tell the components apart; a prior with a concentration
    or mean for each component has none. Where chains were kept apart in group ``other_mode`` the draws do not say how
    much each mode holds: the evidence is then importance sampling from a proposal that covers them all, refused when
    its Pareto k is above 0.7.

    Where that is refused, where R-hat of the log posterior is from 1.05 to 2, or where the standard error is above 0.05
    (often with more components than the data need), a Gibbs sampler goes on from the ends of the chains, and the bridge
    is built from its draws: seconds more. It moves between modes where NUTS stays, and needs an inverse-Wishart prior
    (the default of eight families), complete rows and no noise.
    """
    seeds = np.random.SeedSequence(random_seed).generate_state(5)
    target = Target(dt, int(seeds[3]))
    draws = datatree.posterior_parameters(dt)
    n_proposals = max(4000, 2 * draws.weights[..., 0].size) if n_proposals is None else int(n_proposals)
    if n_proposals < 100:
        raise ValueError(f"`n_proposals` must be at least 100, received {n_proposals}.")
    rhat = _disagreement(dt, draws)
    first: LogEvidence | EvidenceError
    try:
        if "other_mode" in dt.children:
            first = _by_importance(target, dt, n_proposals, int(seeds[2]))
        else:
            _check_agreement(rhat)
            first = _by_bridge(target, target.vectors(draws), n_proposals, seeds, PROPOSAL_COMPONENTS)
    except EvidenceError as error:
        first = error
    uncertain = isinstance(first, EvidenceError) or first.standard_error > LARGE_ERROR
    if uncertain and rhat <= HOPELESS_RHAT and (longer := target.longer_chains(dt, int(seeds[4]))) is not None:
        vectors = target.vectors(longer)
        if _rhat(target.log_density_inside(vectors)) <= LARGEST_RHAT:
            n_proposals = max(n_proposals, 2 * longer.weights[..., 0].size)
            try:
                again = _by_bridge(target, vectors, n_proposals, seeds, MORE_COMPONENTS)
                return replace(again, method="Gibbs and bridge")
            except EvidenceError:
                # what was found first stands, or is what is wrong
                pass
    if isinstance(first, EvidenceError):
        raise first
    return first


def _by_bridge(
    target: Target, vectors: np.ndarray, n_proposals: int, seeds: np.ndarray, counts: tuple[int, ...]
) -> LogEvidence:
    """Bridge between draws (chain, draw, n) and proposals made from the other half of each chain."""
    half = vectors.shape[1] // 2
    halves = (vectors[:, :half], vectors[:, half:])
    held_out = halves[::-1]
    proposals = [fit_proposal(*pair, int(seed), counts) for pair, seed in zip((halves, held_out), seeds, strict=False)]
    proposed = [proposal.sample(n_proposals // 2)[0] for proposal in proposals]
    # both at once: setting up the way back to parameters takes longer than going it
    at_proposals = np.split(target.log_density(np.concatenate(proposed)), len(proposed))
    bridges = []
    for i, proposal in enumerate(proposals):
        try:
            bridges.append(
                bridge(
                    target.log_density_inside(held_out[i]) - proposal_density(proposal, held_out[i]),
                    at_proposals[i] - proposal.score_samples(proposed[i]),
                )
            )
        except BridgeError as error:
            raise EvidenceError(f"no evidence from these draws: {error}") from None
    one, two = bridges
    return LogEvidence(
        value=float(np.logaddexp(one.log_constant, two.log_constant) - log(2.0)) + target.log_copies,
        standard_error=sqrt(one.relative_variance + two.relative_variance) / 2.0,
        method="bridge",
        effective_draws=one.effective_draws + two.effective_draws,
        overlap=float(np.isfinite(at_proposals).mean()),
    )


def _disagreement(dt: xr.DataTree, draws: MixtureParameters) -> float:
    """R-hat of the log posterior of chains that were pooled; one where it is not known."""
    chains, n = draws.batch_shape
    if chains * n < FEWEST_DRAWS:
        raise EvidenceError(f"{chains * n} draws are too few for an evidence: sample at least {FEWEST_DRAWS}.")
    if chains == 1 or "sample_stats" not in dt.children or "lp" not in dt["sample_stats"]:
        return 1.0
    return _rhat(dt["sample_stats"]["lp"].transpose(datatree.CHAIN, datatree.DRAW).values)


def _rhat(values: np.ndarray) -> float:
    return float(arviz_stats.rhat(values, chain_axis=0, draw_axis=1))


def _check_agreement(rhat: float) -> None:
    if rhat > LARGEST_RHAT:
        raise EvidenceError(
            f"the chains do not agree (R-hat of the log posterior {rhat:.2f}, at most {LARGEST_RHAT}): their draws "
            "do not describe the posterior. Sample longer, or with fewer components."
        )


def _by_importance(target: Target, dt: xr.DataTree, n_proposals: int, seed: int) -> LogEvidence:
    """Sample from the proposals of all modes, each with the same share, and weight."""
    proposals = []
    for i, group in enumerate(("posterior", "other_mode")):
        vectors = target.vectors(datatree.posterior_parameters(dt, group))
        half = vectors.shape[1] // 2
        proposals.append(fit_proposal(vectors[:, :half], vectors[:, half:], seed + i))
    share = n_proposals // len(proposals)
    proposed = np.concatenate([proposal.sample(share)[0] for proposal in proposals])
    log_q = np.logaddexp.reduce([proposal.score_samples(proposed) for proposal in proposals]) - log(len(proposals))
    return importance_estimate(target.log_density(proposed) - log_q, target.log_copies)


def importance_estimate(log_ratios: np.ndarray, log_copies: float) -> LogEvidence:
    """Estimate from log f - log q (M,) at independent draws of q that covers f; minus infinity outside its support."""
    inside = np.isfinite(log_ratios)
    if inside.sum() < FEWEST_DRAWS:
        raise EvidenceError(f"only {inside.sum()} proposals lie where the posterior has density: sample longer.")
    _, pareto_k = array_stats.psislw(-log_ratios[inside], axis=-1)
    if not float(pareto_k) <= LARGEST_PARETO_K:
        raise EvidenceError(
            f"the chains found several modes, and no proposal made from them covers the posterior (Pareto k "
            f"{float(pareto_k):.2f}, at most {LARGEST_PARETO_K}): sample longer, or with fewer components."
        )
    largest = log_ratios[inside].max()
    weights = np.exp(log_ratios - largest)
    return LogEvidence(
        value=float(np.log(weights.mean()) + largest) + log_copies,
        standard_error=float(weights.std() / weights.mean() / sqrt(weights.size)),
        method="importance",
        effective_draws=float(weights.sum() ** 2 / (weights**2).sum()),
        overlap=float(inside.mean()),
    )
