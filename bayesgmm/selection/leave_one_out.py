"""What a posterior predicts of each row left out: PSIS-LOO with refits where it fails, and WAIC.

PSIS-LOO is ArviZ's. WAIC is not in ArviZ any more, and is here for comparison with what others published.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayesgmm.model.mixture_model import mixture_model
from bayesgmm.model.points import mixtures, starting_points
from bayesgmm.posterior import datatree
from bayesgmm.posterior.assembling import pointwise_log_likelihood
from bayesgmm.priors import Prior
from bayesgmm.sampler.bridge import bridge
from bayesgmm.sampler.nuts import sample_nuts
from bayesgmm.sampler.unconstrained import unconstrained_points
from bayesgmm.tools.progress import progress

LARGEST_PARETO_K = 0.7
"""Above this, an importance-sampling estimate is not to be trusted (Vehtari, Simpson, Gelman, Yao & Gabry 2024)."""

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
    found = _psis(dt)
    bad = np.asarray(found.pareto_k.values) > LARGEST_PARETO_K
    if not refit or not bad.any():
        return LeaveOneOut(found, np.zeros(len(bad), dtype=bool), np.full(len(bad), np.nan))
    if bad.sum() > MOST_REFITS:
        raise ValueError(
            f"{bad.sum()} of {len(bad)} rows have a Pareto k above {LARGEST_PARETO_K}: the posterior hangs on them, "
            f"and more than {MOST_REFITS} refits would be needed. Use a stronger prior, fewer components, or "
            "refit=False."
        )
    refits = _Refits(dt)
    seeds = np.random.SeedSequence(random_seed).generate_state(int(bad.sum()))
    values, p_i = np.array(found.elpd_i.values), _effective_parameters(dt, found)
    errors = np.full(len(bad), np.nan)
    with progress("refits", len(seeds), show=progressbar) as done:
        for seed, n in zip(seeds, np.flatnonzero(bad), strict=True):
            with_row = np.asarray(dt["log_likelihood"]["x"].isel({datatree.OBS: int(n)}).values)
            ratio = bridge(with_row, refits.without(int(n), draws, tune, int(seed)))
            values[n], errors[n] = ratio.log_constant, np.sqrt(ratio.relative_variance)
            p_i[n] = logsumexp(with_row) - np.log(with_row.size) - values[n]
            done(1)
    elpd_i = found.elpd_i.copy(data=values)
    pareto_k = found.pareto_k.copy(data=np.where(bad, 0.0, found.pareto_k.values))
    treated = replace(
        found,
        elpd=float(values.sum()),
        se=float(np.sqrt(len(values)) * values.std()),
        p=float(p_i.sum()),
        elpd_i=elpd_i,
        pareto_k=pareto_k,
        warning=False,
    )
    return LeaveOneOut(treated, bad, errors)


def _psis(dt: xr.DataTree) -> Any:
    with warnings.catch_warnings():
        # bad rows are treated, or counted in the table
        warnings.simplefilter("ignore", UserWarning)
        return arviz_stats.loo(dt, var_name="x", pointwise=True)


def _effective_parameters(dt: xr.DataTree, found: Any) -> np.ndarray:
    log_likelihood = dt["log_likelihood"]["x"].transpose(datatree.CHAIN, datatree.DRAW, datatree.OBS).values
    flat = log_likelihood.reshape(-1, log_likelihood.shape[-1])
    return logsumexp(flat, axis=0) - np.log(len(flat)) - np.asarray(found.elpd_i.values)


class _Refits:
    """Posteriors of all rows but one, from the posterior of all."""

    def __init__(self, dt: xr.DataTree) -> None:
        meta = datatree.meta(dt)
        observations = datatree.view(dt).observations
        assert observations is not None
        self.observations, self.background = observations, datatree.background(dt)
        self.weights = np.ones(observations.n_rows) if observations.weights is None else observations.weights
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


@dataclass(frozen=True, slots=True)
class Waic:
    """The widely applicable information criterion, on the scale of log predictive density: greater is better.

    Attributes
    ----------
    elpd : float
        sum_n (log mean p(x_n | draw) - variance of log p(x_n | draw)).
    standard_error : float
    p : float
        The sum of the variances: effective number of parameters.
    n_unreliable : int
        Rows whose variance is above 0.4, where WAIC is not to be trusted (Vehtari, Gelman & Gabry 2017): use LOO.
    """

    elpd: float
    standard_error: float
    p: float
    n_unreliable: int


def waic(dt: xr.DataTree) -> Waic:
    """Compute WAIC from the pointwise log likelihood in group ``log_likelihood``.

    Watanabe (2010); Gelman, Hwang & Vehtari (2014), equations 11 to 13.

    Raises
    ------
    ValueError
        When the DataTree has no pointwise log likelihood.
    """
    if "log_likelihood" not in dt.children:
        raise ValueError("the DataTree has no group `log_likelihood`: WAIC is made of it.")
    values = dt["log_likelihood"]["x"].transpose(datatree.CHAIN, datatree.DRAW, datatree.OBS).values
    flat = values.reshape(-1, values.shape[-1])
    variances = flat.var(axis=0, ddof=1)
    pointwise = logsumexp(flat, axis=0) - np.log(len(flat)) - variances
    return Waic(
        elpd=float(pointwise.sum()),
        standard_error=float(np.sqrt(pointwise.size) * pointwise.std(ddof=1)),
        p=float(variances.sum()),
        n_unreliable=int((variances > 0.4).sum()),
    )
