"""Priors of a standard deviation."""

from __future__ import annotations

from dataclasses import dataclass

from bayesgmm.priors.value import Numbers, Value, numbers, positive


@dataclass(frozen=True, slots=True)
class LogNormal(Value):
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
        self._set(mu=numbers("mu", self.mu, (0, 1)), sigma=positive("sigma", self.sigma, (0, 1)))


@dataclass(frozen=True, slots=True)
class InverseGamma(Value):
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
        self._set(alpha=positive("alpha", self.alpha, (0, 1)), beta=positive("beta", self.beta, (0, 1)))


@dataclass(frozen=True, slots=True)
class HalfNormal(Value):
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
        self._set(sigma=positive("sigma", self.sigma, (0, 1)))
