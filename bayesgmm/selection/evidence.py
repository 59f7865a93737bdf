"""Log evidence of a mixture, log p(data | K, family, prior), by bridge sampling inside one labelling.

Where the prior does not tell components apart, the posterior is K! copies of itself, one for each way to label the
components, and an estimate that sees one copy is short of log K!. Here that is made exact. Choose a reference mixture,
and let A be the parameters whose best assignment to the reference is the identity: the K! relabellings of A cover the
parameters once (up to a set of measure zero). So

    Z = K! Z_A,   Z_A the integral of prior x likelihood over A,

and every posterior draw lies in A once it is relabelled. Z_A is found by bridge sampling between draws in A and a
proposal which need not respect A: outside, the target is zero. Nothing costs K!.

In the families with one orientation for all components the D! orders of its axes are copies too, and A holds the one
that the model's own start takes. A random scale of the covariances' prior is not among the draws: it is drawn anew
given the covariances, exactly.

The proposal is a Gaussian mixture fitted to the unconstrained draws by EM, with as many components as predict the
other half of the draws best: posteriors of mixtures are skewed and have several modes. One half of each chain makes the
proposal for the other half, and the two estimates are averaged.

With more components than the data need, chains of NUTS stay where they are for long. Where that leaves the evidence
unknown, or known badly, a Gibbs sampler goes on from their ends if the priors are conjugate
(`bayesgmm.posterior.gibbs`), and the bridge is built from its draws.
"""

from dataclasses import dataclass, replace
from math import lgamma, log, sqrt
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayesgmm.data.observations import known_components
from bayesgmm.diagnostics.findings import ties
from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import fit_quietly
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.draws import mean_mixture
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.model.coordinates.bartlett import draw_scale
from bayesgmm.model.families import parametrisation
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.model.points import mixtures, starting_points
from bayesgmm.posterior import datatree
from bayesgmm.posterior.gibbs import longer_chains
from bayesgmm.priors import Prior
from bayesgmm.sampler.bridge import BridgeError, bridge
from bayesgmm.sampler.log_density import LogDensity, compile_log_density
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_points

PROPOSAL_COMPONENTS = (1, 2, 4, 8)
MORE_COMPONENTS = (4, 8, 16, 32)
"""Of the proposal for longer chains, which have draws enough."""

ENOUGH_BETTER = 0.02
"""A proposal of more components must predict a held-out draw better by this much, in log density."""

PATIENCE = 2
"""EM may end in a poor optimum: so many proposals that are no better are tried before the search ends."""

FEWEST_DRAWS = 200
LARGEST_RHAT = 1.05
HOPELESS_RHAT = 2.0
"""Above it no two chains of four agree: going on from them is no remedy."""

LARGEST_PARETO_K = 0.7
LARGE_ERROR = 0.05
"""Standard error from which on longer chains are worth their time."""


class EvidenceError(ValueError):
    """The evidence cannot be had from these draws or this prior; the message says why, and what to do."""


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
    target = _Target(dt, int(seeds[3]))
    draws = datatree.posterior_parameters(dt)
    n_proposals = max(4000, 2 * draws.weights[..., 0].size) if n_proposals is None else int(n_proposals)
    if n_proposals < 100:
        raise ValueError(f"`n_proposals` must be at least 100, received {n_proposals}.")
    rhat = _disagreement(dt, draws)
    found: LogEvidence | EvidenceError
    try:
        if "other_mode" in dt.children:
            found = _by_importance(target, dt, n_proposals, int(seeds[2]))
        else:
            _check_agreement(rhat)
            found = _by_bridge(target, target.vectors(draws), n_proposals, seeds, PROPOSAL_COMPONENTS)
    except EvidenceError as error:
        found = error
    uncertain = isinstance(found, EvidenceError) or found.standard_error > LARGE_ERROR
    if uncertain and rhat <= HOPELESS_RHAT and (longer := target.longer_chains(dt, int(seeds[4]))) is not None:
        vectors = target.vectors(longer)
        if _rhat(target.log_density_inside(vectors)) <= LARGEST_RHAT:
            n_proposals = max(n_proposals, 2 * longer.weights[..., 0].size)
            try:
                again = _by_bridge(target, vectors, n_proposals, seeds, MORE_COMPONENTS)
                return replace(again, method="Gibbs and bridge")
            except EvidenceError:
                # what was found before stands, or is what is wrong
                pass
    if isinstance(found, EvidenceError):
        raise found
    return found


def _by_bridge(
    target: "_Target", vectors: np.ndarray, n_proposals: int, seeds: np.ndarray, counts: tuple[int, ...]
) -> LogEvidence:
    """Bridge between draws (chain, draw, n) and proposals made from the other half of each chain."""
    half = vectors.shape[1] // 2
    halves = (vectors[:, :half], vectors[:, half:])
    held_out = halves[::-1]
    proposals = [fit_proposal(*pair, int(seed), counts) for pair, seed in zip((halves, held_out), seeds, strict=False)]
    proposed = [proposal.sample(n_proposals // 2)[0] for proposal in proposals]
    # both at once: setting up the way back to parameters takes longer than going it
    at_proposals = np.split(target.log_density(np.concatenate(proposed)), len(proposed))
    found = []
    for i, proposal in enumerate(proposals):
        try:
            found.append(
                bridge(
                    target.log_density_inside(held_out[i]) - _log_density(proposal, held_out[i]),
                    at_proposals[i] - proposal.score_samples(proposed[i]),
                )
            )
        except BridgeError as error:
            raise EvidenceError(f"no evidence from these draws: {error}") from None
    return LogEvidence(
        value=float(np.logaddexp(found[0].log_constant, found[1].log_constant) - log(2.0)) + target.log_copies,
        standard_error=sqrt(found[0].relative_variance + found[1].relative_variance) / 2.0,
        method="bridge",
        effective_draws=found[0].effective_draws + found[1].effective_draws,
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


class _Target:
    """Prior x likelihood over the unconstrained vector, inside one labelling."""

    def __init__(self, dt: xr.DataTree, seed: int) -> None:
        meta = datatree.meta(dt)
        observations = datatree.view(dt).observations
        if observations is None:
            raise EvidenceError("the DataTree has no group `observed_data`: the evidence needs the rows.")
        if not isinstance(meta.get("prior"), dict):
            raise EvidenceError("the DataTree has no stored prior: expected what `sample_posterior` returns.")
        if "adjusted" in meta:
            raise EvidenceError("the draws were adjusted to a survey's design and are no posterior's: pass the others.")
        self.prior, self.observations = Prior.from_dict(meta["prior"]), observations
        self.K = int(meta["n_components"])
        if (improper := ties(observations, meta, self.K)) is not None:
            raise EvidenceError(f"the posterior is improper, and has no evidence: {improper.seen} {improper.advice}")
        self.exchangeable = self.prior.exchangeable
        self.fixed = known_components(observations)
        em = datatree.posterior_parameters(dt, "em")
        self.family = family = meta["covariance_type"]
        self.background = datatree.background(dt)
        self.model: Any = mixture_model(
            observations, self.K, covariance_type=family, prior=self.prior, start=em, noise=self.background
        )
        self.copies = parametrisation(family).copies(observations.n_features)
        self.covariances: Any = self.prior.covariances
        self.rng = np.random.default_rng(seed)
        self.density: LogDensity = compile_log_density(self.model)
        self.reference = central_mixture(datatree.posterior_parameters(dt), em, self.fixed)
        self.permutation = np.asarray(dt["alignment"]["permutation"].values) if "alignment" in dt.children else None

    @property
    def log_copies(self) -> float:
        """Log of the number of points, relabelled or with axes in another order, that have the same density."""
        return (lgamma(self.K - len(self.fixed) + 1) if self.exchangeable else 0.0) + log(self.copies)

    def vectors(self, draws: MixtureParameters) -> np.ndarray:
        """Unconstrained vectors (chain, draw, n) of posterior draws, relabelled into the region."""
        flat = draws.flat()
        if self.exchangeable:
            flat = flat.permute(align(flat, self.reference, fixed=self.fixed).permutation)
        elif self.permutation is not None:
            # the components are told apart by the prior: back to the labels they were drawn with
            flat = flat.permute(np.argsort(self.permutation.reshape(-1, self.K), axis=-1))
        points = [draw_scale(self.covariances, point, self.rng) for point in starting_points(self.model, flat)]
        return unconstrained_points(self.model, points).reshape(*draws.batch_shape, -1)

    def longer_chains(self, dt: xr.DataTree, seed: int) -> MixtureParameters | None:
        """Draws of a Gibbs sampler that went on from the chains; None where it cannot."""
        if not self.exchangeable:
            return None
        parts = [datatree.posterior_parameters(dt, name) for name in ("posterior", "other_mode") if name in dt.children]
        # the ends of all chains, those kept apart among them
        ends = [part[c, -1 - s] for part in parts for c in range(len(part.weights)) for s in (3, 2, 1, 0)]
        return longer_chains(self.observations, self.family, self.prior, MixtureParameters.stack(ends), seed)

    def log_density_inside(self, vectors: np.ndarray) -> np.ndarray:
        """Log of prior x likelihood x Jacobian at vectors (..., n) known to lie in the region."""
        flat = vectors.reshape(-1, vectors.shape[-1])
        return self.density.at_many(flat)[0].reshape(vectors.shape[:-1])

    def log_density(self, vectors: np.ndarray) -> np.ndarray:
        """Evaluate it at any vectors (S, n); minus infinity outside the region."""
        inside = self._inside(vectors)
        values = np.full(len(vectors), -np.inf)
        values[inside] = self.log_density_inside(vectors[inside])
        return np.where(np.isnan(values), -np.inf, values)

    def _inside(self, vectors: np.ndarray) -> np.ndarray:
        relabelled = self.exchangeable and self.K > 1
        if not relabelled and self.copies == 1:
            return np.ones(len(vectors), dtype=bool)
        with np.errstate(all="ignore"):
            values = constrain_draws(self.model, vectors)
        parts = [values[name] for name in ("weights", "means", "covariances")]
        usable = np.all([np.isfinite(part).reshape(len(vectors), -1).all(axis=1) for part in parts], axis=0)
        inside = np.zeros(len(vectors), dtype=bool)
        drawn = mixtures({name: value[usable] for name, value in values.items()}, self.background)
        found = align(drawn, self.reference, fixed=self.fixed).permutation
        inside[usable] = (found == np.arange(self.K)).all(axis=1) | (not relabelled)
        if self.copies > 1:
            chosen = np.flatnonzero(inside)
            if len(chosen):
                again = unconstrained_points(self.model, starting_points(self.model, drawn[inside[usable]]))
                inside[chosen] = np.isclose(again, vectors[chosen], rtol=1e-5, atol=1e-5).all(axis=1)
        return inside


def central_mixture(
    draws: MixtureParameters, reference: MixtureParameters, fixed: tuple[int, ...] = ()
) -> MixtureParameters:
    """Mean of the draws' parameters, aligned to the reference and then to that mean: the middle of one labelling."""
    flat = draws.flat()
    for _ in range(2):
        flat = flat.permute(align(flat, reference, fixed=fixed).permutation)
        reference = mean_mixture(flat)
    return reference


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


def _log_density(proposal: GaussianMixture, vectors: np.ndarray) -> np.ndarray:
    return proposal.score_samples(vectors.reshape(-1, vectors.shape[-1])).reshape(vectors.shape[:-1])


def _by_importance(target: _Target, dt: xr.DataTree, n_proposals: int, seed: int) -> LogEvidence:
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
