"""The bootstrap on the fast EM: how sure a maximum-likelihood fit is, and whether one component more is real."""

from typing import Any, Literal

import numpy as np
import xarray as xr

from bayesgmm.data.observations import Observations, as_observations, known_components
from bayesgmm.data.resampling import resampled, simulated_like
from bayesgmm.data.tables import DataError
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import refit
from bayesgmm.em.task import check_known_labels
from bayesgmm.mixture.alignment import align
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import posterior_datatree
from bayesgmm.tools.integers import check_integer
from bayesgmm.tools.progress import progress
from bayesgmm.tools.threads import single_threaded_blas

KINDS = ("parametric", "nonparametric", "weighted")


def bootstrap(
    fit: GaussianMixture,
    X: Any,
    *,
    sample_weight: Any = None,
    errors: Any = None,
    known_labels: Any = None,
    kind: Literal["parametric", "nonparametric", "weighted"] = "parametric",
    n_bootstrap: int = 1000,
    random_seed: int | None = None,
    progressbar: bool = False,
) -> xr.DataTree:
    """Refit a mixture to resampled data: how its parameters vary, as draws.

    Parameters
    ----------
    fit : GaussianMixture
        Fitted to X.
    X : table
        (N, D), the rows it was fitted to.
    sample_weight : (N,) array, optional
        The weights it was fitted with.
    errors, known_labels : optional
        Those it was fitted with. Components that some row is known to be of keep their labels in every replicate.
    kind : {"parametric", "nonparametric", "weighted"}
        Rows simulated from the fit, which miss what X misses, have errors as large, and a known component where X has
        one, drawn anew among those known; rows drawn from X with replacement; or X with random weights, exponential
        and independent, which repeat no row and make no component collapse on copies of one (Newton & Raftery 1994).
    n_bootstrap : int
        Replicates.
    random_seed : int, optional
    progressbar : bool

    Returns
    -------
    DataTree
        As `sample_posterior` returns, so that `membership`, `density` and ArviZ's summaries take it: one chain, a draw
        for each replicate, labels aligned to the fit. Its intervals are confidence intervals (percentiles of the
        bootstrap distribution), not posterior ones; the root attribute says ``"method": "bootstrap"``.

    Raises
    ------
    DataError
        When the rows, or what is known of them, cannot be used.
    ValueError
        For an unknown kind, or when more than a tenth of the replicates cannot be fitted.

    References
    ----------
    Efron (1979), Annals of Statistics 7, 1-26; O'Hagan, Murphy, Scrucca & Gormley (2019), Computational Statistics 34,
    1779-1813, for mixtures. Newton & Raftery (1994), J. R. Stat. Soc. B 56, 3-48.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(map(repr, KINDS))}; received {kind!r}.")
    n_bootstrap = check_integer("n_bootstrap", n_bootstrap)
    observations = as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels)
    if observations.n_features != fit.parameters_.n_features:
        raise ValueError(
            f"`fit` has {fit.parameters_.n_features} features, and X has {observations.n_features}: pass its own rows."
        )
    check_known_labels(observations, fit.parameters_.n_components)
    rng = np.random.default_rng(random_seed)
    fitted, failed = [], 0
    with single_threaded_blas(), progress("replicates", n_bootstrap, show=progressbar) as done:
        for _ in range(n_bootstrap):
            again = _replicate(fit, observations, kind, rng)
            if again is None:
                failed += 1
            else:
                fitted.append(again.parameters_)
            done(1)
    if failed > n_bootstrap / 10:
        raise ValueError(
            f"{failed} of {n_bootstrap} replicates could not be fitted: the mixture is not determined by so few rows. "
            + ("" if kind == "weighted" else "Try kind='weighted', or use ")
            + "fewer components or a simpler family."
        )
    draws = MixtureParameters.stack([MixtureParameters.stack(fitted)])
    known = known_components(observations)
    alignment = align(draws, fit.parameters_, fixed=known)
    return posterior_datatree(
        observations,
        draws.permute(alignment.permutation),
        sample_stats={},
        log_likelihood=None,
        em=fit,
        alignment=alignment._asdict(),
        meta={
            "n_components": fit.parameters_.n_components,
            "known_components": list(known),
            "covariance_type": fit.covariance_type,
            "method": "bootstrap",
            "kind": kind,
            "n_failed": failed,
            "random_seed": random_seed,
        },
    )


def _replicate(
    fit: GaussianMixture, observations: Observations, kind: str, rng: np.random.Generator
) -> GaussianMixture | None:
    """Fit to one replicate; None when it collapses, or has too few rows that differ."""
    try:
        if kind == "parametric":
            return refit(fit, simulated_like(rng, fit.parameters_, observations))
        return refit(fit, resampled(rng, observations, kind))
    except DataError:
        return None
