"""Numbers of a prior filled in from the data, and brought to the shape of the family."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.em.families import FAMILIES, CovarianceFamily, check_dimension, covariance_family
from bayesgmm.priors.covariances import LKJ, CovariancePrior, Decomposed, InverseWishart, RandomScale
from bayesgmm.priors.location import Beta, Dirichlet, Normal
from bayesgmm.priors.scales import LogNormal
from bayesgmm.priors.value import Numbers, PriorError, as_tuples

SMALLEST_CORRELATION_EIGENVALUE = 1e-6
SHRINKAGE = 0.01
RICHARDSON_GREEN_SHAPE = 0.2
VOLUME_SIGMA, SHAPE_SIGMA = 1.0, 0.5**0.5


class Summary(NamedTuple):
    """What defaults are computed from: mean (D,), covariance (D, D), and the range of each feature (D,) where known."""

    mean: np.ndarray
    covariance: np.ndarray
    ranges: np.ndarray | None


def summary(data: Observations | tuple[Any, Any]) -> Summary:
    """Summarise the rows, or take (mean, covariance) as they are."""
    if isinstance(data, Observations):
        rows = data.values if data.weights is None else data.values[data.weights > 0]
        ranges = np.nanmax(rows, axis=0) - np.nanmin(rows, axis=0)
        return Summary(data.shift, data.covariance(), ranges.astype(np.float64))
    mean, covariance = (np.asarray(part, dtype=np.float64) for part in data)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise PriorError(f"(mean, covariance) must be (D,) and (D, D), received {mean.shape} and {covariance.shape}.")
    return Summary(mean, covariance, None)


def resolve_weights(prior: Dirichlet | None, K: int) -> Dirichlet:
    """Give the concentration shape (K,)."""
    return Dirichlet(_expand("concentration", (prior or Dirichlet(1.0)).concentration, (K,)))


def resolve_noise(prior: Beta | None, noise: bool) -> Beta | None:
    """Fill in the default where there is noise; None where there is none."""
    return (prior or Beta(1.0, 9.0)) if noise else None


def resolve_means(prior: Normal | None, data: Summary, K: int) -> Normal:
    """Give mu and sigma shape (D,) or (K, D)."""
    D = len(data.mean)
    prior = prior or Normal(as_tuples(data.mean), as_tuples(2.0 * np.sqrt(np.diagonal(data.covariance))))
    return Normal(_expand_means("mu", prior.mu, K, D), _expand_means("sigma", prior.sigma, K, D))


def resolve_covariances(prior: CovariancePrior | None, data: Summary, K: int, covariance_type: str) -> CovariancePrior:
    """Fill in the default of the family, and give every number its shape."""
    family = covariance_family(covariance_type)
    D = len(data.mean)
    check_dimension(family, D)
    name = family.name
    if not family.linear:
        if not isinstance(prior, Decomposed | None):
            raise PriorError(
                f"{name!r} shares volume, shape or orientation between components: its prior of the covariances is "
                f"Decomposed(volume, shape, eta), received {prior!r}."
            )
        return _resolve_decomposed(prior or Decomposed(), data, K, family)
    # an InverseWishart or LKJ prior speaks of a matrix, of a variance per feature, or of one variance
    ndim = family.moments.ndim
    if isinstance(prior, Decomposed):
        decomposed = ", ".join(other.name for other in FAMILIES.values() if not other.linear)
        raise PriorError(
            f"`Decomposed` is for {decomposed}; {name!r} takes an InverseWishart or an LKJ prior of the covariances."
        )
    prior = prior or _default_inverse_wishart(data.covariance, K, ndim)
    if isinstance(prior, LKJ):
        shape = () if ndim == 0 else (D,)
        expanded = {f.name: _expand(f.name, getattr(prior.sd, f.name), shape) for f in fields(prior.sd)}
        return LKJ(prior.eta, type(prior.sd)(**expanded))
    lowest = D - 1 if ndim == 2 else 0
    if not prior.dof > lowest:
        raise PriorError(f"`dof` must be more than {lowest} for {name!r} in {D} dimensions, received {prior.dof}.")
    if isinstance(prior.scale, RandomScale):
        return InverseWishart(prior.dof, _resolve_scale(prior.scale, prior.dof, data, ndim, name))
    return InverseWishart(prior.dof, _expand_matrix("scale", prior.scale, D, ndim, name))


def _resolve_scale(prior: RandomScale, dof: float, data: Summary, ndim: int, name: str) -> RandomScale:
    D = len(data.mean)
    lowest = (D - 1) / 2 if ndim == 2 else 0.0
    shape = lowest + RICHARDSON_GREEN_SHAPE if prior.shape is None else prior.shape
    if not shape > lowest:
        raise PriorError(f"`shape` must be more than {lowest:g} for {name!r} in {D} dimensions, received {shape}.")
    rate = prior.rate
    if rate is None:
        if data.ranges is None:
            raise PriorError("`rate` must be given here: its default needs the range of the rows, not their moments.")
        squares = data.ranges**2 if ndim else (data.ranges**2).mean()
        rate = as_tuples(100.0 * shape / (dof * squares))
    return RandomScale(shape, _expand_matrix("rate", rate, D, ndim, name))


def _resolve_decomposed(prior: Decomposed, data: Summary, K: int, family: CovarianceFamily) -> Decomposed:
    D, sd, name = len(data.mean), np.sqrt(np.diagonal(data.covariance)), family.name
    # otherwise shapes are of the axes, whose variances say nothing of the features'
    of_features = family.per_column
    if (volume := prior.volume) is None:
        log_volume = np.log(sd).mean()
        if not family.diagonal:
            log_volume += 0.5 * np.linalg.slogdet(regular(data.covariance) / np.outer(sd, sd))[1] / D
        volume = LogNormal(float(log_volume - np.log(K) / D), VOLUME_SIGMA)
    numbers = {
        f.name: _expand(f.name, getattr(volume, f.name), (), f"of the volume of {name!r} ") for f in fields(volume)
    }
    shape = prior.shape
    if shape is None and of_features:
        shape = LogNormal(as_tuples(np.log(sd)), SHAPE_SIGMA)
    elif shape is None:
        # axes as unequal as those of the data must be no surprise, in whatever units the features are
        log_axes = 0.5 * np.log(np.linalg.eigvalsh(regular(data.covariance)))
        shape = LogNormal(0.0, float(np.hypot(SHAPE_SIGMA, log_axes.std(ddof=1) if D > 1 else 0.0)))
    whose = f"of the shape of {name!r} "
    return Decomposed(
        type(volume)(**numbers),
        LogNormal(
            _expand("mu", shape.mu, (D,) if of_features else (), whose), _expand("sigma", shape.sigma, (), whose)
        ),
        prior.eta,
    )


def regular(covariance: np.ndarray) -> np.ndarray:
    """Shrink correlations (D, D) by 1 % where the matrix is singular or nearly so."""
    sd = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(sd, sd)
    if np.linalg.eigvalsh(correlation)[0] < SMALLEST_CORRELATION_EIGENVALUE:
        correlation = (1.0 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(len(sd))
    return correlation * np.outer(sd, sd)


def _default_inverse_wishart(covariance: np.ndarray, K: int, ndim: int) -> InverseWishart:
    D, variances = len(covariance), np.diagonal(covariance)
    shared_volume = K ** (-2.0 / D)
    if ndim < 2:
        return InverseWishart(3.0, as_tuples(shared_volume * (variances if ndim == 1 else variances.mean())))
    scale = shared_volume * regular(covariance)
    return InverseWishart(D + 2.0, as_tuples(0.5 * (scale + scale.T)))


def _expand_matrix(name: str, value: Numbers, D: int, ndim: int, family: str) -> Numbers:
    """Bring a number, a diagonal or a matrix to `ndim` dimensions of length D."""
    array = np.asarray(value)
    if ndim == 2 and array.ndim < 2:
        array = np.diag(np.asarray(_expand(name, value, (D,))))
    if ndim == 1 and array.ndim == 2:
        if np.count_nonzero(array - np.diag(np.diagonal(array))):
            raise PriorError(f"`{name}` has off-diagonal elements, which {family!r} has no use for: pass its diagonal.")
        array = np.diagonal(array)
    return _expand(name, as_tuples(array), (D,) * ndim)


def _expand(name: str, value: Numbers, shape: tuple[int, ...], whose: str = "") -> Numbers:
    array = np.asarray(value)
    if array.shape not in ((), shape):
        wanted = f"a number or have shape {shape}" if shape else "one number here"
        raise PriorError(f"`{name}` {whose}must be {wanted}, received shape {array.shape}.")
    return as_tuples(np.broadcast_to(array, shape))


def _expand_means(name: str, value: Numbers, K: int, D: int) -> Numbers:
    shape = np.shape(value)
    if shape not in ((), (D,), (K, D)):
        raise PriorError(f"`{name}` of the means must be a number, ({D},) or ({K}, {D}), received shape {shape}.")
    return value if len(shape) else (value,) * D
