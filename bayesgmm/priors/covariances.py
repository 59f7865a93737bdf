"""Priors of the covariances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesgmm.priors.scales import HalfNormal, InverseGamma, LogNormal
from bayesgmm.priors.value import Numbers, PriorError, Value, numbers, positive

SD_PRIORS = LogNormal | InverseGamma | HalfNormal


@dataclass(frozen=True, slots=True)
class RandomScale(Value):
    """scale ~ Gamma(shape, rate), one for all components: the scale of an inverse-Wishart, learned from the data.

    Where the scale is a number for each variance ("diag", "spherical", "EII", "EEI", and one feature) its elements are
    independent, scale_j ~ Gamma(shape, rate_j). In D dimensions ("full", "tied") it is a matrix of the matrix gamma
    law, density proportional to ``|scale|^(shape - (D + 1)/2) exp(-tr(rate scale))``: Wishart(2 shape, (2 rate)^-1),
    with mean shape rate^-1, and Gamma(shape, rate) for D = 1.

    In the notation of Richardson & Green (sigma_k^-2 ~ Gamma(alpha, beta), beta ~ Gamma(g, h)) alpha is dof / 2, beta
    is scale / 2, g is `shape` and h is 2 `rate`; in that of Stephens (Sigma_k^-1 ~ Wishart(2 alpha, (2 beta)^-1),
    beta ~ Wishart(2 g, (2 h)^-1)) too.

    Parameters
    ----------
    shape : float, optional
        More than (D - 1)/2 for a matrix, positive otherwise. Default 0.2 + (D - 1)/2 for a matrix, 0.2 otherwise:
        Richardson & Green's g. Stephens takes g = 0.3 for D = 2, which is no proper law: it needs more than 0.5.
    rate : float, (D,) or (D, D), in one over squared units of the data, optional
        (D,) is a diagonal, and a number that number times the identity. Default 100 shape / (dof R_j^2), with R_j the
        range of feature j: their h = 100 g / (alpha R_j^2). A component's standard deviation is then about R_j / 10
        a priori. "spherical" and "EII" take the mean of the R_j^2.

    References
    ----------
    Richardson & Green (1997), Journal of the Royal Statistical Society B 59, 731-792, sections 2.3 and 2.4.
    Stephens (2000), Annals of Statistics 28, 40-74, section 4 (his thesis of 1997, chapter 3).
    """

    shape: float | None = None
    rate: Numbers | None = None

    def __post_init__(self) -> None:
        """Check."""
        shape = None if self.shape is None else positive("shape", self.shape, (0,))
        rate = None if self.rate is None else positive_definite("rate", self.rate)
        self._set(shape=shape, rate=rate)


@dataclass(frozen=True, slots=True)
class InverseWishart(Value):
    """Sigma ~ InverseWishart(dof, scale), density ~ ``|Sigma|^-((dof + D + 1)/2) exp(-tr(scale Sigma^-1)/2)``.

    Its mean is scale / (dof - D - 1). "full" has one Sigma for each component, "tied" one for all. Where a family has
    variances only, this is its one-dimensional form, InverseGamma(dof / 2, scale / 2) on a variance: "diag" has one
    for each component and feature, with scale_jj, "EEI" one for each feature, "spherical" one for each component and
    "EII" one. The same holds for D = 1.

    Parameters
    ----------
    dof : float
        Degrees of freedom: more than D - 1 for "full" and "tied", positive for the others.
    scale : float, (D,) or (D, D), in squared units of the data; or RandomScale
        Symmetric positive definite; (D,) is its diagonal, and a number that number times the identity. "diag" and
        "EEI" take no off-diagonal elements, and "spherical" and "EII" take one number. `RandomScale` gives it a prior
        of its own.
    """

    dof: float
    scale: Numbers | RandomScale

    def __post_init__(self) -> None:
        """Check."""
        scale = self.scale if isinstance(self.scale, RandomScale) else positive_definite("scale", self.scale)
        self._set(dof=positive("dof", self.dof, (0,)), scale=scale)


@dataclass(frozen=True, slots=True)
class LKJ(Value):
    """Sigma = diag(sd) R diag(sd) with R ~ LKJ(eta), density proportional to ``|R|^(eta - 1)``, and sd ~ `sd`.

    In one dimension, and for "diag", "spherical", "EII" and "EEI", there are no correlations: `eta` is unused and this
    is the prior `sd` on each standard deviation.

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
    sd: SD_PRIORS

    def __post_init__(self) -> None:
        """Check."""
        if not isinstance(self.sd, SD_PRIORS):
            raise PriorError(
                f"`sd` must be a LogNormal, an InverseGamma or a HalfNormal, received {self.sd!r}: "
                "for example LKJ(2.0, sd=LogNormal(mu, sigma))."
            )
        self._set(eta=positive("eta", self.eta, (0,)))


@dataclass(frozen=True, slots=True)
class Decomposed(Value):
    """Sigma_k = lambda_k D_k A_k D_k^T: independent priors on volume, shape and orientation.

    For the families that share some of the three between components and vary others: VEI, EVI, VEE, EVV, EEV, VEV,
    EVE, VVE (Celeux & Govaert 1995). What a letter E shares is drawn once, what V varies once for each component.

    Volume. ``lambda = |Sigma|^(1/D)``, and sqrt(lambda) ~ `volume`: the geometric mean of the standard deviations.

    Shape. The standard deviations relative to their geometric mean, sqrt(a_j) = s_j / (prod_i s_i)^(1/D) with
    s_j ~ `shape`, log-normal: log sqrt(a) is a normal vector that sums to zero. They belong to features in VEI, EVI,
    VEE and EVV, and to principal axes in EEV, VEV (where they are sorted, the longest axis first) and EVE, VVE (where
    they are not: components may differ in which of the common axes is the longest).

    Orientation. None in VEI and EVI. In VEE and EVV the correlations R ~ LKJ(`eta`), and Sigma is
    diag(s) R diag(s) brought to volume lambda. In EEV, VEV, EVE and VVE the axes D_k are uniform over all rotations
    (Haar's measure).

    Parameters
    ----------
    volume : LogNormal, InverseGamma or HalfNormal, in the units of the data, optional
        Default ``LogNormal(log(|S|^(1/(2D)) K^(-1/D)), 1)``, with S the covariance of the data (its diagonal for VEI
        and EVI): the median is that of K components that share the volume of the data, and 95 % lie within a factor of
        seven. Its density vanishes at zero faster than any power.
    shape : LogNormal, optional
        `mu` (D,) or one number, of which only differences count, `sigma` one number. Default sigma = sqrt(1/2), with
        mu_j the log standard deviation of feature j: the ratio of two standard deviations is log-normal about that of
        the data, 95 % within a factor of seven. For principal axes mu is one number, without effect, because axes are
        alike; the default sigma is sqrt(1/2 + s^2), with s the standard deviation (divisor D - 1) of the log standard
        deviations along the principal axes of the data, so that axes as unequal as those of the data are no surprise.
    eta : float, positive
        1 (default) is uniform over correlation matrices. Used by VEE and EVV only.

    References
    ----------
    Celeux & Govaert (1995), Pattern Recognition 28, 781-793. Banfield & Raftery (1993), Biometrics 49, 803-821.
    """

    volume: SD_PRIORS | None = None
    shape: LogNormal | None = None
    eta: float = 1.0

    def __post_init__(self) -> None:
        """Check."""
        if self.volume is not None and not isinstance(self.volume, SD_PRIORS):
            raise PriorError(
                f"`volume` must be a LogNormal, an InverseGamma or a HalfNormal, received {self.volume!r}."
            )
        if self.shape is not None and not isinstance(self.shape, LogNormal):
            raise PriorError(f"`shape` must be a LogNormal, received {self.shape!r}.")
        self._set(eta=positive("eta", self.eta, (0,)))


CovariancePrior = InverseWishart | LKJ | Decomposed


def positive_definite(name: str, value: object) -> Numbers:
    """Check a positive number, the diagonal or the whole of a symmetric positive definite matrix."""
    checked = numbers(name, value, (0, 1, 2))
    matrix = np.asarray(checked)
    if matrix.ndim == 2 and (matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T, 1e-10, 0.0)):
        raise PriorError(f"`{name}` must be a symmetric matrix, received {value!r}.")
    variances = np.diagonal(matrix) if matrix.ndim == 2 else matrix
    if not (variances > 0).all():
        raise PriorError(f"`{name}` must be positive definite, received {value!r}.")
    if matrix.ndim == 2 and not np.linalg.eigvalsh(matrix / np.sqrt(np.outer(variances, variances)))[0] > 0:
        raise PriorError(f"`{name}` must be positive definite, received {value!r}.")
    return checked
