"""Prior x likelihood of a posterior, inside one labelling of its components.

Where the prior does not tell components apart, the posterior is K! copies of itself. Of a reference mixture, let the
region be the parameters whose best assignment to it is the identity: its K! relabellings cover the parameters once (up
to a set of measure zero), and every posterior draw lies in it once it is relabelled.

In the families with one orientation for all components the D! orders of its axes are copies too, and the region holds
the one that the model's own start takes. A random scale of the covariances' prior is not among the draws: it is drawn
anew given the covariances, exactly.
"""

from math import lgamma, log
from typing import Any

import numpy as np
import xarray as xr

from bayesgmm.data.observations import known_components
from bayesgmm.diagnostics.findings import ties
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
from bayesgmm.sampler.log_density import LogDensity, compile_log_density
from bayesgmm.sampler.unconstrained import constrain_draws, unconstrained_points


class EvidenceError(ValueError):
    """The evidence cannot be had from these draws or this prior; the message says why, and what to do."""


class Target:
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
        """Whether each vector (S, n) is in the one labelling, and in the one order of axes, (S,) bool."""
        relabelled = self.exchangeable and self.K > 1
        if not relabelled and self.copies == 1:
            return np.ones(len(vectors), dtype=bool)
        with np.errstate(all="ignore"):
            values = constrain_draws(self.model, vectors)
        parts = [values[name] for name in ("weights", "means", "covariances")]
        usable = np.all([np.isfinite(part).reshape(len(vectors), -1).all(axis=1) for part in parts], axis=0)
        inside = np.zeros(len(vectors), dtype=bool)
        drawn = mixtures({name: value[usable] for name, value in values.items()}, self.background)
        permutation = align(drawn, self.reference, fixed=self.fixed).permutation
        inside[usable] = (permutation == np.arange(self.K)).all(axis=1) | (not relabelled)
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
