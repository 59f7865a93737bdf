"""Priors of the weights and of the means."""

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
