"""GaussianMixture: the scikit-learn face of the maximum-likelihood solver."""

import warnings
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from bayesgmm.data.background import background_of, check_noise
from bayesgmm.data.observations import Observations, as_observations
from bayesgmm.em import solver as em
from bayesgmm.em.conjugate import conjugate_prior
from bayesgmm.em.families import CovarianceFamily, check_dimension, covariance_family
from bayesgmm.em.fitted import FittedMixture, header, most_probable
from bayesgmm.em.m_step import CollapseError
from bayesgmm.em.search import search
from bayesgmm.em.starts.completed import completed, keep_known
from bayesgmm.em.starts.requested import Start
from bayesgmm.em.task import check_components, check_known_labels
from bayesgmm.mixture.noise import Background
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import single_threaded_blas

GIVEN_BY = {"weights": "`weights_init`", "means": "`means_init`", "covariances": "`precisions_init`"}
"""What may be frozen, and the argument that gives its values."""


class CollapseWarning(UserWarning):
    """A component of the chosen fit describes a few equal rows rather than a cluster."""


class GaussianMixture(FittedMixture, DensityMixin, BaseEstimator):
    """Fit a Gaussian mixture by maximum likelihood (EM).

    p(x) = sum_k weights_k N(x | means_k, covariances_k). Names and shapes are scikit-learn's; what differs: `tol`
    reaches the optimum, `reg_covar` is relative to the data's variance and leaves sound fits untouched, `sample` draws
    anew on each call, row weights are accepted, and tables keep their names.

    Parameters
    ----------
    n_components : int
        Number of components K.
    covariance_type : str
        "full" (each component its own covariance; VVV), "tied" (one for all; EEE), "diag" (VVI), "spherical" (VII), or
        one of mclust's fourteen codes; "E" or "V" in one dimension.
    tol : float
        Stop when the log-likelihood is not expected to rise by more than this per row.
    reg_covar : float
        Relative floor: no covariance falls below this fraction of the data's own column variances. A fit above the
        floor is the exact maximum of the likelihood. 0 removes the floor: a collapse is then an error.
    max_iter : int
        Most E-steps per start, each with its M-step.
    n_init : int
        Number of starts. Each runs a short way, the three with the highest likelihood go on, and the best admissible
        fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data", "hierarchical"}, array or GaussianMixture
        How to start; or the start itself: labels (N,), responsibilities (N, K), or a fitted mixture. "hierarchical" is
        the same every time: of several starts it is the first, and k-means makes the others.
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
    acceleration : {"quasi-newton", None}
        Take longer steps than EM's where they raise the likelihood (see `bayesgmm.em.acceleration`); None is plain EM,
        whose path from a given start is the classical one.
    frozen : sequence of {"weights", "means", "covariances"}
        Parameters held as they are in the start, which must give them: by `weights_init`, `means_init`,
        `precisions_init`, a fitted mixture as `init_params`, or `warm_start`. They do not count as free parameters.
    prior : {"conjugate", None}
        Maximise the posterior density under the conjugate prior of Fraley & Raftery (2007) instead of the likelihood
        (`bayesgmm.em.conjugate`): covariances are shrunk towards the data's own, and a fit exists also where a
        component has fewer rows than features. It is not the prior of `mixture_model`.
    noise : {None, "box", "hull"}, (2, D) array or Background
        Let rows belong to no cluster: a share pi_0 of them is uniform over a background, the box around the data, their
        convex hull (of complete rows with few features), or the box of given edges, lower and upper, in the units of
        the data; or the `noise_background_` of another fit. It is fixed before the fit, and rows outside it are never
        noise. With measurement errors noise is uniform in the values as measured; a row with a known label is not
        noise. Starts are made from rows that do not lie far from their neighbours (`bayesgmm.em.starts.clutter`) and,
        one more, from all rows; in labels given as `init_params` -1 is noise, in responsibilities what a row lacks to
        one.

    Attributes
    ----------
    weights_ : (K,) array
        Positive, summing to one; with noise, shares among the rows that are not.
    means_ : (K, D) array
        In the units of the data.
    covariances_ : array
        (K, D, D) for "full", (D, D) for "tied", (K, D) for "diag", (K,) for "spherical"; so are ``precisions_`` and
        ``precisions_cholesky_``.
    converged_ : bool
    status_ : em.Status
        How the fit ended; its value is a sentence.
    admissible_ : bool
        Converged, no component on the floor, more rows than features in each component (with a prior, or where pooled
        scatter is all there can be, more than one row).
    n_iter_ : int
        E-steps of the kept fit.
    lower_bound_ : float
        Log-likelihood per unit of row weight, natural logarithm, at the last E-step of the kept fit; `lower_bounds_` at
        each. Where `max_iter` ended the fit, one M-step came after, and `score` is no lower.
    n_starts_, n_starts_ended_, n_starts_at_best_ : int
        Starts tried, those of them run to their end, and those of these that reached the optimum that is kept.
    label_names_ : tuple of str or None
        Names of components 0, 1, ..., where `known_labels` were names.
    n_parameters_ : int
        Free parameters: K - 1 weights, K D means and the covariances of the family, less what is frozen; with noise,
        its share besides, frozen with the weights.
    noise_weight_ : float
        pi_0, the share of all rows that is noise; set where `noise` is asked for, as is
    noise_background_ : Background
        Where noise is, with the logarithm of its volume.

    References
    ----------
    Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39; Celeux & Govaert (1995), Pattern Recognition 28.
    Banfield & Raftery (1993), Biometrics 49, section 3.1, for noise.

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
        acceleration: str | None = "quasi-newton",
        frozen: Sequence[str] = (),
        prior: str | None = None,
        noise: Any = None,
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
        self.acceleration = acceleration
        self.frozen = frozen
        self.prior = prior
        self.noise = noise

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that missing values are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, errors: Any = None, known_labels: Any = None
    ) -> Self:
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : table
            (N, D): ndarray, DataFrame (pandas, polars), DataArray. NaN (or pandas' NA, or a masked value) stands for a
            missing value: the likelihood is that of the values there are.
        y : ignored
        sample_weight : (N,) array, optional
            Non-negative; an integer weight counts as that many equal rows.
        errors : (D,), (N, D) or (N, D, D) array, optional
            Variances of the measurement errors, in squared units, of each feature or each value; or a covariance for
            each row. The mixture is then that of the underlying values (Bovy, Hogg & Roweis 2011).
        known_labels : (N,) array, optional
            Component of the rows for which it is known: whole numbers from 0, with -1 or NaN for the others; or names,
            with None or NaN for the others, whose components follow their alphabetical order (``label_names_``).

        Raises
        ------
        DataError
            Naming the column or row that cannot be used.
        CollapseError
            When a component loses its spread and `reg_covar` is 0; the component and its rows are named.
        """
        self._fit(as_observations(X, weights=sample_weight, errors=errors, known_labels=known_labels))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, then the most probable component of each row, (N,); -1 for noise."""
        return most_probable(self._fit(as_observations(X, weights=sample_weight)), self._parameters)

    def _fit(
        self, observations: Observations, starts: Sequence[Callable[[], MixtureParameters]] | None = None
    ) -> Observations:
        """Fit from the start that the settings ask for, or from `starts`, which `compare` shares between models."""
        family = self._check_settings()
        validate_data(self, header(observations), skip_check_array=True)
        check_components(observations, self.n_components)
        check_known_labels(observations, self.n_components)
        check_dimension(family, observations.n_features)
        background = background_of(self.noise, observations)
        floor = self.reg_covar * family.floor_variances(observations.variances) / observations.scale**2
        random_state = check_random_state(self.random_state)
        seeds = np.random.SeedSequence(random_state.randint(2**31 - 1, size=4).tolist())
        reached = None
        if starts is None:
            requested, reached = self._requested_start(background), self._reached(observations)
            requested.check(observations, self.n_components, family)
            given = requested.given | ({"weights", "means", "covariances"} if requested.is_mixture else set())
            if missing := sorted(set(self.frozen) - given):
                raise ValueError(
                    f"`frozen` holds {missing} at values that the start must give, and it does not: pass "
                    f"{', '.join(GIVEN_BY[name] for name in missing)}, or a fitted mixture as `init_params`."
                )
            if background is not None and "weights" in self.frozen and not requested.gives_noise:
                raise ValueError(
                    "`frozen` weights hold the share of noise too, which the start does not give: pass a mixture "
                    "fitted with `noise` as `init_params`."
                )
            starts = requested.starts(completed(observations), self.n_components, family, floor, seeds, self.n_init)
            if not requested.is_mixture:
                starts = [keep_known(start, observations, family, floor) for start in starts]
        with single_threaded_blas():
            try:
                found = search(
                    observations,
                    starts,
                    family,
                    tol=self.tol,
                    max_iter=self.max_iter,
                    floor=floor,
                    accelerated=self.acceleration is not None,
                    frozen=frozenset(self.frozen),
                    prior=conjugate_prior(observations, self.n_components) if self.prior else None,
                    reached=reached,
                )
            except CollapseError as error:
                raise self._with_rows(error, observations) from None
        self.n_starts_, self.n_starts_ended_, self.n_starts_at_best_ = found.n_starts, found.n_ended, found.n_at_best
        best = found.best
        self.label_names_ = observations.label_names
        self._feature_names, self._units = observations.feature_names, observations.units
        self._keep(best, observations, family)
        self._sampler = np.random.default_rng(seeds.spawn(1)[0])
        self._warn(best, observations)
        return observations

    def _check_settings(self) -> CovarianceFamily:
        for name, least in (("n_components", 1), ("max_iter", 1), ("n_init", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}; received {value!r}.")
        for name in ("tol", "reg_covar"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 <= float(value) < 1:
                raise ValueError(f"`{name}` must be a number in [0, 1); received {value!r}.")
        if self.acceleration not in ("quasi-newton", None):
            raise ValueError(f"`acceleration` must be 'quasi-newton' or None; received {self.acceleration!r}.")
        if self.prior not in ("conjugate", None):
            raise ValueError(f"`prior` must be 'conjugate' or None; received {self.prior!r}.")
        check_noise(self.noise)
        if isinstance(self.frozen, str) or not set(self.frozen) <= set(GIVEN_BY):
            raise ValueError(f"`frozen` must list some of {', '.join(map(repr, GIVEN_BY))}; received {self.frozen!r}.")
        return covariance_family(self.covariance_type)

    def _requested_start(self, background: Background | None) -> Start:
        if self.warm_start and "_parameters" in self.__dict__:
            return Start(self._parameters, background=background)
        origin = self.init_params.parameters_ if isinstance(self.init_params, GaussianMixture) else self.init_params
        return Start(origin, self.weights_init, self.means_init, self.precisions_init, background)

    def _reached(self, observations: Observations) -> float | None:
        """Return the log-likelihood at the last E-step of the fit that `warm_start` goes on from."""
        bound = self.__dict__.get("lower_bound_", np.nan)
        if not self.warm_start or self.prior or not np.isfinite(bound):
            return None
        return float(bound) * observations.total_weight

    def _keep(self, result: em.EMResult, observations: Observations, family: CovarianceFamily) -> None:
        self._set_parameters(observations.from_standard(result.parameters), family)
        K, D = self.means_.shape
        counts = {
            "weights": K - 1 + (result.parameters.noise is not None),
            "means": K * D,
            "covariances": family.n_covariance_parameters(K, D),
        }
        self.n_parameters_ -= sum(counts[name] for name in set(self.frozen))
        self.status_ = result.status
        self.converged_ = result.status is not em.Status.MAX_ITER
        self.admissible_ = result.admissible
        self.n_iter_ = len(result.log_likelihoods)
        self.lower_bounds_ = (result.log_likelihoods / observations.total_weight).tolist()
        self.lower_bound_ = self.lower_bounds_[-1]

    def _warn(self, result: em.EMResult, observations: Observations) -> None:
        if result.status is em.Status.MAX_ITER:
            warnings.warn(result.status.value, ConvergenceWarning, stacklevel=4)
        elif result.status is em.Status.COLLAPSED:
            labels = most_probable(observations, self._parameters)
            named = "; ".join(f"component {k}: {observations.name_rows(labels == k)}" for k in result.floored)
            warnings.warn(f"{result.status.value} {named}.", CollapseWarning, stacklevel=4)

    def _with_rows(self, error: CollapseError, observations: Observations) -> CollapseError:
        """Return the same error, naming the rows the component held when it was last whole."""
        if error.parameters is None:
            return error
        labels = most_probable(observations, observations.from_standard(error.parameters))
        rows = observations.name_rows(labels == error.component)
        return CollapseError(
            f"{error} Its rows: {rows}. Use fewer components, another start, a simpler `covariance_type`, or a "
            "positive `reg_covar`.",
            error.component,
            error.parameters,
        )


from_parameters = GaussianMixture.from_parameters
load = GaussianMixture.load
