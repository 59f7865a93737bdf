"""The prior of a whole mixture: its parts, filled in from the data once, and its form in JSON.

May import NumPy, the families and the nouns only; `bayesgmm.model.families` turns these values into random variables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.priors.covariances import LKJ, CovariancePrior, Decomposed, InverseWishart, RandomScale
from bayesgmm.priors.location import Beta, Dirichlet, Normal
from bayesgmm.priors.resolution import (
    resolve_covariances,
    resolve_means,
    resolve_noise,
    resolve_weights,
    summary,
)
from bayesgmm.priors.scales import HalfNormal, InverseGamma, LogNormal
from bayesgmm.priors.value import PriorError, Value, to_json

KINDS: dict[str, type[Value]] = {
    kind.__name__: kind
    for kind in (
        Dirichlet, Beta, Normal, InverseWishart, RandomScale, LKJ, Decomposed, LogNormal, InverseGamma, HalfNormal
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prior:
    """Prior of a mixture: weights, means, covariances, share of noise, independent.

    Parameters
    ----------
    weights : Dirichlet, optional
        Default ``Dirichlet(1)``: uniform over the simplex.
    means : Normal, optional
        Default ``Normal(column means, 2 column standard deviations)``: a priori each mean lies, with probability
        0.95, within four standard deviations of the data's centre, well beyond the data but not out of their sight.
        Follows the data under a shift and a scale of any column.
    covariances : InverseWishart, LKJ or Decomposed, optional
        InverseWishart and LKJ are for "full", "tied", "diag", "spherical", "EII", "EEI", "E" and "V"; `Decomposed` is
        for the other eight families, and with its own defaults their default. Elsewhere the default is
        ``InverseWishart(D + 2, S / K^(2/D))``, whose mean is S / K^(2/D), with S the covariance of the data: K
        components that share the volume of the data (Fraley & Raftery 2007, section 3). D + 2 is the fewest whole
        degrees of freedom that have a mean. Its density vanishes at singular matrices faster than any power, so that
        the posterior is proper also when rows repeat. "diag" and "EEI": the same in one dimension for each feature,
        dof 3 and scale S_jj / K^(2/D); "spherical" and "EII": dof 3 and scale tr(S) / D / K^(2/D). Where S is
        singular or nearly so (smallest eigenvalue of the correlation matrix below 1e-6), its correlations are shrunk
        by 1 %.
    noise : Beta, optional
        Of the share of the rows that are noise, where the mixture has noise. Default ``Beta(1, 9)``: a tenth, weakly.

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
    covariances: CovariancePrior | None = None
    noise: Beta | None = field(default=None, kw_only=True)

    _ALLOWED: ClassVar[dict[str, tuple[type, ...]]] = {
        "weights": (Dirichlet,),
        "means": (Normal,),
        "covariances": (InverseWishart, LKJ, Decomposed),
        "noise": (Beta,),
    }

    def __post_init__(self) -> None:
        """Check the kind of each part."""
        for name, allowed in self._ALLOWED.items():
            part = getattr(self, name)
            if part is not None and not isinstance(part, allowed):
                kinds = " or ".join(kind.__name__ for kind in allowed)
                raise PriorError(f"the prior of the {name} must be {kinds}, or None; received {part!r}.")

    def resolve(
        self, data: Observations | tuple[Any, Any], n_components: int, covariance_type: str, *, noise: bool = False
    ) -> Prior:
        """Fill in every number and check every shape.

        Parameters
        ----------
        data : Observations, or (mean, covariance)
            What the defaults are computed from: (D,) and (D, D), in the units of the data. The default rate of a
            `RandomScale` takes Observations.
        n_components : int
        covariance_type : str
        noise : bool
            Whether the mixture has a noise component.

        Returns
        -------
        Prior
            Parts are never None, but for that of the noise where there is none; weights are (K,), means (D,) or
            (K, D), and the numbers of the covariances have the shape of the family. Resolving it again changes nothing.

        Raises
        ------
        PriorError
            Naming the argument that does not fit K, D or the family.
        """
        moments = summary(data)
        K = int(n_components)
        return Prior(
            weights=resolve_weights(self.weights, K),
            means=resolve_means(self.means, moments, K),
            covariances=resolve_covariances(self.covariances, moments, K, covariance_type),
            noise=resolve_noise(self.noise, noise),
        )

    @property
    def exchangeable(self) -> bool:
        """Whether every relabelling of the components has the same prior: then the posterior is K! copies of itself."""
        concentration = np.asarray(self.weights.concentration if self.weights else 1.0)
        rows = [np.asarray(part) for part in ((self.means.mu, self.means.sigma) if self.means else ())]
        return bool(np.all(concentration == concentration.flat[0])) and all(
            part.ndim < 2 or bool(np.all(part == part[0])) for part in rows
        )

    def to_dict(self) -> dict[str, Any]:
        """Form for JSON; None stays None."""
        return {name: to_json(getattr(self, name)) for name in self._ALLOWED}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Prior:
        """Give back the prior that `to_dict` was called on, exactly."""
        return cls(**{name: _from_json(data.get(name)) for name in cls._ALLOWED})


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        kind = KINDS.get(value.get("kind", ""))
        if kind is None:
            raise PriorError(f"a prior's `kind` must be one of {', '.join(KINDS)}; received {value.get('kind')!r}.")
        return kind(**{name: _from_json(part) for name, part in value.items() if name != "kind"})
    return tuple(_from_json(part) for part in value) if isinstance(value, list) else value
