"""Priors of a mixture as frozen values: numbers in the units of the data, exact in JSON, resolved once from the data.

May import NumPy and the nouns only; `bayesgmm.parametrisation` turns these values into random variables.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from bayesgmm.covariance import covariance_family
from bayesgmm.observations import Observations

Numbers = float | tuple[Any, ...]
"""A number, or nested tuples of numbers: what an array becomes in a value that is frozen and survives JSON."""

SCALE_NDIM = {"full": 2, "tied": 2, "diag": 1, "spherical": 0}
"""Dimensions of what the covariance prior of a family speaks of: a matrix, a variance per feature, one variance."""

SMALLEST_CORRELATION_EIGENVALUE = 1e-6
SHRINKAGE = 0.01


class PriorError(ValueError):
    """A prior that cannot be used; the message names the argument."""


def _numbers(name: str, value: Any, ndims: tuple[int, ...]) -> Numbers:
    """Check `value` and turn it into nested tuples of float."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise PriorError(f"`{name}` must be a number or an array of numbers, received {value!r}.") from None
    if array.ndim not in ndims:
        raise PriorError(
            f"`{name}` must have {' or '.join(str(n) for n in ndims)} dimensions, received shape {array.shape}."
        )
    if array.size == 0 or not np.isfinite(array).all():
        raise PriorError(f"`{name}` must hold finite numbers, received {value!r}.")
    return as_tuples(array)


def _positive(name: str, value: Any, ndims: tuple[int, ...]) -> Numbers:
    """Check that `value` is positive too."""
    numbers = _numbers(name, value, ndims)
    if not (np.asarray(numbers) > 0).all():
        raise PriorError(f"`{name}` must be positive, received {value!r}.")
    return numbers


def as_tuples(array: Any) -> Numbers:
    """Nested tuples of float from an array, or a float from a number."""
    array = np.asarray(array, dtype=np.float64)
    return float(array) if array.ndim == 0 else tuple(as_tuples(part) for part in array)


class _Value:
    """What the priors share: a JSON form made of their fields."""

    __slots__ = ()

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Form for JSON: the kind, then the fields."""
        return {"kind": type(self).__name__, **{f.name: _to_json(getattr(self, f.name)) for f in fields(self)}}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Dirichlet(_Value):
    """weights ~ Dirichlet(concentration).

    Parameters
    ----------
    concentration : float or (K,), positive
        1 is uniform over the simplex. Below 1 favours empty components.
    """

    concentration: Numbers

    def __post_init__(self) -> None:
        """Check."""
        self._set(concentration=_positive("concentration", self.concentration, (0, 1)))


@dataclass(frozen=True, slots=True)
class Normal(_Value):
    """means_kj ~ Normal(mu_j, sigma_j), independent.

    Parameters
    ----------
    mu : float, (D,) or (K, D), in the units of the data
    sigma : float, (D,) or (K, D), positive, in the units of the data
    """

    mu: Numbers
    sigma: Numbers

    def __post_init__(self) -> None:
        """Check."""
        self._set(mu=_numbers("mu", self.mu, (0, 1, 2)), sigma=_positive("sigma", self.sigma, (0, 1, 2)))


@dataclass(frozen=True, slots=True)
class InverseWishart(_Value):
    """Sigma ~ InverseWishart(dof, scale), density proportional to |Sigma|^-(dof + D + 1)/2 exp(-tr(scale Sigma^-1)/2).

    Its mean is scale / (dof - D - 1). "full" has one Sigma for each component, "tied" one for all. Where a family has
    variances only, this is its one-dimensional form, InverseGamma(dof / 2, scale / 2) on a variance: "diag" has one
    for each component and feature, with scale_jj, "spherical" one for each component. The same holds for D = 1.

    Parameters
    ----------
    dof : float
        Degrees of freedom: more than D - 1 for "full" and "tied", positive for "diag" and "spherical".
    scale : float, (D,) or (D, D), in squared units of the data
        Symmetric positive definite; (D,) is its diagonal, and a number that number times the identity. "diag" takes
        no off-diagonal elements, and "spherical" takes one number.
    """

    dof: float
    scale: Numbers

    def __post_init__(self) -> None:
        """Check."""
        scale = _numbers("scale", self.scale, (0, 1, 2))
        matrix = np.asarray(scale)
        if matrix.ndim == 2 and (matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, 1e-10, 0.0)):
            raise PriorError(f"`scale` must be a symmetric matrix, received {self.scale!r}.")
        variances = np.diagonal(matrix) if matrix.ndim == 2 else matrix
        if not (variances > 0).all():
            raise PriorError(f"`scale` must be positive definite, received {self.scale!r}.")
        if matrix.ndim == 2 and not np.linalg.eigvalsh(matrix / np.sqrt(np.outer(variances, variances)))[0] > 0:
            raise PriorError(f"`scale` must be positive definite, received {self.scale!r}.")
        self._set(dof=_positive("dof", self.dof, (0,)), scale=scale)


@dataclass(frozen=True, slots=True)
class LogNormal(_Value):
    """log sd ~ Normal(mu, sigma): `mu` is the log of the median standard deviation, in the units of the data.

    Parameters
    ----------
    mu : float or (D,)
    sigma : float or (D,), positive, without unit
    """

    mu: Numbers
    sigma: Numbers

    def __post_init__(self) -> None:
        """Check."""
        self._set(mu=_numbers("mu", self.mu, (0, 1)), sigma=_positive("sigma", self.sigma, (0, 1)))


@dataclass(frozen=True, slots=True)
class InverseGamma(_Value):
    """sd ~ InverseGamma(alpha, beta), on the standard deviation itself, not on the variance.

    Parameters
    ----------
    alpha : float or (D,), positive, without unit
    beta : float or (D,), positive, in the units of the data
    """

    alpha: Numbers
    beta: Numbers

    def __post_init__(self) -> None:
        """Check."""
        self._set(alpha=_positive("alpha", self.alpha, (0, 1)), beta=_positive("beta", self.beta, (0, 1)))


@dataclass(frozen=True, slots=True)
class HalfNormal(_Value):
    """sd ~ HalfNormal(sigma). Where values repeat in the data this leaves the posterior *improper* for K >= 2.

    Its density does not vanish at zero, and m equal rows alone in a component integrate to a divergent
    integral of sd^(1 - m) p(sd). Use `LogNormal` or `InverseGamma` when the data were rounded.

    Parameters
    ----------
    sigma : float or (D,), positive, in the units of the data
    """

    sigma: Numbers

    def __post_init__(self) -> None:
        """Check."""
        self._set(sigma=_positive("sigma", self.sigma, (0, 1)))


@dataclass(frozen=True, slots=True)
class LKJ(_Value):
    """Sigma = diag(sd) R diag(sd) with R ~ LKJ(eta), density proportional to |R|^(eta - 1), and sd ~ `sd`.

    In one dimension, and for "diag" and "spherical", there are no correlations: `eta` is unused and this is the prior
    `sd` on each standard deviation.

    Parameters
    ----------
    eta : float, positive
        1 is uniform over correlation matrices; more favours weak correlations.
    sd : LogNormal, InverseGamma or HalfNormal
        Prior of each standard deviation; (D,) hyperparameters give each feature its own.

    References
    ----------
    Lewandowski, Kurowicka & Joe (2009), Journal of Multivariate Analysis 100, 1989-2001.
    """

    eta: float
    sd: LogNormal | InverseGamma | HalfNormal

    def __post_init__(self) -> None:
        """Check."""
        if not isinstance(self.sd, LogNormal | InverseGamma | HalfNormal):
            raise PriorError(
                f"`sd` must be a LogNormal, an InverseGamma or a HalfNormal, received {self.sd!r}: "
                "for example LKJ(2.0, sd=LogNormal(mu, sigma))."
            )
        self._set(eta=_positive("eta", self.eta, (0,)))


KINDS: dict[str, type[_Value]] = {
    kind.__name__: kind for kind in (Dirichlet, Normal, InverseWishart, LKJ, LogNormal, InverseGamma, HalfNormal)
}


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior of a mixture: weights, means and covariances, independent of each other.

    Parameters
    ----------
    weights : Dirichlet, optional
        Default ``Dirichlet(1)``: uniform over the simplex.
    means : Normal, optional
        Default ``Normal(column means, 2 column standard deviations)``: a priori each mean lies, with probability
        0.95, within four standard deviations of the data's centre, well beyond the data but not out of their sight.
        Follows the data under a shift and a scale of any column.
    covariances : InverseWishart or LKJ, optional
        Default ``InverseWishart(D + 2, S / K^(2/D))``, whose mean is S / K^(2/D), with S the covariance of the data:
        K components that share the volume of the data (Fraley & Raftery 2007, section 3). D + 2 is the fewest whole
        degrees of freedom that have a mean. Its density vanishes at singular matrices faster than any power, so that
        the posterior is proper also when rows repeat. "diag": the same in one dimension for each feature, dof 3 and
        scale S_jj / K^(2/D); "spherical": one for each component, dof 3 and scale tr(S) / D / K^(2/D). Where S is
        singular or nearly so (smallest eigenvalue of the correlation matrix below 1e-6), its correlations are shrunk
        by 1 %.

    References
    ----------
    Fraley & Raftery (2007), Journal of Classification 24, 155-181.

    Examples
    --------
    >>> from bayesgmm import priors
    >>> prior = priors.Prior(means=priors.Normal(70.0, 20.0))
    >>> resolved = prior.resolve(([70.9], [[184.8]]), n_components=2, covariance_type="full")
    >>> resolved.means
    Normal(mu=(70.0,), sigma=(20.0,))
    >>> resolved.covariances
    InverseWishart(dof=3.0, scale=((46.2,),))
    >>> priors.Prior.from_dict(resolved.to_dict()) == resolved
    True
    """

    weights: Dirichlet | None = None
    means: Normal | None = None
    covariances: InverseWishart | LKJ | None = None

    _ALLOWED: ClassVar[dict[str, tuple[type, ...]]] = {
        "weights": (Dirichlet,),
        "means": (Normal,),
        "covariances": (InverseWishart, LKJ),
    }

    def __post_init__(self) -> None:
        """Check the kind of each part."""
        for name, allowed in self._ALLOWED.items():
            part = getattr(self, name)
            if part is not None and not isinstance(part, allowed):
                kinds = " or ".join(kind.__name__ for kind in allowed)
                raise PriorError(f"the prior of the {name} must be {kinds}, or None; received {part!r}.")

    def resolve(self, data: Observations | tuple[Any, Any], n_components: int, covariance_type: str) -> Prior:
        """Fill in every number and check every shape.

        Parameters
        ----------
        data : Observations, or (mean, covariance)
            What the defaults are computed from: (D,) and (D, D), in the units of the data.
        n_components : int
        covariance_type : str

        Returns
        -------
        Prior
            Parts are never None, weights are (K,), means (D,) or (K, D), and the numbers of the covariances have the
            shape of the family. Resolving it again changes nothing.

        Raises
        ------
        PriorError
            Naming the argument whose shape does not fit K, D or the family.
        """
        if (family := covariance_family(covariance_type).name) not in SCALE_NDIM:
            raise ValueError(f"`covariance_type` {family!r} is for EM only; {[*SCALE_NDIM]} can be sampled.")
        mean, covariance = _moments(data)
        K, D = int(n_components), len(mean)
        means = self.means or Normal(as_tuples(mean), as_tuples(2.0 * np.sqrt(np.diagonal(covariance))))
        covariances = self.covariances or _default_covariances(covariance, K, SCALE_NDIM[family])
        return Prior(
            weights=Dirichlet(_expand("concentration", (self.weights or Dirichlet(1.0)).concentration, (K,))),
            means=Normal(_expand_means("mu", means.mu, K, D), _expand_means("sigma", means.sigma, K, D)),
            covariances=_resolve_covariances(covariances, D, family),
        )

    def to_dict(self) -> dict[str, Any]:
        """Form for JSON; None stays None."""
        return {name: _to_json(getattr(self, name)) for name in self._ALLOWED}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Prior:
        """Give back the prior that `to_dict` was called on, exactly."""
        return cls(**{name: _from_json(data.get(name)) for name in cls._ALLOWED})


def _to_json(value: Any) -> Any:
    if isinstance(value, _Value):
        return value.to_dict()
    return [_to_json(part) for part in value] if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        kind = KINDS.get(value.get("kind", ""))
        if kind is None:
            raise PriorError(f"a prior's `kind` must be one of {', '.join(KINDS)}; received {value.get('kind')!r}.")
        return kind(**{name: _from_json(part) for name, part in value.items() if name != "kind"})
    return tuple(_from_json(part) for part in value) if isinstance(value, list) else value


def _moments(data: Observations | tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(data, Observations):
        return data.shift, data.covariance()
    mean, covariance = (np.asarray(part, dtype=np.float64) for part in data)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise PriorError(f"(mean, covariance) must be (D,) and (D, D), received {mean.shape} and {covariance.shape}.")
    return mean, covariance


def _default_covariances(covariance: np.ndarray, K: int, ndim: int) -> InverseWishart:
    D, sd = len(covariance), np.sqrt(np.diagonal(covariance))
    shared_volume = K ** (-2.0 / D)
    if ndim < 2:
        return InverseWishart(3.0, shared_volume * (sd**2 if ndim == 1 else (sd**2).mean()))
    correlation = covariance / np.outer(sd, sd)
    if np.linalg.eigvalsh(correlation)[0] < SMALLEST_CORRELATION_EIGENVALUE:
        correlation = (1.0 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(D)
    scale = shared_volume * correlation * np.outer(sd, sd)
    return InverseWishart(D + 2.0, 0.5 * (scale + scale.T))


def _resolve_covariances(prior: InverseWishart | LKJ, D: int, family: str) -> InverseWishart | LKJ:
    ndim = SCALE_NDIM[family]
    if isinstance(prior, LKJ):
        shape = () if ndim == 0 else (D,)
        expanded = {f.name: _expand(f.name, getattr(prior.sd, f.name), shape) for f in fields(prior.sd)}
        return LKJ(prior.eta, type(prior.sd)(**expanded))
    lowest = D - 1 if ndim == 2 else 0
    if not prior.dof > lowest:
        raise PriorError(f"`dof` must be more than {lowest} for {family!r} in {D} dimensions, received {prior.dof}.")
    scale = np.asarray(prior.scale)
    if ndim == 2 and scale.ndim < 2:
        scale = np.diag(np.asarray(_expand("scale", prior.scale, (D,))))
    if ndim == 1 and scale.ndim == 2:
        if np.count_nonzero(scale - np.diag(np.diagonal(scale))):
            raise PriorError(f"`scale` has off-diagonal elements, which {family!r} has no use for: pass its diagonal.")
        scale = np.diagonal(scale)
    return InverseWishart(prior.dof, _expand("scale", as_tuples(scale), (D,) * ndim))


def _expand(name: str, value: Numbers, shape: tuple[int, ...]) -> Numbers:
    array = np.asarray(value)
    if array.shape not in ((), shape):
        wanted = f"a number or have shape {shape}" if shape else "one number here"
        raise PriorError(f"`{name}` must be {wanted}, received shape {array.shape}.")
    return as_tuples(np.broadcast_to(array, shape))


def _expand_means(name: str, value: Numbers, K: int, D: int) -> Numbers:
    shape = np.shape(value)
    if shape not in ((), (D,), (K, D)):
        raise PriorError(f"`{name}` of the means must be a number, ({D},) or ({K}, {D}), received shape {shape}.")
    return value if len(shape) else (value,) * D
