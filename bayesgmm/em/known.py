"""A mixture of known parameters with its names, as a value: what an estimator holds, is made of and is kept as.

Everything that follows from one, a marginal or a conditional, is one again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayesgmm.data.tables import default_names
from bayesgmm.em.families import CovarianceFamily, covariance_family
from bayesgmm.em.solver import Status
from bayesgmm.mixture.conditioning import condition
from bayesgmm.mixture.features import given_values, positions
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, ParameterError
from bayesgmm.mixture.quantiles import cumulative
from bayesgmm.mixture.quantiles import quantile as invert

ENDING = (
    *("converged_", "admissible_", "n_iter_", "n_starts_", "n_starts_ended_", "n_starts_at_best_"),
    "label_names_",
)
"""Attributes that say how a fit ended, beside its status and its lower bounds."""

NOT_ALWAYS = ("feature_names_in_", "noise_weight_", "noise_background_")
"""Attributes that a mixture has or has not."""


def _never_fitted() -> dict[str, Any]:
    return {"converged_": True, "admissible_": True, "n_iter_": 0}


@dataclass(frozen=True, slots=True, eq=False)
class KnownMixture:
    """A mixture of known parameters.

    Attributes
    ----------
    parameters : MixtureParameters
        One mixture, in the units of the data.
    settings : dict
        Arguments of the estimator; `covariance_type` is one.
    feature_names, units : tuple of D str
    named : bool
        Whether the names are the table's own.
    status : Status
    ending : dict
        How the fit ended besides: the attributes `ENDING`, as far as there are such.
    lower_bounds : list of float
        Log-likelihood per unit of weight at each E-step.
    sampler : numpy.random.Generator or None
        What `sample` draws from; None is one without a seed.
    """

    parameters: MixtureParameters
    settings: Mapping[str, Any]
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    named: bool
    status: Status = Status.CONVERGED
    ending: Mapping[str, Any] = field(default_factory=_never_fitted)
    lower_bounds: list[float] = field(default_factory=list)
    sampler: np.random.Generator | None = None

    @property
    def family(self) -> CovarianceFamily:
        """The covariance family that the settings name."""
        return covariance_family(self.settings["covariance_type"])

    @property
    def seeded(self) -> bool:
        """Whether a seed decides what `sample` draws."""
        return self.settings.get("random_state") is not None

    @property
    def lower_bound(self) -> float:
        """The last of the lower bounds; NaN where there is none."""
        return self.lower_bounds[-1] if self.lower_bounds else float("nan")


def from_parameters(
    weights: Any,
    means: Any,
    covariances: Any,
    covariance_type: str,
    names: Sequence[str] | None = None,
    noise: Noise | None = None,
) -> KnownMixture:
    """Check given numbers and names, as `GaussianMixture.from_parameters` takes them.

    Raises
    ------
    ParameterError, ValueError
        When they are no mixture, or no names of its features.
    """
    family = covariance_family(covariance_type)
    means = np.asarray(means, dtype=np.float64)
    if means.ndim != 2:
        raise ParameterError(f"`means` must have shape (K, D); received {means.shape}.")
    K, D = means.shape
    covariances = family.unpack(np.asarray(covariances, dtype=np.float64), K, D)
    parameters = MixtureParameters.from_covariances(np.asarray(weights), means, covariances)
    feature_names = default_names(D) if names is None else tuple(names)
    if not len(feature_names) == len(set(feature_names)) == D or not all(
        isinstance(name, str) for name in feature_names
    ):
        raise ValueError(f"`feature_names` must be {D} distinct texts; received {list(feature_names)}.")
    settings: dict[str, Any] = {"covariance_type": covariance_type}
    if noise is not None:
        if noise.background.n_features != D or not 0 <= noise.weight <= 1:
            raise ParameterError(
                f"`noise` must have a share in [0, 1] and a background of {D} features; received "
                f"{float(noise.weight):g} and {noise.background.n_features}."
            )
        parameters, settings["noise"] = replace(parameters, noise=noise), noise.background
    return KnownMixture(parameters, settings, feature_names, ("",) * D, names is not None)


def attributes(mixture: KnownMixture) -> dict[str, Any]:
    """Attributes of the estimator that holds a mixture: matrices are in the shape of its family."""
    parameters, family = mixture.parameters, mixture.family
    U = parameters.precision_cholesky
    K, D = parameters.means.shape
    held = {
        "_parameters": parameters,
        "_feature_names": mixture.feature_names,
        "_units": mixture.units,
        "_sampler": np.random.default_rng() if mixture.sampler is None else mixture.sampler,
        "n_features_in_": D,
        "weights_": parameters.weights,
        "means_": parameters.means,
        "covariances_": family.pack(parameters.covariances),
        "precisions_cholesky_": family.pack(U),
        "precisions_": family.pack(U @ np.swapaxes(U, -1, -2)),
        "status_": mixture.status,
        "lower_bounds_": mixture.lower_bounds,
        "lower_bound_": mixture.lower_bound,
    }
    if mixture.named:
        held["feature_names_in_"] = np.asarray(mixture.feature_names, dtype=object)
    free = {"weights": K - 1, "means": K * D, "covariances": family.n_covariance_parameters(K, D)}
    if parameters.noise is not None:
        free["weights"] += 1
        held["noise_weight_"] = float(parameters.noise.weight)
        held["noise_background_"] = parameters.noise.background
    held["n_parameters_"] = sum(n for name, n in free.items() if name not in mixture.settings.get("frozen", ()))
    return held | dict(mixture.ending)


def held_by(attributes: Mapping[str, Any], settings: Mapping[str, Any]) -> KnownMixture:
    """Give the mixture that an estimator of these attributes and settings holds."""
    return KnownMixture(
        attributes["_parameters"],
        settings,
        attributes["_feature_names"],
        attributes["_units"],
        "feature_names_in_" in attributes,
        attributes["status_"],
        {name: attributes[name] for name in ENDING if name in attributes},
        attributes["lower_bounds_"],
        attributes["_sampler"],
    )


def marginal(known: KnownMixture, features: Any) -> KnownMixture:
    """See the mixture in some of its features, by name or position, in this order."""
    chosen = positions(known.feature_names, [features] if isinstance(features, str | int) else list(features))
    return _derived(known, known.parameters.marginal(chosen), known.family.scikit_learn_name, chosen)


def conditional(known: KnownMixture, values: Mapping[Any, float]) -> KnownMixture:
    """See the mixture in the features that are not given, where the others have these values."""
    given, numbers = given_values(known.feature_names, values)
    rest = [j for j in range(known.parameters.n_features) if j not in given]
    return _derived(known, condition(known.parameters, given, numbers), "full", rest)


def _derived(
    known: KnownMixture, parameters: MixtureParameters, covariance_type: str, features: list[int]
) -> KnownMixture:
    """Give a mixture of some of the features that follows from another, and shares its fate."""
    names, units = (tuple(of[j] for j in features) for of in (known.feature_names, known.units))
    fate = {name: known.ending[name] for name in ("converged_", "admissible_")}
    return KnownMixture(
        parameters,
        {"covariance_type": covariance_type},
        names,
        units,
        known.named,
        known.status,
        _never_fitted() | fate,
        # a stream of its own, that a seed decides and that takes nothing from the other's
        sampler=None if known.sampler is None else known.sampler.spawn(1)[0],
    )


def cdf(known: KnownMixture, x: Any) -> np.ndarray:
    """P(X <= x) of a mixture in one feature, in the shape of x."""
    parameters, x = _one_feature(known, "cdf"), np.asarray(x, dtype=np.float64)
    if np.isnan(x).any():
        raise ValueError("`x` holds NaN: give numbers, or infinity.")
    return cumulative(parameters, x.reshape(-1)).reshape(x.shape)


def quantile(known: KnownMixture, q: Any) -> np.ndarray:
    """Invert `cdf`: the x with P(X <= x) = q, in the shape of q."""
    parameters, q = _one_feature(known, "quantile"), np.asarray(q, dtype=np.float64)
    outside = ~((q >= 0) & (q <= 1))
    if outside.any():
        raise ValueError(f"`q` must be probabilities in [0, 1]; received {q[outside][0]}.")
    return invert(parameters, q.reshape(-1)).reshape(q.shape)


def _one_feature(known: KnownMixture, method: str) -> MixtureParameters:
    names = known.feature_names
    if len(names) != 1:
        raise ValueError(
            f"`{method}` needs one feature, this mixture has {len(names)} ({', '.join(names)}): "
            f"take a marginal first, as in `mixture.marginal([{names[0]!r}]).{method}(...)`."
        )
    return known.parameters
