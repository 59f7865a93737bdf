"""Priors of the weights, of the share of noise and of the means."""

from __future__ import annotations

from dataclasses import dataclass

from bayesgmm.priors.value import Numbers, Value, numbers, positive


@dataclass(frozen=True, slots=True)
class Dirichlet(Value):
    """weights ~ Dirichlet(concentration).

    Parameters
    ----------
    concentration : float or (K,), positive
        1 is uniform over the simplex. Below 1 favours empty components.
    """

    concentration: Numbers

    def __post_init__(self) -> None:
        """Check."""
        self._set(concentration=positive("concentration", self.concentration, (0, 1)))


@dataclass(frozen=True, slots=True)
class Beta(Value):
    """noise_weight ~ Beta(alpha, beta), the share of the rows that are noise.

    Parameters
    ----------
    alpha, beta : float, positive
        Mean alpha / (alpha + beta), worth alpha + beta rows. ``Beta(1, 9)`` is "a tenth, weakly": most probable near
        none, mean 0.1, and 0.95 of it below 0.28.

    Examples
    --------
    >>> Beta(1, 9).mean
    0.1
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        """Check."""
        self._set(alpha=positive("alpha", self.alpha, (0,)), beta=positive("beta", self.beta, (0,)))

    @property
    def mean(self) -> float:
        """Share of noise expected a priori."""
        return self.alpha / (self.alpha + self.beta)


@dataclass(frozen=True, slots=True)
class Normal(Value):
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
        self._set(mu=numbers("mu", self.mu, (0, 1, 2)), sigma=positive("sigma", self.sigma, (0, 1, 2)))
