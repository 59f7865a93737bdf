"""FittedMixture: what a mixture with known parameters answers, however they were found."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted, validate_data

from bayesgmm.data.observations import Observations, as_new_observations
from bayesgmm.em.criteria import Criteria, criteria
from bayesgmm.em.families import covariance_family
from bayesgmm.em.known import KnownMixture
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.features import given_values, positions
from bayesgmm.mixture.noise import NOISE_LABEL
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.mixture.quantiles import cumulative, quantile
from bayesgmm.mixture.simulation import draw_rows


class FittedMixture(KnownMixture):
    """A mixture whose parameters are known: base of `GaussianMixture`, which adds the fitting."""

    def predict(self, X: Any) -> np.ndarray:
        """Most probable component of each row, (N,); -1 where noise is more probable than any."""
        return most_probable(self._observe(X), self._parameters)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Membership probabilities r_nk = P(z_n = k | x_n), (N, K).

        Each row sums to one, or with noise to one less its `noise_probability`.
        """
        K = self.parameters_.n_components

        def responsibilities(log_joint: np.ndarray) -> np.ndarray:
            normalise(log_joint)
            return log_joint[:K].T

        return map_rows(responsibilities, self._observe(X), self.parameters_, trailing=(K,))

    def noise_probability(self, X: Any) -> np.ndarray:
        """Probability of each row to be noise, (N,); zero for a mixture without."""
        observations, K = self._observe(X), self.parameters_.n_components
        if self.parameters_.noise is None:
            return np.zeros(observations.n_rows)

        def of_noise(log_joint: np.ndarray) -> np.ndarray:
            normalise(log_joint)
            return log_joint[K]

        return map_rows(of_noise, observations, self.parameters_)

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
            Independent rows and the components they come from; -1 for noise.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples!r}; give an integer of at least 1.")
        X, labels = draw_rows(self._sampler, self.parameters_, int(n_samples))
        return X, labels

    def marginal(self, features: Any) -> Self:
        """Return the mixture of some of the features, again ready to use.

        Parameters
        ----------
        features : list of str or int
            Names or positions; the result has them in this order.

        Raises
        ------
        ValueError
            When a feature is unknown or named twice; the names there are, are listed.
        """
        chosen = positions(self.feature_names, [features] if isinstance(features, str | int) else list(features))
        family = covariance_family(self.covariance_type)
        return self._derived(self.parameters_.marginal(chosen), family.scikit_learn_name, chosen)

    def conditional(self, values: Mapping[Any, float]) -> Self:
        """Return the mixture of the other features, given the values of some.

        p(x_a | x_b) is a mixture again: weights ∝ weights_k N(x_b | mu_kb, Sigma_kbb), means
        mu_ka + Sigma_kab Sigma_kbb^-1 (x_b - mu_kb), and covariances the Schur complements of Sigma_kbb.

        Parameters
        ----------
        values : dict
            Value of each given feature, by name or position, in the units of the data.

        Returns
        -------
        GaussianMixture
            Over the features that are not given, in their order; ``covariance_type`` is "full".

        Raises
        ------
        ValueError
            When a feature is unknown, none or every one is given, or a value is not finite.

        References
        ----------
        Bishop (2006), Pattern Recognition and Machine Learning, section 2.3.1.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> gm = bg.GaussianMixture(2, random_state=0).fit(bg.load_dataset("faithful"))
        >>> given = gm.conditional({"waiting": 70})
        >>> given.feature_names, given.quantile([0.05, 0.5, 0.95]).round(2)
        (('eruptions',), array([2.48, 4.  , 4.65]))
        """
        given, numbers = given_values(self.feature_names, values)
        rest = [j for j in range(self.n_features_in_) if j not in given]
        return self._derived(condition(self.parameters_, given, numbers), "full", rest)

    def cdf(self, x: Any) -> np.ndarray:
        """Distribution function P(X <= x) of a mixture in one feature, in the shape of x.

        Raises
        ------
        ValueError
            When there are more features (take a `marginal` first), or an x is NaN.
        """
        parameters, x = self._one_feature("cdf"), np.asarray(x, dtype=np.float64)
        if np.isnan(x).any():
            raise ValueError("`x` holds NaN: give numbers, or infinity.")
        return cumulative(parameters, x.reshape(-1)).reshape(x.shape)

    def quantile(self, q: Any) -> np.ndarray:
        """Invert `cdf`: the x with P(X <= x) = q, in the shape of q; infinite at 0 and 1.

        Raises
        ------
        ValueError
            When there are more features than one (take a `marginal` first), or a q is outside [0, 1].
        """
        parameters, q = self._one_feature("quantile"), np.asarray(q, dtype=np.float64)
        outside = ~((q >= 0) & (q <= 1))
        if outside.any():
            raise ValueError(f"`q` must be probabilities in [0, 1]; received {q[outside][0]}.")
        return quantile(parameters, q.reshape(-1)).reshape(q.shape)

    def _derived(self, parameters: MixtureParameters, covariance_type: str, features: list[int]) -> Self:
        """Return a mixture of some of the features that follows from this one, and shares its fate."""
        names, units = (tuple(of[j] for j in features) for of in (self._feature_names, self._units))
        settings = {"covariance_type": covariance_type}
        mixture = self._of(parameters, settings, names, units, self._named)
        mixture.status_, mixture.converged_, mixture.admissible_ = self.status_, self.converged_, self.admissible_
        # a stream of its own, that a seed decides and that takes nothing from ours
        mixture._sampler = self._sampler.spawn(1)[0]
        return mixture

    def _one_feature(self, method: str) -> MixtureParameters:
        names = self.feature_names
        if len(names) != 1:
            raise ValueError(
                f"`{method}` needs one feature, this mixture has {len(names)} ({', '.join(names)}): "
                f"take a marginal first, as in `mixture.marginal([{names[0]!r}]).{method}(...)`."
            )
        return self._parameters

    def _observe(self, X: Any) -> Observations:
        check_is_fitted(self)
        observations = as_new_observations(X, self._parameters, self._feature_names)
        validate_data(self, header(observations), skip_check_array=True, reset=False)
        return observations


def header(observations: Observations) -> np.ndarray | pd.DataFrame:
    """No rows of the same features: what scikit-learn needs to remember or check names, whatever the kind of table."""
    nothing = np.empty((0, observations.n_features))
    return pd.DataFrame(nothing, columns=list(observations.feature_names)) if observations.named else nothing


def most_probable(observations: Observations, parameters: MixtureParameters) -> np.ndarray:
    """Most probable component of each row, (N,); -1 where noise is."""
    labels = map_rows(lambda log_joint: log_joint.argmax(axis=0), observations, parameters, dtype=np.intp)
    labels[labels == parameters.n_components] = NOISE_LABEL
    return labels
