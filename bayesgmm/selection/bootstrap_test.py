"""The bootstrap likelihood ratio test of the number of components."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.data.resampling import simulated_like
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.quiet import admissible_fit
from bayesgmm.em.task import check_components, check_task
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.integers import check_integer
from bayesgmm.tools.progress import progress
from bayesgmm.tools.threads import single_threaded_blas


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
    n_components, n_init = check_integer("n_components", n_components), check_integer("n_init", n_init)
    n_bootstrap = check_integer("n_bootstrap", n_bootstrap)
    observations = as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels)
    task = check_task(observations, n_components, covariance_type, noise)
    check_components(observations, n_components + 1)
    if not observations.has_whole_weights:
        raise ValueError("`sample_weight` must be whole numbers here: the number of rows to simulate is their sum.")
    rng = np.random.default_rng(random_seed)
    settings = {"covariance_type": covariance_type, "noise": task.background}
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
    what = f"data sets with {n_components} components"
    with single_threaded_blas(), progress(what, n_bootstrap, show=progressbar) as done:
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

    def from_starts(k: int) -> GaussianMixture:
        return GaussianMixture(k, n_init=n_init, random_state=int(rng.integers(2**31)), **settings)

    tried = [from_starts(K)]
    if truth is not None:
        tried.append(GaussianMixture(K, init_params=truth, **settings))
    smaller = _best(tried, observations)
    if smaller is None:
        return None
    larger = _best([from_starts(K + 1), *(_split(smaller, j, settings) for j in range(K))], observations)
    if larger is None and observations.known_labels is not None:
        # known rows hold their components together, so that one more is often emptied: no gain
        larger = smaller
    return None if larger is None else (smaller, larger)


def _best(mixtures: Sequence[GaussianMixture], observations: Observations) -> GaussianMixture | None:
    """Fit each, and give the most likely one that is admissible."""
    fits = [fit for mixture in mixtures if (fit := admissible_fit(mixture, observations)) is not None]
    return max(fits, key=lambda fit: fit.lower_bound_, default=None)


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
