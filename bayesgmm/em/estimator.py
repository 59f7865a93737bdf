"""GaussianMixture: the scikit-learn face of the maximum-likelihood solver, and of mixtures known otherwise."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.em import answers, known, pickling, scikit_learn, storage
from bayesgmm.em.criteria import Criteria, criteria
from bayesgmm.em.fitting import fit, task_of
from bayesgmm.em.scikit_learn import header
from bayesgmm.em.solver import Status
from bayesgmm.em.task import Task
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.simulation import draw_rows
from bayesgmm.tools.integers import is_integer


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
        Number of starts. Each runs a short way, the three best go on, and the best admissible fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data", "hierarchical"}, array or GaussianMixture
        How to start; or the start itself: labels (N,), responsibilities (N, K), or a fitted mixture. "hierarchical" is
        the same every time: of several starts it is the first, and k-means makes the others.
    weights_init, means_init, precisions_init : (K,) array, (K, D) array, array, optional
        Parts of a start, in place of those of `init_params`; precisions (inverse covariances) in the shape of
        `covariance_type`.
    random_state : int, RandomState or None
        Seed of the starts and of `sample`.
    warm_start : bool
        Start from the last fit.
    acceleration : {"quasi-newton", None}
        Take longer steps than EM's where they raise the likelihood (`bayesgmm.em.acceleration`); None is plain EM.
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
        the data; or the `noise_background_` of another fit. It is fixed before the fit; rows outside it, and those with
        a known label, are never noise. With measurement errors noise is uniform in the values as measured. Starts are
        made from rows that do not lie far from their neighbours (`bayesgmm.em.starts.clutter`) and, one more, from all
        rows; in labels given as `init_params` -1 is noise, in responsibilities what a row lacks to one.

    Attributes
    ----------
    weights_, means_ : (K,) array, (K, D) array
        Weights sum to one; with noise they are shares among the rows that are not.
    covariances_, precisions_, precisions_cholesky_ : array
        (K, D, D) for "full", (D, D) for "tied", (K, D) for "diag", (K,) for "spherical".
    status_, converged_ : Status, bool
        How the fit ended, a sentence; whether before `max_iter`.
    admissible_ : bool
        Converged, no component on the floor, more rows than features in each component (with a prior, or where pooled
        scatter is all there can be, more than one row).
    n_iter_, lower_bounds_, lower_bound_ : int, list of float, float
        E-steps of the kept fit; the log-likelihood per unit of row weight, natural logarithm, at each and at the last.
        Where `max_iter` ended the fit, one M-step came after, and `score` is no lower.
    n_starts_, n_starts_ended_, n_starts_at_best_ : int
        Starts tried, those of them run to their end, and those of these that reached the optimum that is kept.
    label_names_ : tuple of str or None
        Names of components 0, 1, ..., where `known_labels` were names.
    n_parameters_ : int
        Free parameters: K - 1 weights, K D means and the covariances of the family, less what is frozen; with noise,
        its share besides, frozen with the weights.
    noise_weight_, noise_background_ : float, Background
        pi_0, the share of all rows that is noise, and where noise is; set where `noise` is asked for.

    References
    ----------
    Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39; Celeux & Govaert (1995), Pattern Recognition 28; with noise
    Banfield & Raftery (1993), Biometrics 49, section 3.1.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> X = bg.load_dataset("faithful")
    >>> gm = bg.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> gm.weights_.round(3), gm.converged_
    (array([0.644, 0.356]), True)
    """

    # what pickles call it, wherever its file may lie
    __module__ = "bayesgmm"

    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    precisions_: np.ndarray
    precisions_cholesky_: np.ndarray
    n_parameters_: int
    noise_weight_: float
    noise_background_: Background
    status_: Status
    converged_: bool
    admissible_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
    n_starts_: int
    n_starts_ended_: int
    n_starts_at_best_: int
    label_names_: tuple[str, ...] | None
    _parameters: MixtureParameters

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
        DataError, CollapseError
            Naming the column or row that cannot be used; or the component, with its rows, that lost its spread where
            `reg_covar` is 0.
        """
        word = self._fit(task_of(self, X, weights=sample_weight, errors=errors, known_labels=known_labels))
        if word is not None:
            warnings.warn(word, stacklevel=2)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, then the most probable component of each row, (N,); -1 for noise."""
        task = task_of(self, X, weights=sample_weight)
        word = self._fit(task)
        if word is not None:
            warnings.warn(word, stacklevel=2)
        return answers.most_probable(task.observations, self._parameters)

    def _fit(self, task: Task, starts: Sequence[Callable[[], MixtureParameters]] | None = None) -> Warning | None:
        """Fit from the start that the settings ask for or from `starts`, and return what is to be warned of."""
        previous = self._known if self.warm_start and "_parameters" in vars(self) else None
        origin = self.init_params.parameters_ if isinstance(self.init_params, GaussianMixture) else self.init_params
        mixture, word = fit(task, self, origin, previous, starts)
        self._hold(mixture)
        return word

    def predict(self, X: Any) -> np.ndarray:
        """Most probable component of each row, (N,); -1 where noise is more probable than any."""
        return answers.most_probable(self._observe(X), self._parameters)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Membership probabilities r_nk = P(z_n = k | x_n), (N, K)."""
        return answers.memberships(self._observe(X), self._parameters)

    def noise_probability(self, X: Any) -> np.ndarray:
        """Probability of each row to be noise, (N,): what its memberships lack to one."""
        return answers.noise_probability(self._observe(X), self._parameters)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log density of each row, natural logarithm, (N,)."""
        return answers.log_density(self._observe(X), self._parameters)

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
        return criteria(self._observe(X), self._parameters, self.n_parameters_)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (n_samples, D) and their components, -1 for noise; each call draws anew."""
        check_is_fitted(self)
        if not is_integer(n_samples) or n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples!r}; give an integer of at least 1.")
        return draw_rows(self._sampler, self._parameters, int(n_samples))

    def marginal(self, features: Any) -> Self:
        """Return the mixture of some features, names or positions, in this order."""
        return self._of(known.marginal(self._known, features))

    def conditional(self, values: Mapping[Any, float]) -> Self:
        """Return the mixture of the other features, given the values of some.

        p(x_a | x_b) is a mixture again: weights ∝ weights_k N(x_b | mu_kb, Sigma_kbb), means
        mu_ka + Sigma_kab Sigma_kbb^-1 (x_b - mu_kb), and covariances the Schur complements of Sigma_kbb (Bishop 2006,
        Pattern Recognition and Machine Learning, section 2.3.1). `values` is a dictionary from features, names or
        positions, to numbers in the units of the data. The result is of the family "full".

        Examples
        --------
        >>> import bayesgmm as bg
        >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
        >>> given = gm.conditional({"waiting": 70})
        >>> given.feature_names, given.quantile([0.05, 0.5, 0.95]).round(2)
        (('eruptions',), array([2.48, 4.  , 4.65]))
        """
        return self._of(known.conditional(self._known, values))

    def cdf(self, x: Any) -> np.ndarray:
        """P(X <= x), in the shape of x; where there are more features, of a `marginal`."""
        return known.cdf(self._known, x)

    def quantile(self, q: Any) -> np.ndarray:
        """Invert `cdf`: the x with P(X <= x) = q, in the shape of q; infinite at 0 and 1."""
        return known.quantile(self._known, q)

    @classmethod
    def from_parameters(
        cls,
        weights: Any,
        means: Any,
        covariances: Any,
        *,
        covariance_type: str = "full",
        feature_names: Sequence[str] | None = None,
        noise: Noise | None = None,
    ) -> Self:
        """Return a mixture with given parameters, ready to predict, score and sample.

        Parameters
        ----------
        weights : (K,); means : (K, D); covariances : array in the shape of `covariance_type`
        feature_names : D str, by default x0, x1, ...
        noise : Noise, optional
            The share of noise and its background, as another mixture's ``parameters_.noise``.
        """
        return cls._of(known.from_parameters(weights, means, covariances, covariance_type, feature_names, noise))

    @classmethod
    def from_scikit_learn(cls, mixture: Any) -> Self:
        """Take over a fitted ``sklearn.mixture.GaussianMixture``, and no other of theirs."""
        return cls._of(scikit_learn.from_scikit_learn(mixture))

    def to_scikit_learn(self) -> Any:
        """Return the same mixture as a fitted ``sklearn.mixture.GaussianMixture``.

        Families that scikit-learn has not become "diag" where every covariance is diagonal, and "full" otherwise.
        """
        return scikit_learn.to_scikit_learn(self._known)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mixture to one JSON file, to be read by `load`; whole or not at all.

        Kept: parameters in full precision, names and units, how the fit ended, and the settings that are a number or
        a text (not an array or mixture to start from); with a `random_state` `sample` goes on as here.
        """
        storage.write_mixture(path, self._known)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a mixture that `save` wrote: it answers the same, to the last bit.

        `StorageError` names a file that is none, or damaged.
        """
        return storage.read_mixture(path, cls._of)

    def __getstate__(self) -> dict[str, Any]:
        """Give what a pickle holds: it outlives a move of our files."""
        return pickling.without_classes(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what a pickle held."""
        super().__setstate__(pickling.with_classes(state))

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

    @property
    def _known(self) -> known.KnownMixture:
        check_is_fitted(self)
        return known.held_by(vars(self), self.get_params(deep=False))

    @classmethod
    def _of(cls, mixture: known.KnownMixture) -> Self:
        """Make an estimator of what is known, without a fit."""
        return cls(**{**mixture.settings, "n_components": mixture.parameters.n_components})._hold(mixture)

    def _hold(self, mixture: known.KnownMixture) -> Self:
        for name in known.NOT_ALWAYS:
            self.__dict__.pop(name, None)
        self.__dict__.update(known.attributes(mixture))
        return self

    def _observe(self, X: Any) -> Observations:
        check_is_fitted(self)
        observations = as_new_observations(X, self._parameters, self._feature_names)
        validate_data(self, header(observations), skip_check_array=True, reset=False)
        return observations


from_parameters = GaussianMixture.from_parameters
load = GaussianMixture.load
