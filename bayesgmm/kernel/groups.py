"""Rows in groups that are looked at together: those that miss the same features, or have one error covariance."""

from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, inverse_cholesky

UNKNOWN = -1
"""Label of a row whose component is not known."""


SHARED_ERROR_ROWS = 64
"""An error covariance makes groups of its own when rows share it by this many on average, or more."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows that hide the same part of the complete data.

    Attributes
    ----------
    rows : (B,) int64
        Which rows of the observations.
    seen : tuple of int
        Features that they have.
    component : int
        Their known component, or `UNKNOWN`.
    error : (P, P) float64 or None
        Their common error covariance in those features, in squared standard coordinates.
    errors : (B, P) or (B, P, P) float64 or None
        Error variances or covariances of rows that have their own.
    observations : Observations
        The rows as complete rows of the features seen, from the same shift and scale.
    """

    rows: np.ndarray
    seen: tuple[int, ...]
    component: int
    error: np.ndarray | None
    errors: np.ndarray | None
    observations: Observations

    def mixture(self, parameters: MixtureParameters) -> MixtureParameters:
        """Mixture of what is seen: of the known component alone, without noise, where it is known.

        In standard coordinates. Of rows with errors of their own, that of all features.
        """
        if self.component != UNKNOWN:
            only = slice(self.component, self.component + 1)
            parameters = MixtureParameters(
                np.exp(parameters.log_shares[..., only]),
                parameters.means[..., only, :],
                parameters.covariances[..., only, :, :],
                parameters.precision_cholesky[..., only, :, :],
            )
        if self.errors is not None:
            return parameters
        if self.error is None and len(self.seen) == parameters.n_features:
            return parameters
        seen = np.asarray(self.seen)
        covariances = parameters.covariances[..., seen[:, None], seen]
        if self.error is not None:
            covariances = covariances + self.error
        return MixtureParameters(
            parameters.weights,
            parameters.means[..., seen],
            covariances,
            inverse_cholesky(covariances),
            self.noise(parameters),
        )

    def noise(self, parameters: MixtureParameters) -> Noise | None:
        """Noise in what is seen; none where the component is known."""
        if parameters.noise is None or self.component != UNKNOWN:
            return None
        return parameters.noise.marginal(self.seen)


def groups(observations: Observations) -> tuple[Group, ...]:
    """Find the groups of the rows, once for the life of the observations."""
    return observations.remember("groups", lambda: tuple(_find_groups(observations)))


def _find_groups(observations: Observations) -> list[Group]:
    n, D = observations.values.shape
    seen = np.ones((n, D), dtype=bool) if observations.missing is None else ~observations.missing
    labels = np.full(n, UNKNOWN) if observations.known_labels is None else observations.known_labels
    keys = np.concatenate([seen, labels[:, None]], axis=1).astype(np.int64)
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    found = []
    for position, kind in enumerate(kinds):
        rows = np.flatnonzero(which.ravel() == position)
        features, component = tuple(int(j) for j in np.flatnonzero(kind[:D])), int(kind[D])
        found += _split_by_error(observations, rows, features, component)
    return found


def _split_by_error(observations: Observations, rows: np.ndarray, seen: tuple[int, ...], component: int) -> list[Group]:
    if observations.errors is None:
        return [Group(rows, seen, component, None, None, _seen_rows(observations, rows, seen))]
    o = np.asarray(seen)
    errors = observations.errors[rows]
    errors = (errors[:, o] if errors.ndim == 2 else errors[:, o[:, None], o]) / observations.scale**2
    distinct, which = np.unique(errors.reshape(len(rows), -1), axis=0, return_inverse=True)
    if len(distinct) * SHARED_ERROR_ROWS > len(rows) and len(distinct) > 1:
        return [Group(rows, seen, component, None, errors, _seen_rows(observations, rows, seen))]
    found = []
    for position, values in enumerate(distinct):
        some = rows[which.ravel() == position]
        matrix = np.diag(values) if errors.ndim == 2 else values.reshape(len(o), len(o))
        common = matrix if matrix.any() else None
        found.append(Group(some, seen, component, common, None, _seen_rows(observations, some, seen)))
    return found


def _seen_rows(observations: Observations, rows: np.ndarray, seen: tuple[int, ...]) -> Observations:
    o = list(seen)
    taken = observations.take(rows)
    return replace(
        taken,
        values=np.ascontiguousarray(taken.values[:, o]),
        shift=observations.shift[o],
        variances=observations.variances[o],
        feature_names=tuple(observations.feature_names[j] for j in o),
        units=tuple(observations.units[j] for j in o),
        missing=None,
        errors=None,
        known_labels=None,
    )
