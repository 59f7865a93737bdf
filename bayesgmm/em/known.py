"""KnownMixture: a mixture of known parameters, made from numbers, a file or scikit-learn, and kept there."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.tables import default_names
from bayesgmm.em import solver as em
from bayesgmm.em.families import CovarianceFamily, covariance_family
from bayesgmm.em.storage import (
    StorageError,
    StoredMixture,
    generator_at,
    generator_state,
    plain,
    read_mixture,
    write_mixture,
)
from bayesgmm.mixture.noise import Background, Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError


class KnownMixture(BaseEstimator):
    """A mixture whose parameters are known: base of `FittedMixture`, which adds what it answers."""

    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    n_parameters_: int
    noise_weight_: float
    noise_background_: Background
    status_: em.Status
    converged_: bool
    admissible_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
    _parameters: MixtureParameters
    _feature_names: tuple[str, ...]
    _units: tuple[str, ...]
    _sampler: np.random.Generator

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
        feature_names : D str, optional
            x0, x1, ... without.
        noise : Noise, optional
            The share of noise and its background, as another mixture's ``parameters_.noise``.

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
        names = default_names(D) if feature_names is None else tuple(feature_names)
        if len(names) != D or len(set(names)) != D or not all(isinstance(name, str) for name in names):
            raise ValueError(f"`feature_names` must be {D} distinct texts; received {list(names)}.")
        settings: dict[str, Any] = {"covariance_type": covariance_type}
        if noise is not None:
            if noise.background.n_features != D or not 0 <= noise.weight <= 1:
                raise ParameterError(
                    f"`noise` must have a share in [0, 1] and a background of {D} features; received "
                    f"{float(noise.weight):g} and {noise.background.n_features}."
                )
            parameters, settings["noise"] = replace(parameters, noise=noise), noise.background
        return cls._of(parameters, settings, names, ("",) * D, feature_names is not None)

    @classmethod
    def from_scikit_learn(cls, mixture: Any) -> Self:
        """Return the same mixture as a fitted ``sklearn.mixture.GaussianMixture``.

        Not for ``BayesianGaussianMixture``, whose memberships are no function of weights, means and covariances.
        """
        from sklearn import mixture as theirs

        if not isinstance(mixture, theirs.GaussianMixture):
            raise TypeError(f"expected a fitted sklearn.mixture.GaussianMixture; received {type(mixture).__name__}.")
        check_is_fitted(mixture)
        names = vars(mixture).get("feature_names_in_")
        ours = cls.from_parameters(
            np.asarray(mixture.weights_, dtype=np.float64),
            mixture.means_,
            mixture.covariances_,
            covariance_type=mixture.covariance_type,
            feature_names=None if names is None else names.tolist(),
        )
        ours.converged_, ours.admissible_ = bool(mixture.converged_), bool(mixture.converged_)
        ours.status_ = em.Status.CONVERGED if ours.converged_ else em.Status.MAX_ITER
        ours.n_iter_, ours.lower_bound_ = int(mixture.n_iter_), float(mixture.lower_bound_)
        ours.lower_bounds_ = [float(bound) for bound in mixture.lower_bounds_]
        return ours

    def to_scikit_learn(self) -> Any:
        """Return the same mixture as a fitted ``sklearn.mixture.GaussianMixture``.

        Families that scikit-learn has not become "diag" where every covariance is diagonal, and "full" otherwise.
        """
        from sklearn import mixture as theirs

        check_is_fitted(self)
        if self._parameters.noise is not None:
            raise ValueError("scikit-learn's mixtures have no noise: fit with `noise=None` to pass one on.")
        name = covariance_family(self.covariance_type).scikit_learn_name
        packed = self._of(self._parameters, {"covariance_type": name}, self._feature_names, self._units, self._named)
        settings = {key: getattr(self, key) for key in ("tol", "max_iter", "n_init", "random_state")}
        mixture = theirs.GaussianMixture(packed.n_components, covariance_type=name, **settings)
        attributes = "weights means covariances precisions precisions_cholesky n_features_in feature_names_in".split()
        for key in attributes:
            if f"{key}_" in vars(packed):
                setattr(mixture, f"{key}_", vars(packed)[f"{key}_"])
        for key in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_"):
            setattr(mixture, key, getattr(self, key))
        return mixture

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mixture to one JSON file, to be read by `load`; whole or not at all.

        Kept: parameters in full precision, names and units, how the fit ended, and the settings that are a number or
        a text (not an array or mixture to start from). What `sample` draws next goes on as here if there is a
        `random_state`.
        """
        check_is_fitted(self)
        stored = StoredMixture(
            plain(self.get_params(deep=False)),
            self._feature_names,
            self._units,
            self._named,
            self._parameters,
            self.status_.name,
            plain({name: value for name, value in vars(self).items() if _tells_how_it_ended(name)}),
            self.lower_bounds_,
            None if self.random_state is None else generator_state(self._sampler),
        )
        write_mixture(path, stored)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a mixture that `save` wrote: it answers the same, to the last bit.

        Raises
        ------
        StorageError
            When the file is damaged, foreign or of a newer version; it is named.
        OSError
            When it cannot be opened.
        """
        stored = read_mixture(path)
        noise = stored.parameters.noise
        if noise is not None:
            # an array is no setting that the file keeps: the background itself is what it made
            stored.settings.setdefault("noise", noise.background)
        try:
            mixture = cls._of(stored.parameters, stored.settings, stored.feature_names, stored.units, stored.named)
            mixture.status_ = em.Status[stored.status]
            if stored.sampler is not None:
                mixture._sampler = generator_at(stored.sampler)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"{path} holds what this version of bayesgmm does not know: {error}.") from None
        for name, value in stored.attributes.items():
            setattr(mixture, name, value)
        mixture.lower_bounds_ = stored.lower_bounds
        mixture.lower_bound_ = stored.lower_bounds[-1] if stored.lower_bounds else float("nan")
        return mixture

    @property
    def _named(self) -> bool:
        """Whether the names are the table's own."""
        return "feature_names_in_" in vars(self)

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

    def _set_parameters(self, parameters: MixtureParameters, family: CovarianceFamily) -> None:
        self._parameters = parameters
        self.weights_ = parameters.weights
        self.means_ = parameters.means
        self.covariances_ = family.pack(parameters.covariances)
        U = parameters.precision_cholesky
        self.precisions_cholesky_ = family.pack(U)
        self.precisions_ = family.pack(U @ np.swapaxes(U, -1, -2))
        self.n_parameters_ = family.n_parameters(*parameters.means.shape)
        for name in ("noise_weight_", "noise_background_"):
            self.__dict__.pop(name, None)
        if parameters.noise is not None:
            self.n_parameters_ += 1
            self.noise_weight_ = float(parameters.noise.weight)
            self.noise_background_ = parameters.noise.background

    @classmethod
    def _of(
        cls,
        parameters: MixtureParameters,
        settings: dict[str, Any],
        names: tuple[str, ...],
        units: tuple[str, ...],
        named: bool,
    ) -> Self:
        """Return a mixture that was never fitted here."""
        mixture = cls(**{**settings, "n_components": parameters.n_components})
        mixture.n_features_in_ = parameters.n_features
        if named:
            mixture.feature_names_in_ = np.asarray(names, dtype=object)
        mixture._feature_names, mixture._units = names, units
        mixture._sampler = np.random.default_rng()
        mixture._set_parameters(parameters, covariance_family(mixture.covariance_type))
        mixture.status_, mixture.converged_, mixture.admissible_ = em.Status.CONVERGED, True, True
        mixture.n_iter_, mixture.lower_bound_, mixture.lower_bounds_ = 0, float("nan"), []
        return mixture


def _tells_how_it_ended(name: str) -> bool:
    """Whether an attribute is about the fit, rather than about the parameters or the features."""
    derived = ("n_features_in_", "n_parameters_", "lower_bound_", "noise_weight_")
    return name.endswith("_") and not name.startswith("_") and name not in derived
