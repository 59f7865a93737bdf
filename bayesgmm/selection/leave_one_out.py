"""What a posterior predicts of each row left out: ArviZ's PSIS-LOO, with refits where it fails."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr

from bayesgmm.diagnostics.findings import LARGEST_PARETO_K
from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.model.points import mixtures, starting_points
from bayesgmm.posterior import datatree
from bayesgmm.posterior.assembling import pointwise_log_likelihood
from bayesgmm.priors import Prior
from bayesgmm.sampler.bridge import bridge
from bayesgmm.sampler.nuts import sample_nuts
from bayesgmm.sampler.unconstrained import unconstrained_points
from bayesgmm.selection.pointwise import log_likelihood_of_rows, log_mean_density
from bayesgmm.tools.progress import progress

MOST_REFITS = 50

CHAINS = 4
"""Of each refit."""


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """Expected log predictive density of each row, left out.

    Attributes
    ----------
    elpd : ELPDDataLOO
        ArviZ's result, pointwise, with the refitted rows replaced: `arviz_stats.compare` takes it.
    refitted : (N,) bool
        Rows whose value comes from a posterior sampled without them.
    standard_error : (N,) float64
        Monte Carlo error of the values of refitted rows; NaN for the others.
    """

    elpd: Any
    refitted: np.ndarray
    standard_error: np.ndarray


def leave_one_out(
    dt: xr.DataTree,
    *,
    refit: bool = True,
    draws: int = 500,
    tune: int = 500,
    random_seed: int | None = None,
    progressbar: bool = False,
) -> LeaveOneOut:
    """Estimate how well each row is predicted by the others: PSIS-LOO with refits.

    The expected log predictive density; a row whose Pareto k says that PSIS fails is left out by a new posterior.

    Rows with a Pareto k above 0.7 pull the posterior so much that it says little of the posterior without them. Each of
    those is left out in truth: the posterior is sampled again with that row's weight at zero, under the stored prior;
    chains start at draws of the whole posterior, which are near. The row's density is the ratio of the constants of two
    posteriors, with the row and without, found by bridge sampling between their draws: far better than an average over
    either for a row far out.

    Parameters
    ----------
    dt : DataTree
        Of `sample_posterior`, with group ``log_likelihood``.
    refit : bool
        Whether to refit for rows with a bad k; their number is in ``elpd`` either way.
    draws, tune : int
        Of each refit, in four chains.
    random_seed : int, optional
    progressbar : bool

    Returns
    -------
    LeaveOneOut

    Raises
    ------
    ValueError
        When the DataTree has no pointwise log likelihood, or more than 50 rows would need a refit.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statistics and Computing 27, 1413-1432.
    """
    if "log_likelihood" not in dt.children and "adjusted" in datatree.meta(dt):
        raise ValueError("the draws were adjusted to a survey's design, and are no posterior's: pass the others.")
    if "log_likelihood" not in dt.children:
        raise ValueError(
            "the DataTree has no group `log_likelihood` (it is left out where it would be too large): use fewer draws, "
            "or `arviz_stats.loo_subsample`."
        )
    by_psis = _psis(dt)
    bad = np.asarray(by_psis.pareto_k.values) > LARGEST_PARETO_K
    if not refit or not bad.any():
        return LeaveOneOut(by_psis, np.zeros(len(bad), dtype=bool), np.full(len(bad), np.nan))
    if bad.sum() > MOST_REFITS:
        raise ValueError(
            f"{bad.sum()} of {len(bad)} rows have a Pareto k above {LARGEST_PARETO_K}: the posterior hangs on them, "
            f"and more than {MOST_REFITS} refits would be needed. Use a stronger prior, fewer components, or "
            "refit=False."
        )
    refits = _Refits(dt)
    seeds = np.random.SeedSequence(random_seed).generate_state(int(bad.sum()))
    log_likelihood = log_likelihood_of_rows(dt)
    log_density = log_mean_density(log_likelihood)
    values, errors = np.array(by_psis.elpd_i.values), np.full(len(bad), np.nan)
    with progress("refits", len(seeds), show=progressbar) as done:
        for seed, n in zip(seeds, np.flatnonzero(bad), strict=True):
            ratio = bridge(log_likelihood[..., n], refits.without(int(n), draws, tune, int(seed)))
            values[n], errors[n] = ratio.log_constant, np.sqrt(ratio.relative_variance)
            done(1)
    treated = replace(
        by_psis,
        elpd=float(values.sum()),
        se=float(np.sqrt(len(values)) * values.std()),
        p=float((log_density - values).sum()),
        elpd_i=by_psis.elpd_i.copy(data=values),
        pareto_k=by_psis.pareto_k.copy(data=np.where(bad, 0.0, by_psis.pareto_k.values)),
        warning=False,
    )
    return LeaveOneOut(treated, bad, errors)


def _psis(dt: xr.DataTree) -> Any:
    with warnings.catch_warnings():
        # bad rows are treated, or counted in the table
        warnings.simplefilter("ignore", UserWarning)
        return arviz_stats.loo(dt, var_name="x", pointwise=True)


class _Refits:
    """Posteriors of all rows but one, from the posterior of all."""

    def __init__(self, dt: xr.DataTree) -> None:
        meta = datatree.meta(dt)
        observations = datatree.view(dt).observations
        assert observations is not None
        self.observations, self.background = observations, datatree.background(dt)
        self.weights = observations.counts
        self.settings: dict[str, Any] = {
            "n_components": meta["n_components"],
            "covariance_type": meta["covariance_type"],
            "prior": Prior.from_dict(meta["prior"]),
            "start": datatree.posterior_parameters(dt, "em"),
            "noise": self.background,
        }
        self.draws = datatree.posterior_parameters(dt).flat()

    def without(self, n: int, draws: int, tune: int, seed: int) -> np.ndarray:
        """Log densities (chain, draw) of row n in draws of the posterior of the others."""
        start_seed, draw_seed = np.random.SeedSequence(seed).generate_state(2)
        weights = self.weights.copy()
        weights[n] = 0.0
        model = mixture_model(replace(self.observations, weights=weights), **self.settings)
        chosen = np.random.default_rng(start_seed).choice(len(self.draws.weights), CHAINS, replace=False)
        drawn = sample_nuts(
            model,
            initial_points=unconstrained_points(model, starting_points(model, self.draws[chosen])),
            draws=draws,
            tune=tune,
            random_seed=int(draw_seed),
            progressbar=False,
        )
        row = self.observations.take(np.array([n]))
        values = pointwise_log_likelihood(row, mixtures(drawn.posterior, self.background)).values
        assert values is not None
        return values[..., 0]
