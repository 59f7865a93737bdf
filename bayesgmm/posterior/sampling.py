"""sample_posterior: EM start, NUTS or Laplace on the PyMC model, a DataTree. Composition, no mathematics."""

import warnings
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import xarray as xr

from bayesgmm.data.checks import UNKNOWN
from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.task import check_task
from bayesgmm.mixture.noise import Background
from bayesgmm.model.mixture_model import model_of, resolved_prior
from bayesgmm.model.points import mixtures
from bayesgmm.posterior.approximation import LaplaceWarning, approximate
from bayesgmm.posterior.assembling import assemble
from bayesgmm.posterior.chains import chain_starts
from bayesgmm.posterior.datatree import meta, write_meta
from bayesgmm.posterior.optima import fit_em, other_optima
from bayesgmm.posterior.posterior_modes import OtherModeWarning, most_probable_first, posterior_modes
from bayesgmm.priors import Prior
from bayesgmm.sampler.log_density import compile_log_density
from bayesgmm.sampler.nuts import sample_nuts
from bayesgmm.sampler.unconstrained import constrain_draws
from bayesgmm.tools.clock import Clock
from bayesgmm.tools.integers import check_integer

EM_STARTS = 10

MOST_ROWS_EXPLORED = 20_000
"""Laplace: other modes are looked for up to so many rows; it is to cost about as much as EM."""

__all__ = ["LaplaceWarning", "OtherModeWarning", "PseudoPosteriorWarning", "sample_posterior"]


class PseudoPosteriorWarning(UserWarning):
    """Row weights are not counts of rows: the intervals are not calibrated."""


def sample_posterior(
    X: Any,
    n_components: int,
    *,
    covariance_type: str = "full",
    prior: Prior | None = None,
    start: GaussianMixture | None = None,
    method: Literal["nuts", "laplace"] = "nuts",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    progressbar: bool = True,
    weights: Any = None,
    errors: Any = None,
    known_labels: Any = None,
    noise: Any = None,
) -> xr.DataTree:
    """Sample the posterior of a Gaussian mixture, seeded by EM.

    The model is `mixture_model`'s. EM runs from several starts; at each distinct optimum the nearest mode of the
    posterior is found with its curvature, for a few hundred passes over the rows.

    With ``method="nuts"`` chains start around the mode of the best fit, in coordinates in which the Gaussian there is
    standard normal (where importance weights show that it describes the posterior; otherwise in the plain ones). The
    last of several chains starts in the other mode, where one was found. A chain that stays in a mode of its own is
    kept apart, in group ``other_mode``, and a warning says so: pooling would weight modes by their number of chains.

    With ``method="laplace"`` draws come from that Gaussian and are corrected by Pareto-smoothed importance weights: a
    posterior for little more than the price of EM. k-hat says whether it can be trusted, and a warning when not.

    Parameters
    ----------
    X : table
        (N, D): ndarray, DataFrame, DataArray. NaN (or pandas' NA, or a masked value) is a missing value: the
        likelihood is that of the values there are, right where values are missing at random.
    n_components : int
        Number of components K.
    covariance_type : str
        "full", "tied", "diag" or "spherical", or one of mclust's fourteen codes.
    prior : Prior, optional
        Parts left out take their defaults; numbers are in the units of the data.
    start : GaussianMixture, optional
        A fit of the same K to the same features; by default EM runs first, from 10 starts.
    method : {"nuts", "laplace"}
    draws, tune : int
        Draws kept and warm-up draws, for each chain. Laplace needs no warm-up, and its draws are independent: `chains`
        only gives them their shape.
    chains : int
    cores : int, optional
        Chains run at once; all available cores by default. The draws do not depend on it.
    random_seed : int, optional
    progressbar : bool
    weights : (N,) array, optional
        Whole numbers are frequencies: the posterior is that of the rows repeated. Others are sampling weights: they are
        scaled to a sum of N and make a *pseudo*-posterior, whose centre is right for the population and whose intervals
        are not calibrated; a warning says so, and the meta data. `adjust_pseudo_posterior` calibrates them. Survey
        weights that happen to be whole numbers: divide them by their mean.
    errors : (D,), (N, D) or (N, D, D) array, optional
        Variances of the measurement errors, in squared units, of each feature or each value; or a covariance for each
        row. The mixture is then that of the underlying values (Bovy, Hogg & Roweis 2011).
    known_labels : (N,) array, optional
        Component of the rows for which it is known: whole numbers from 0, with -1 or NaN for the others; or names, with
        None or NaN, whose components follow their alphabetical order. These components keep their labels.
    noise : "box", "hull" or (2, D) array, optional
        A component of rows that are of no cluster, uniform over the smallest box around the data, their convex hull,
        or a box of given lower and upper edges, in the units of the data (`mixture_model`). The posterior is
        conditional on it.

    Returns
    -------
    DataTree
        Groups ``posterior`` (weights, means, covariances, with noise also noise_weight; labels aligned to the EM fit;
        weights are shares of the rows that are not noise), ``sample_stats``,
        ``log_likelihood`` (x, pointwise, marginal over allocations: of all draws up to 20 million numbers, of every
        t-th draw above, left out where fewer than 100 would be left), ``observed_data``, ``alignment`` (permutation,
        cost, margin), ``em``, ``modes`` (each mode found, its log posterior, log evidence by Laplace, probability among
        them), ``constant_data`` (row_weights, errors, known_labels, where given), ``other_mode`` where chains were kept
        apart, and ``importance`` for Laplace (log_p, log_g, log_weights).
        Root attribute ``bayesgmm`` is JSON: the resolved prior, settings, versions, seconds and passes spent, and for
        Laplace ``pareto_k`` and ``effective_size``.

    Raises
    ------
    DataError
        When the data cannot be used; the column or row is named.
    ValueError
        When an argument is out of range, or `start` has another K, other features or another background of noise.
    LaplaceError
        When the posterior has no mode that a Gaussian could stand for, and ``method="laplace"``.

    Notes
    -----
    Ctrl-C stops sampling and returns the draws that every chain has made so far.

    Laplace weighs all ``chains * draws`` draws, and resamples them by their weights, where rows times draws are at most
    4e8. With more rows 200 draws are weighed: they give k-hat and the posterior mean, and the draws are those of the
    Gaussian around that mean. ``sample_stats`` has ``log_g``, the log density that the draws of ``posterior`` come
    from, and where they were weighed ``log_p``, the posterior's: what `az.loo_approximate_posterior` asks for.
    """
    clock = Clock()
    observations = as_observations(X, weights=weights, errors=errors, known_labels=known_labels)
    task = check_task(observations, n_components, covariance_type, noise)
    _check_settings(method, draws, tune, chains, cores)
    observations, kind_of_weights = _count_weights(observations)
    task = replace(task, observations=observations)
    n_components, family, background = task.n_components, task.family.name, task.background
    seeds = np.random.SeedSequence(random_seed)
    em_seed, elsewhere_seed, jitter_seed, draw_seed, check_seed = (int(s) for s in seeds.generate_state(5))
    in_noise = {} if background is None else {"noise": background}
    given = start is not None
    if start is None:
        settings: dict[str, Any] = {"n_init": EM_STARTS, "init_params": "kmeans", **in_noise}
        start = fit_em(observations, n_components, family, em_seed, **settings)
    else:
        _check_start(start, observations, n_components, background)
    optima = [start]
    if _worth_exploring(observations, method, chains):
        optima += other_optima(observations, start, family, elsewhere_seed, **in_noise)
    clock.lap("em")
    model = model_of(task, prior, start)
    clock.lap("model")
    density = compile_log_density(model)
    clock.take_over({"model": density.timings["graph"], "compilation": density.timings["compile"]})
    modes = posterior_modes(model, density, optima, observations.total_weight, check_seed)
    if not given:
        modes = most_probable_first(modes)
    clock.lap("modes")
    facts: dict[str, Any] = {
        "n_components": n_components,
        "covariance_type": family,
        "prior": resolved_prior(model).to_dict(),
        "method": method,
        "weights": kind_of_weights,
        "random_seed": random_seed,
        "draws": draws,
        "tune": tune,
        "chains": chains,
        "interrupted": False,
        "passes": {
            "em": start.n_iter_,
            "modes": sum(mode.gaussian.passes for mode in modes if mode.gaussian is not None),
            "importance": sum(len(mode.check.log_p) for mode in modes if mode.check is not None),
        },
        "versions": {name: version(name) for name in ("bayesgmm", "numpy", "pymc", "pytensor", "nutpie", "arviz")},
    }
    importance = None
    if method == "laplace":
        approximation = approximate(density, modes, (chains, draws), observations.n_rows, draw_seed)
        variables, sample_stats = constrain_draws(model, approximation.values), approximation.sample_stats
        importance = approximation.importance
        facts["laplace"] = approximation.facts
        if importance is not modes[0].check:
            facts["passes"]["importance"] += len(importance.log_p)
    else:
        points, frames = chain_starts(density, modes, chains, observations.total_weight, jitter_seed)
        result = sample_nuts(
            model,
            initial_points=points,
            draws=draws,
            tune=tune,
            cores=cores,
            random_seed=draw_seed,
            progressbar=progressbar,
            log_density=density,
            frames=frames,
        )
        variables, sample_stats = result.posterior, result.sample_stats
        facts |= {"interrupted": result.interrupted, "whitened": modes[0].frame is not None}
    clock.lap("sampling")
    drawn = mixtures(variables, background)
    compare_chains = method == "nuts"
    tree = assemble(
        observations, drawn, sample_stats, start, modes, facts, compare_chains=compare_chains, importance=importance
    )
    clock.lap("alignment")
    write_meta(tree, meta(tree) | {"seconds": clock.seconds})
    return tree


def _count_weights(observations: Observations) -> tuple[Observations, str]:
    """Tell frequencies from sampling weights, which are scaled to a sum of N; "none", "frequency" or "sampling"."""
    weights = observations.weights
    if weights is None:
        return observations, "none"
    if observations.has_whole_weights:
        return observations, "frequency"
    N = int(np.count_nonzero(weights))
    worth = weights.sum() ** 2 / (weights**2).sum()
    warnings.warn(
        "the row weights are not whole numbers: they are taken as sampling weights and scaled to a sum of "
        f"{N}, the number of rows that have one. What is sampled is a pseudo-posterior: its centre is that of the "
        f"weighted population, its intervals are not calibrated (such weights are worth about {worth:.0f} equal rows, "
        "Kish's effective size). `adjust_pseudo_posterior` gives them the width of the design. Give whole numbers for "
        "rows that stand for several equal ones.",
        PseudoPosteriorWarning,
        stacklevel=3,
    )
    return replace(observations, weights=weights * (N / weights.sum())), "sampling"


def _worth_exploring(observations: Observations, method: str, chains: int) -> bool:
    """Whether to look for other optima: where chains could stay in one of them, or looking costs no more than EM."""
    if observations.known_labels is not None and (observations.known_labels != UNKNOWN).all():
        return False  # with every component known there is one optimum
    return chains > 1 if method == "nuts" else observations.n_rows <= MOST_ROWS_EXPLORED


def _check_settings(method: str, draws: int, tune: int, chains: int, cores: int | None) -> None:
    if method not in ("nuts", "laplace"):
        raise ValueError(f"`method` must be 'nuts' or 'laplace'; received {method!r}.")
    counts = {"draws": draws, "tune": tune, "chains": chains}
    for name, value in (counts if cores is None else counts | {"cores": cores}).items():
        check_integer(name, value)


def _check_start(
    start: GaussianMixture, observations: Observations, n_components: int, background: Background | None
) -> None:
    if not isinstance(start, GaussianMixture):
        raise ValueError(f"`start` must be a fitted GaussianMixture; received {type(start)!r}.")
    K, D = start.parameters_.means.shape
    if K != n_components:
        raise ValueError(f"`start` has {K} components, but n_components={n_components}.")
    if D != observations.n_features or start.feature_names != observations.feature_names:
        raise ValueError(
            f"`start` was fitted to the features {list(start.feature_names)}, but the data has "
            f"{list(observations.feature_names)}: fit it to the same columns."
        )
    theirs = start.parameters_.noise
    if theirs is not None and (background is None or not theirs.background.same_as(background)):
        asked = "is None" if background is None else "is another one"
        raise ValueError(f"`start` has a background of noise, and `noise` {asked}: pass noise=start.noise_background_.")
