"""sample_posterior: EM start, NUTS on the PyMC model, labels aligned, a DataTree. Composition, no mathematics."""

import time
import warnings
from importlib.metadata import version
from typing import Any, Literal

import arviz_stats
import numpy as np
import xarray as xr

from bayesgmm.blocks import map_rows
from bayesgmm.datatree import parameter_dataset, posterior_datatree
from bayesgmm.em import CollapseError
from bayesgmm.estimator import CollapseWarning, GaussianMixture
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.labels import align
from bayesgmm.model import mixture_model, resolved_prior, starting_point
from bayesgmm.nuts import NutsResult, sample_nuts
from bayesgmm.observations import Observations, as_observations, check_components
from bayesgmm.parameters import MixtureParameters
from bayesgmm.parametrisation import parametrisation
from bayesgmm.priors import Prior
from bayesgmm.unconstrained import unconstrained_point

EM_STARTS = 10
MOST_POINTWISE = 20_000_000
"""The pointwise log-likelihood is kept up to this many numbers (160 MB)."""

AGREEMENT_RHAT = 1.1
"""A chain started elsewhere is kept apart when it alone brings the R-hat of the log posterior above this."""


class OtherModeWarning(UserWarning):
    """A chain found another mode of the posterior, or the chains do not agree."""


def sample_posterior(
    X: Any,
    n_components: int,
    *,
    covariance_type: str = "full",
    prior: Prior | None = None,
    start: GaussianMixture | None = None,
    method: Literal["nuts"] = "nuts",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    random_seed: int | None = None,
    progressbar: bool = True,
) -> xr.DataTree:
    """Sample the posterior of a Gaussian mixture by NUTS, seeded by EM.

    The model is `mixture_model`'s. All chains but the last start at the EM fit, with jitter; the last starts at the end
    of EM from another, random start, as a test of other modes. If that chain stays in a mode of its own it is kept
    apart, in group ``other_mode``, and a warning says so: pooling would weight modes by their number of chains.

    Parameters
    ----------
    X : table
        (N, D) complete rows: ndarray, DataFrame, DataArray.
    n_components : int
        Number of components K.
    covariance_type : str
        "full", "tied", "diag" or "spherical".
    prior : Prior, optional
        Parts left out take their defaults; numbers are in the units of the data.
    start : GaussianMixture, optional
        A fit of the same K to the same features; by default EM runs first, from 10 starts.
    method : {"nuts"}
    draws, tune : int
        Draws kept and warm-up draws, for each chain.
    chains : int
    cores : int, optional
        Chains run at once; all available cores by default. The draws do not depend on it.
    random_seed : int, optional
    progressbar : bool

    Returns
    -------
    DataTree
        Groups ``posterior`` (weights, means, covariances, labels aligned to the EM fit), ``sample_stats``,
        ``log_likelihood`` (x, pointwise, marginal over allocations; left out above 20 million numbers),
        ``observed_data``, ``alignment`` (permutation, cost, margin), ``em``, and ``other_mode`` where one was found.
        Root attribute ``bayesgmm`` is JSON: the resolved prior, settings, versions, seconds spent.

    Raises
    ------
    DataError
        When the data cannot be used; the column or row is named.
    ValueError
        When an argument is out of range, or `start` has another K or other features.

    Notes
    -----
    Ctrl-C stops sampling and returns the draws that every chain has made so far.
    """
    observations = as_observations(X)
    _check_settings(method, n_components, draws, tune, chains, cores)
    family = parametrisation(covariance_type)
    check_components(observations, n_components)
    seeds = np.random.SeedSequence(random_seed)
    em_seed, elsewhere_seed, jitter_seed, nuts_seed = (int(s) for s in seeds.generate_state(4))
    clock = _Clock()
    if start is None:
        start = _fit_em(observations, n_components, family.name, em_seed, n_init=EM_STARTS, init_params="kmeans")
    else:
        _check_start(start, observations, n_components)
    elsewhere = _fit_elsewhere(observations, start, family.name, elsewhere_seed) if chains > 1 else None
    clock.lap("em")
    model = mixture_model(observations, n_components, covariance_type=family.name, prior=prior)
    clock.lap("model")
    rng = np.random.default_rng(jitter_seed)
    points = np.stack(
        [unconstrained_point(model, starting_point(model, start.parameters_))] * (chains - (elsewhere is not None))
        + ([] if elsewhere is None else [unconstrained_point(model, starting_point(model, elsewhere))])
    )
    points += rng.normal(scale=_jitter(observations, n_components), size=points.shape)
    result = sample_nuts(
        model,
        initial_points=points,
        draws=draws,
        tune=tune,
        cores=cores,
        random_seed=nuts_seed,
        progressbar=progressbar,
    )
    clock.lap("nuts")
    tree = _assemble(
        observations,
        result,
        start,
        elsewhere=elsewhere is not None and chains - 1 in result.chains,
        meta={
            "n_components": n_components,
            "covariance_type": family.name,
            "prior": resolved_prior(model).to_dict(),
            "method": method,
            "random_seed": random_seed,
            "draws": draws,
            "tune": tune,
            "chains": chains,
            "interrupted": result.interrupted,
            "versions": {name: version(name) for name in ("bayesgmm", "numpy", "pymc", "pytensor", "nutpie", "arviz")},
            "seconds": clock.laps | {f"nuts_{part}": spent for part, spent in result.timings.items()},
        },
    )
    return tree


class _Clock:
    """Seconds spent between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def _check_settings(method: str, n_components: int, draws: int, tune: int, chains: int, cores: int | None) -> None:
    if method != "nuts":
        raise ValueError(f"`method` must be 'nuts'; received {method!r}.")
    counts = {"n_components": n_components, "draws": draws, "tune": tune, "chains": chains}
    for name, value in (counts if cores is None else counts | {"cores": cores}).items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` must be an integer of at least 1; received {value!r}.")


def _check_start(start: GaussianMixture, observations: Observations, n_components: int) -> None:
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


def _fit_em(observations: Observations, K: int, kind: str, seed: int, **settings: Any) -> GaussianMixture:
    with warnings.catch_warnings():
        # the sampler only needs a place to begin; the prior keeps a collapsed component from staying collapsed
        warnings.simplefilter("ignore", CollapseWarning)
        return GaussianMixture(K, covariance_type=kind, random_state=seed % 2**31, **settings).fit(observations)


def _fit_elsewhere(
    observations: Observations, start: GaussianMixture, kind: str, seed: int
) -> MixtureParameters | None:
    """Where EM ends from one random start, labels as in the first fit; None when it collapses."""
    K = start.parameters_.n_components
    try:
        other = _fit_em(observations, K, kind, seed, init_params="random_from_data")
    except CollapseError:
        return None
    if other.admissible_:
        return other.parameters_.permute(align(other.parameters_, start.parameters_).permutation)
    return None


def _jitter(observations: Observations, K: int) -> float:
    """Spread of the starts in the unconstrained variables: about twice the posterior's, which is about 1/sqrt(N/K)."""
    return min(0.5, 2.0 / np.sqrt(observations.total_weight / K))


def _assemble(
    observations: Observations, result: NutsResult, start: GaussianMixture, elsewhere: bool, meta: dict[str, Any]
) -> xr.DataTree:
    drawn = MixtureParameters.from_covariances(*(result.posterior[n] for n in ("weights", "means", "covariances")))
    alignment = align(drawn, start.parameters_)
    aligned = drawn.permute(alignment.permutation)
    kept, apart = _split_modes(result.sample_stats["lp"], has_elsewhere=elsewhere)
    parameters = aligned[kept]
    pointwise = None
    if parameters.weights[..., 0].size * observations.n_rows <= MOST_POINTWISE:
        flat = parameters.flat()
        rows = map_rows(lambda log_joint: normalise(log_joint).T, observations, flat, trailing=flat.batch_shape)
        pointwise = np.moveaxis(rows.reshape(observations.n_rows, *parameters.batch_shape), 0, -1)
    tree = posterior_datatree(
        observations,
        parameters,
        sample_stats={name: values[kept] for name, values in result.sample_stats.items()},
        log_likelihood=pointwise,
        em=start,
        alignment={name: values[kept] for name, values in alignment._asdict().items()},
        meta=meta,
    )
    if apart:
        other = parameter_dataset(aligned[apart], observations.feature_names, observations.units)
        tree["other_mode"] = xr.DataTree(other)
    return tree


def _split_modes(lp: np.ndarray, *, has_elsewhere: bool) -> tuple[list[int], list[int]]:
    """Chains to pool, and the one to keep apart because it stays in a mode of its own."""
    chains, draws = lp.shape
    everyone = list(range(chains))
    if chains < 3 or draws < 8 or not has_elsewhere:
        return everyone, []

    def rhat(chosen: list[int]) -> float:
        return float(arviz_stats.rhat(lp[chosen], chain_axis=0, draw_axis=1))

    if rhat(everyone) <= AGREEMENT_RHAT:
        return everyone, []
    others, last = everyone[:-1], everyone[-1]
    if rhat(others) > AGREEMENT_RHAT:
        message = "the chains do not agree: do not trust pooled numbers. Sample longer, or use fewer components."
        warnings.warn(message, OtherModeWarning, stacklevel=4)
        return everyone, []
    gap = lp[others].mean() - lp[last].mean()
    warnings.warn(
        f"the chain started elsewhere stayed in another mode, where the log posterior is {abs(gap):.1f} "
        f"{'lower' if gap > 0 else 'higher'} on average; it is kept apart in group `other_mode`.",
        OtherModeWarning,
        stacklevel=4,
    )
    return others, [last]
