"""GaussianMixture: the scikit-learn face of the maximum-likelihood solver."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from bayesgmm import em
from bayesgmm.blocks import map_rows, single_threaded_blas
from bayesgmm.covariance import CovarianceFamily, covariance_family
from bayesgmm.criteria import Criteria, criteria
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.observations import Observations, as_new_observations, as_observations, check_components
from bayesgmm.parameters import MixtureParameters, ParameterError
from bayesgmm.simulation import draw_rows
from bayesgmm.starting import Start

SHORT_RUN = 100
"""E-steps given to each of several starts before the most promising go on (see ``docs/design.md``)."""

MOST_PROMISING = 3
"""How many of several starts are run to their end."""


class CollapseWarning(UserWarning):
    """A component of the chosen fit describes a few equal rows rather than a cluster."""


class GaussianMixture(DensityMixin, BaseEstimator):
    """Fit a Gaussian mixture by maximum likelihood (EM).

    p(x) = sum_k weights_k N(x | means_k, covariances_k). Names and shapes are scikit-learn's; what differs: `tol`
    reaches the optimum, `reg_covar` is relative to the data's variance and leaves sound fits untouched, `sample` draws
    anew on each call, row weights are accepted, and tables keep their names.

    Parameters
    ----------
    n_components : int
        Number of components K.
    covariance_type : str
        "full" (each component its own covariance; VVV), "tied" (one for all; EEE), "diag" (VVI) or "spherical" (VII);
        mclust's codes are understood.
    tol : float
        Stop when the log-likelihood rises by less than this per row and iteration.
    reg_covar : float
        Relative floor: no covariance falls below this fraction of the data's own column variances. A fit above the
        floor is the exact maximum of the likelihood. 0 removes the floor: a collapse is then an error.
    max_iter : int
        Most E-steps per start.
    n_init : int
        Number of starts. Each runs 100 E-steps, the three with the highest likelihood go on, and the best admissible
        fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, array or GaussianMixture
        How to start; or the start itself: labels (N,), responsibilities (N, K), or a fitted mixture.
    weights_init : (K,) array, optional
        Weights to start from, in place of those of `init_params`.
    means_init : (K, D) array, optional
        Means to start from.
    precisions_init : array, optional
        Inverse covariances to start from, in the shape of `covariance_type`.
    random_state : int, RandomState or None
        Seed of the starts and of `sample`.
    warm_start : bool
        Start from the last fit.

    Attributes
    ----------
    weights_ : (K,) array
        Positive, summing to one.
    means_ : (K, D) array
        In the units of the data.
    covariances_ : array
        (K, D, D) for "full", (D, D) for "tied", (K, D) for "diag", (K,) for "spherical"; so are ``precisions_`` and
        ``precisions_cholesky_``.
    converged_ : bool
    status_ : em.Status
        How the fit ended; its value is a sentence.
    admissible_ : bool
        Converged, no component on the floor, more rows than features in each component.
    n_iter_ : int
        E-steps of the kept fit.
    lower_bound_ : float
        Log-likelihood per unit of row weight, natural logarithm, of the kept fit; `lower_bounds_` at each E-step.
    n_parameters_ : int
        Free parameters: K - 1 weights, K D means and the covariances of the family.

    References
    ----------
    Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39; Celeux & Govaert (1995), Pattern Recognition 28.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> gm.weights_.round(3), gm.converged_
    (array([0.644, 0.356]), True)
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-8,
        reg_covar: float = 1e-8,
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: Any = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : table
            (N, D): ndarray, DataFrame (pandas, polars), DataArray.
        y : ignored
        sample_weight : (N,) array, optional
            Non-negative; an integer weight counts as that many equal rows.

        Raises
        ------
        DataError
            Naming the column or row that cannot be used.
        em.CollapseError
            When a component loses its spread and `reg_covar` is 0; the component and its rows are named.
        """
        self._fit(X, sample_weight)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, then the most probable component of each row, (N,)."""
        return _labels(self._fit(X, sample_weight), self._parameters)

    def predict(self, X: Any) -> np.ndarray:
        """Most probable component of each row, (N,)."""
        return _labels(self._observe(X), self._parameters)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Membership probabilities r_nk = P(z_n = k | x_n), (N, K); each row sums to one."""

        def responsibilities(log_joint: np.ndarray) -> np.ndarray:
            normalise(log_joint)
            return log_joint.T

        return map_rows(responsibilities, self._observe(X), self.parameters_, trailing=self.weights_.shape)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log density of each row, natural logarithm, (N,)."""
        return map_rows(normalise, self._observe(X), self.parameters_)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log density per row (per unit of weight where rows are weighted)."""
        return float(np.average(self.score_samples(X), weights=sample_weight))

    def bic(self, X: Any) -> float:
        """Bayesian information criterion of rows X: smaller is better."""
        return self.criteria(X).bic

    def aic(self, X: Any) -> float:
        """Akaike information criterion of rows X: smaller is better."""
        return self.criteria(X).aic

    def icl(self, X: Any) -> float:
        """Integrated completed likelihood of rows X (hard version, as mclust's): smaller is better."""
        return self.criteria(X).icl

    def criteria(self, X: Any) -> Criteria:
        """Log-likelihood, BIC, AIC, ICL and entropy of rows X, in one pass."""
        return criteria(self._observe(X), self.parameters_, self.n_parameters_)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw new rows from the fitted mixture; each call draws anew.

        Returns
        -------
        X : (n_samples, D), labels : (n_samples,)
            Independent rows and the components they come from.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples!r}; give an integer of at least 1.")
        X, labels = draw_rows(self._sampler, self.parameters_, int(n_samples))
        return X, labels

    @classmethod
    def from_parameters(
        cls, weights: Any, means: Any, covariances: Any, *, covariance_type: str = "full"
    ) -> "GaussianMixture":
        """Return a mixture with given parameters, ready to predict, score and sample.

        Parameters
        ----------
        weights : (K,); means : (K, D); covariances : array in the shape of `covariance_type`

        Raises
        ------
        ParameterError
            When they are no mixture.
        """
        family = covariance_family(covariance_type)
        means = np.asarray(means, dtype=np.float64)
        if means.ndim != 2:
            raise ParameterError(f"`means` must have shape (K, D); received {means.shape}.")
        K, D = means.shape
        covariances = family.unpack(np.asarray(covariances, dtype=np.float64), K, D)
        parameters = MixtureParameters.from_covariances(np.asarray(weights), means, covariances)
        mixture = cls(K, covariance_type=covariance_type)
        mixture.n_features_in_ = D
        mixture._feature_names, mixture._units = tuple(f"x{j}" for j in range(D)), ("",) * D
        mixture._sampler = np.random.default_rng()
        mixture._set_parameters(parameters, family)
        mixture.status_, mixture.converged_, mixture.admissible_ = em.Status.CONVERGED, True, True
        mixture.n_iter_, mixture.lower_bound_, mixture.lower_bounds_ = 0, float("nan"), []
        return mixture

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the fitted columns; x0, x1, ... where the table had none."""
        check_is_fitted(self)
        return self._feature_names

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the fitted columns; ``""`` where unknown."""
        check_is_fitted(self)
        return self._units

    @property
    def parameters_(self) -> MixtureParameters:
        """The fitted parameters, in the units of the data."""
        check_is_fitted(self)
        return self._parameters

    def _fit(self, X: Any, sample_weight: Any) -> Observations:
        family = self._check_settings()
        observations = as_observations(X, weights=sample_weight)
        validate_data(self, _header(observations), skip_check_array=True)
        check_components(observations, self.n_components)
        floor = self.reg_covar * family.floor_variances(observations.variances) / observations.scale**2
        random_state = check_random_state(self.random_state)
        seeds = np.random.SeedSequence(random_state.randint(2**31 - 1, size=4).tolist())
        requested = self._requested_start()
        requested.check(observations, self.n_components, family)
        with single_threaded_blas():
            best = self._search(observations, requested, family, floor, seeds)
        self._feature_names, self._units = observations.feature_names, observations.units
        self._keep(best, observations, family)
        self._sampler = np.random.default_rng(seeds.spawn(1)[0])
        self._warn(best, observations)
        return observations

    def _search(
        self,
        observations: Observations,
        requested: Start,
        family: CovarianceFamily,
        floor: np.ndarray,
        seeds: np.random.SeedSequence,
    ) -> em.EMResult:
        """Run one start to its end; of several, run all a short way and the most promising to their end."""
        n_starts = 1 if requested.is_one else self.n_init
        settings: dict[str, Any] = {"tol": self.tol, "floor": floor}
        first = self.max_iter if n_starts == 1 else min(self.max_iter, SHORT_RUN)
        results: list[em.EMResult] = []
        for seed in seeds.spawn(n_starts):
            rng = np.random.default_rng(seed)
            try:
                start = requested.parameters(observations, self.n_components, family, floor, rng)
                results.append(em.run(observations, start, family, max_iter=first, **settings))
            except em.CollapseError as error:
                if n_starts == 1:
                    raise self._with_rows(error, observations) from None
        results.sort(key=lambda result: (not result.floored, result.log_likelihood), reverse=True)
        ends = []
        for result in results[:MOST_PROMISING]:
            try:
                ends.append(em.go_on(observations, result, family, max_iter=self.max_iter, **settings))
            except em.CollapseError:
                continue
        if not ends:
            raise em.CollapseError(
                f"every one of {n_starts} starts collapsed: use fewer components, a simpler `covariance_type`, or a "
                "positive `reg_covar`.",
                0,
            )
        return max(ends, key=lambda end: (end.admissible, end.log_likelihood))

    def _check_settings(self) -> CovarianceFamily:
        for name, least in (("n_components", 1), ("max_iter", 1), ("n_init", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}; received {value!r}.")
        for name in ("tol", "reg_covar"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= float(value) < 1:
                raise ValueError(f"`{name}` must be a number in [0, 1); received {value!r}.")
        return covariance_family(self.covariance_type)

    def _requested_start(self) -> Start:
        if self.warm_start and "_parameters" in self.__dict__:
            return Start(self._parameters)
        origin = self.init_params.parameters_ if isinstance(self.init_params, GaussianMixture) else self.init_params
        return Start(origin, self.weights_init, self.means_init, self.precisions_init)

    def _keep(self, result: em.EMResult, observations: Observations, family: CovarianceFamily) -> None:
        self._set_parameters(observations.from_standard(result.parameters), family)
        self.status_ = result.status
        self.converged_ = result.status is not em.Status.MAX_ITER
        self.admissible_ = result.admissible
        self.n_iter_ = len(result.log_likelihoods)
        self.lower_bounds_ = (result.log_likelihoods / observations.total_weight).tolist()
        self.lower_bound_ = self.lower_bounds_[-1]

    def _set_parameters(self, parameters: MixtureParameters, family: CovarianceFamily) -> None:
        self._parameters = parameters
        self.weights_ = parameters.weights
        self.means_ = parameters.means
        self.covariances_ = family.pack(parameters.covariances)
        U = parameters.precision_cholesky
        self.precisions_cholesky_ = family.pack(U)
        self.precisions_ = family.pack(U @ np.swapaxes(U, -1, -2))
        self.n_parameters_ = family.n_parameters(*parameters.means.shape)

    def _warn(self, result: em.EMResult, observations: Observations) -> None:
        if result.status is em.Status.MAX_ITER:
            warnings.warn(result.status.value, ConvergenceWarning, stacklevel=4)
        elif result.status is em.Status.COLLAPSED:
            labels = _labels(observations, self._parameters)
            named = "; ".join(f"component {k}: {observations.name_rows(labels == k)}" for k in result.floored)
            warnings.warn(f"{result.status.value} {named}.", CollapseWarning, stacklevel=4)

    def _with_rows(self, error: em.CollapseError, observations: Observations) -> em.CollapseError:
        """Return the same error, naming the rows the component held when it was last whole."""
        if error.parameters is None:
            return error
        labels = _labels(observations, observations.from_standard(error.parameters))
        rows = observations.name_rows(labels == error.component)
        return em.CollapseError(
            f"{error} Its rows: {rows}. Use fewer components, another start, a simpler `covariance_type`, or a "
            "positive `reg_covar`.",
            error.component,
            error.parameters,
        )

    def _observe(self, X: Any) -> Observations:
        check_is_fitted(self)
        observations = as_new_observations(X, self._parameters, self._feature_names)
        validate_data(self, _header(observations), skip_check_array=True, reset=False)
        return observations


def _header(observations: Observations) -> np.ndarray | pd.DataFrame:
    """No rows of the same features: what scikit-learn needs to remember or check names, whatever the kind of table."""
    nothing = np.empty((0, observations.n_features))
    return pd.DataFrame(nothing, columns=list(observations.feature_names)) if observations.named else nothing


def _labels(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    return map_rows(lambda log_joint: log_joint.argmax(axis=0), observations, parameters, dtype=np.intp)
