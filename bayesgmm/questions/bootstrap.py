"""The bootstrap on the fast EM: how sure a maximum-likelihood fit is, and whether one component more is real."""

import warnings
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

from bayesgmm.data.background import background_of
from bayesgmm.data.observations import Observations, as_observations, check_components
from bayesgmm.data.tables import DataError
from bayesgmm.em.estimator import CollapseWarning, GaussianMixture
from bayesgmm.em.resampling import resampled, simulated_like
from bayesgmm.em.solver import CollapseError
from bayesgmm.em.starts.completed import check_known_labels
from bayesgmm.mixture.alignment import align, known_components
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.posterior.datatree import posterior_datatree
from bayesgmm.tools.progress import progress
from bayesgmm.tools.threads import single_threaded_blas

KINDS = ("parametric", "nonparametric", "weighted")


@dataclass(frozen=True, slots=True, eq=False)
class BootstrapTest:
    """A likelihood-ratio test of K components against K + 1, its null distribution simulated.

    Attributes
    ----------
    n_components : int
        K, of the null hypothesis.
    statistic : float
        2 (log-likelihood with K + 1 components - with K), natural logarithm.
    p_value : float
        (1 + number of simulated statistics at or above it) / (1 + number simulated).
    null : (B,) float64
        Statistics of data simulated from the fit with K components.
    n_failed : int
        Simulated data sets on which a fit failed; others took their place in `null`.
    """

    n_components: int
    statistic: float
    p_value: float
    null: np.ndarray
    n_failed: int

    def __str__(self) -> str:
        """Say what was found in one sentence."""
        K = self.n_components
        return (
            f"{K} against {K + 1} components: the statistic is {self.statistic:.2f}, and {len(self.null)} data sets "
            f"simulated with {K} have a median of {np.median(self.null):.2f} and a 95 % quantile of "
            f"{np.quantile(self.null, 0.95):.2f}; p = {self.p_value:.3g}."
        )


def bootstrap_test(
    X: Any,
    n_components: int,
    *,
    covariance_type: str = "full",
    sample_weight: Any = None,
    errors: Any = None,
    known_labels: Any = None,
    n_bootstrap: int = 99,
    n_init: int = 5,
    noise: Any = None,
    random_seed: int | None = None,
    progressbar: bool = False,
) -> BootstrapTest:
    """Test K components against K + 1: likelihood ratio, parametric bootstrap.

    The ratio has no chi-squared distribution here: under the null hypothesis the parameters of the larger mixture are
    not identified. So data are simulated from the fit with K components, both mixtures are fitted to each, and the
    statistic is placed among theirs (McLachlan 1987).

    Parameters
    ----------
    X : table
        (N, D).
    n_components : int
        K, of the null hypothesis.
    covariance_type : str
        A family of `GaussianMixture`.
    sample_weight : (N,) array, optional
        Whole numbers, the counts of each row.
    errors, known_labels : optional
        As in `GaussianMixture.fit`. Simulated rows miss what the data miss, have errors as large, and a known component
        where the data have one.
    n_bootstrap : int
        B, the data sets simulated. With 99, p-values are multiples of 0.01.
    n_init : int
        Starts of each fit. Too few make the statistic of the larger mixture too small, in the data and in the null
        distribution alike.
    noise : optional
        As in `GaussianMixture`, in both mixtures. The background of the data is that of the simulated data too.
    random_seed : int, optional
    progressbar : bool

    Returns
    -------
    BootstrapTest

    Raises
    ------
    DataError, ValueError
        When the data or an argument cannot be used, or a fit to the data itself is not admissible.

    References
    ----------
    McLachlan (1987), Applied Statistics 36, 318-324. McLachlan & Peel (2000), Finite Mixture Models, section 6.6.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> bg.bootstrap_test(X, 1, n_bootstrap=19, n_init=1, random_seed=0).p_value
    0.05
    """
    _check_counts(n_components=n_components, n_bootstrap=n_bootstrap, n_init=n_init)
    observations = as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels)
    check_components(observations, n_components + 1)
    check_known_labels(observations, n_components)
    weights = observations.weights
    if weights is not None and not (weights == np.round(weights)).all():
        raise ValueError("`sample_weight` must be whole numbers here: the number of rows to simulate is their sum.")
    rng = np.random.default_rng(random_seed)
    settings = {"covariance_type": covariance_type, "noise": background_of(noise, observations)}
    fits = _fit_pair(observations, n_components, settings, n_init, rng)
    if fits is None:
        raise ValueError(
            f"no admissible fit with {n_components} or {n_components + 1} components to the data: a test of them says "
            "nothing. Use fewer components or a simpler `covariance_type`."
        )
    smaller, larger = fits
    statistic = _ratio(observations, smaller, larger)
    null: list[float] = []
    n_failed = 0
    with single_threaded_blas(), progress("data sets", n_bootstrap, show=progressbar) as done:
        # another takes the place of one that failed: with one value less than asked for, no p could be 1 / (1 + B)
        while len(null) < n_bootstrap and n_failed <= n_bootstrap:
            simulated = simulated_like(rng, smaller.parameters_, observations)
            fits = _fit_pair(simulated, n_components, settings, n_init, rng, truth=smaller)
            if fits is None:
                n_failed += 1
            else:
                null.append(_ratio(simulated, *fits))
                done(1)
    if len(null) < n_bootstrap:
        raise ValueError(
            f"{n_failed} of {n_failed + len(null)} simulated data sets had no admissible fit with {n_components + 1} "
            "components: the test says nothing. Use a simpler `covariance_type`."
        )
    values = np.array(null)
    p_value = (1 + int((values >= statistic).sum())) / (1 + len(values))
    return BootstrapTest(int(n_components), statistic, p_value, values, n_failed)


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
    _check_counts(n_bootstrap=n_bootstrap)
    observations = as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels)
    if observations.n_features != fit.parameters_.n_features:
        raise ValueError(
            f"`fit` has {fit.parameters_.n_features} features, and X has {observations.n_features}: pass its own rows."
        )
    check_known_labels(observations, fit.parameters_.n_components)
    rng = np.random.default_rng(random_seed)
    found, failed = [], 0
    with single_threaded_blas(), progress("replicates", n_bootstrap, show=progressbar) as done:
        for _ in range(n_bootstrap):
            again = _replicate(fit, observations, kind, rng)
            if again is None:
                failed += 1
            else:
                found.append(again.parameters_)
            done(1)
    if failed > n_bootstrap / 10:
        raise ValueError(
            f"{failed} of {n_bootstrap} replicates could not be fitted: the mixture is not determined by so few rows. "
            + ("" if kind == "weighted" else "Try kind='weighted', or use ")
            + "fewer components or a simpler family."
        )
    draws = MixtureParameters.stack([MixtureParameters.stack(found)])
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
            return _refit(fit, simulated_like(rng, fit.parameters_, observations))
        return _refit(fit, resampled(rng, observations, kind))
    except DataError:
        return None


def _refit(fit: GaussianMixture, observations: Observations) -> GaussianMixture | None:
    """Fit again, from the fit itself; None when it collapses."""
    again = GaussianMixture(
        fit.parameters_.n_components,
        covariance_type=fit.covariance_type,
        init_params=fit,
        tol=fit.tol,
        reg_covar=fit.reg_covar,
        max_iter=fit.max_iter,
        acceleration=fit.acceleration,
        prior=fit.prior,
        frozen=fit.frozen,
        noise=None if fit.parameters_.noise is None else fit.noise_background_,
    )
    return _quietly(again, observations)


def _quietly(mixture: GaussianMixture, observations: Observations) -> GaussianMixture | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(observations)
    except CollapseError:
        return None
    return mixture if mixture.admissible_ else None


def _fit_pair(
    observations: Observations,
    K: int,
    settings: dict[str, Any],
    n_init: int,
    rng: np.random.Generator,
    truth: GaussianMixture | None = None,
) -> tuple[GaussianMixture, GaussianMixture] | None:
    """Best admissible fits with K and K + 1 components; None when either has none.

    Where some labels are known and K + 1 has none, the smaller mixture stands for the larger too.
    """
    pair: list[GaussianMixture] = []
    for k in (K, K + 1):
        tried = [
            _quietly(
                GaussianMixture(k, n_init=n_init, random_state=int(rng.integers(2**31)), **settings),
                observations,
            )
        ]
        if truth is not None and k == K:
            tried.append(_quietly(GaussianMixture(k, init_params=truth, **settings), observations))
        if k == K + 1 and pair:
            tried += [_quietly(_split(pair[0], j, settings), observations) for j in range(K)]
        admissible = [one for one in tried if one is not None]
        if not admissible and pair and observations.known_labels is not None:
            # known rows hold their components together, so that one more is often emptied: no gain
            return pair[0], pair[0]
        if not admissible:
            return None
        pair.append(max(admissible, key=lambda one: one.lower_bound_))
    return pair[0], pair[1]


def _split(fit: GaussianMixture, j: int, settings: dict[str, Any]) -> GaussianMixture:
    """Start with component j cut in two along its longest axis: from there the larger mixture is at least as good."""
    p = fit.parameters_
    values, vectors = np.linalg.eigh(p.covariances[j])
    step = 0.5 * np.sqrt(values[-1]) * vectors[:, -1]
    weights = np.append(p.weights, 0.5 * p.weights[j])
    weights[j] *= 0.5
    means = np.concatenate([p.means, [p.means[j] + step]])
    means[j] = p.means[j] - step
    covariances = np.concatenate([p.covariances, p.covariances[j : j + 1]])
    cut = MixtureParameters.from_covariances(weights, means, covariances)
    start = replace(cut, noise=p.noise)
    return GaussianMixture(p.n_components + 1, init_params=start, **settings)


def _ratio(observations: Observations, smaller: GaussianMixture, larger: GaussianMixture) -> float:
    """Twice the gain in log-likelihood; a component more with no weight is the smaller mixture, so never below zero."""
    return max(0.0, 2.0 * observations.total_weight * (larger.lower_bound_ - smaller.lower_bound_))


def _check_counts(**counts: Any) -> None:
    for name, value in counts.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise ValueError(f"`{name}` must be an integer of at least 1; received {value!r}.")
