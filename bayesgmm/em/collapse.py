"""A component that lost its spread: the error, the warning, and the rows that it holds."""

from bayesgmm.data.observations import Observations
from bayesgmm.em.answers import most_probable
from bayesgmm.mixture.parameters import MixtureParameters


class CollapseError(ValueError):
    """A component lost its spread and no floor holds it.

    Attributes
    ----------
    component : int
    parameters : MixtureParameters or None
        The last whole mixture, in standard coordinates: its memberships name the rows.
    """

    def __init__(self, message: str, component: int, parameters: MixtureParameters | None = None) -> None:
        super().__init__(message)
        self.component = component
        self.parameters = parameters


class CollapseWarning(UserWarning):
    """A component of the chosen fit describes a few equal rows rather than a cluster."""


def with_rows(error: CollapseError, observations: Observations) -> CollapseError:
    """Return the same error, naming the rows the component held when it was last whole."""
    if error.parameters is None:
        return error
    labels = most_probable(observations, observations.from_standard(error.parameters))
    rows = observations.name_rows(labels == error.component)
    return CollapseError(
        f"{error} Its rows: {rows}. Use fewer components, another start, a simpler `covariance_type`, or a "
        "positive `reg_covar`.",
        error.component,
        error.parameters,
    )


def rows_on_floor(observations: Observations, parameters: MixtureParameters, floored: tuple[int, ...]) -> str:
    """Name the rows of each component that the floor holds, for a message.

    Parameters
    ----------
    parameters : MixtureParameters
        In the units of the data.
    floored : tuple of int
        The components.
    """
    labels = most_probable(observations, parameters)
    return "; ".join(f"component {k}: {observations.name_rows(labels == k)}" for k in floored)
