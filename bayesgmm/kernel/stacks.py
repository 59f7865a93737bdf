"""Groups of rows that see as many features, looked at together: one array where a loop over groups would do the same.

A group may have few rows, and there may be hundreds: what is done for each of them, however few its rows, is then most
of a pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched

import numpy as np

from bayesgmm.data.observations import Observations
from bayesgmm.kernel.groups import UNKNOWN, Group, groups
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.parameters import MixtureParameters, inverse_cholesky

MOST_GROUPS = 64
"""Groups of one stack: more gain nothing, and take memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """G groups that see P features each, all with a known component or none, all with a common error or none.

    Attributes
    ----------
    groups : tuple of Group
    seen : (G, P) int64
        Features that the groups see.
    components : (G,) int64 or None
        Known components.
    errors : (G, P, P) float64 or None
        Common error covariances, in squared standard coordinates.
    """

    groups: tuple[Group, ...]
    seen: np.ndarray
    components: np.ndarray | None
    errors: np.ndarray | None

    @classmethod
    def of(cls, groups: Sequence[Group]) -> "Stack":
        """Stack groups that are alike."""
        first = groups[0]
        return cls(
            tuple(groups),
            np.array([group.seen for group in groups]),
            None if first.component == UNKNOWN else np.array([group.component for group in groups]),
            None if first.error is None else np.stack([group.error for group in groups if group.error is not None]),
        )

    @property
    def exact(self) -> bool:
        """Whether values that are seen are seen without error."""
        return self.errors is None

    def mixtures(self, parameters: MixtureParameters) -> MixtureParameters:
        """Mixtures of what is seen, batch shape (G,), in standard coordinates; noise is in the weights only.

        Of a known component, that component alone.
        """
        shares = parameters.weights if parameters.noise is None else np.exp(parameters.log_shares)
        G, P = self.seen.shape
        k, here = self._places(parameters)
        weights, means = np.broadcast_to(shares[k], (G, k.shape[1])), parameters.means[k[..., None], here]
        if self.exact and P == parameters.n_features:
            return MixtureParameters(weights, means, parameters.covariances[k], parameters.precision_cholesky[k])
        covariances = parameters.covariances[k[..., None, None], here[..., None], here[..., None, :]]
        if self.errors is not None:
            covariances = covariances + self.errors[:, None]
        return MixtureParameters(weights, means, covariances, inverse_cholesky(covariances))

    def completed(
        self, seen: Sequence[SufficientStatistics], mixtures: MixtureParameters, parameters: MixtureParameters
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """S1 (K, D), and S2 (K, D, D) or its diagonals (K, D), of the complete data, group by group.

        The map from those of what is seen is linear and, where components share a covariance, has one A_k: sums over
        components are enough.
        """
        S1, S2 = np.stack([one.S1 for one in seen]), np.stack([one.S2 for one in seen])
        if not self.exact or self.seen.shape[1] < parameters.n_features:
            N = np.stack([one.N for one in seen])
            complete = self._matrices if S2.ndim == 4 else self._diagonals
            S1, S2 = complete(N, S1, S2, mixtures, parameters)
        return zip(S1, S2, strict=True)

    def _places(self, parameters: MixtureParameters) -> tuple[np.ndarray, np.ndarray]:
        """Which components, (1, K) or (G, 1), and which features of theirs, (G, 1, P)."""
        known = self.components
        return np.arange(parameters.n_components)[None] if known is None else known[:, None], self.seen[:, None]

    def _matrices(
        self,
        N: np.ndarray,
        S1: np.ndarray,
        S2: np.ndarray,
        mixtures: MixtureParameters,
        parameters: MixtureParameters,
    ) -> tuple[np.ndarray, np.ndarray]:
        k, here = self._places(parameters)
        means, sigma = parameters.means[k], parameters.covariances[k]
        everywhere = np.arange(parameters.n_features)
        # Sigma_k,.o
        cross = parameters.covariances[k[..., None, None], everywhere[:, None], here[..., None, :]]
        U = mixtures.precision_cholesky
        A = cross @ (U @ np.swapaxes(U, -1, -2))
        group = np.arange(len(self.seen))[:, None]
        if self.exact:
            # to the last digit where a feature is seen exactly
            A[group, :, self.seen] = np.eye(self.seen.shape[1])[:, None]
        c = means - (A @ mixtures.means[..., None])[..., 0]
        remaining = sigma - A @ np.swapaxes(cross, -1, -2)
        if self.exact:
            remaining[group, :, self.seen] = 0.0
            remaining[group, :, :, self.seen] = 0.0
        remaining = 0.5 * (remaining + np.swapaxes(remaining, -1, -2))
        fitted = (A @ S1[..., None])[..., 0]
        both = fitted[..., :, None] * c[..., None, :]
        S2 = A @ S2 @ np.swapaxes(A, -1, -2) + both + np.swapaxes(both, -1, -2)
        S2 += N[..., None, None] * (c[..., :, None] * c[..., None, :] + remaining)
        return fitted + N[..., None] * c, S2

    def _diagonals(
        self,
        N: np.ndarray,
        S1: np.ndarray,
        S2: np.ndarray,
        mixtures: MixtureParameters,
        parameters: MixtureParameters,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where no feature says anything of another, A_k is diagonal too."""
        k, here = self._places(parameters)
        means, N = parameters.means[k], N[..., None]
        variances = parameters.covariances.diagonal(axis1=1, axis2=2)[k]
        a, sums, squares = np.zeros((3, *S1.shape[:2], parameters.n_features))
        known = 1.0
        if self.errors is not None:
            known = np.take_along_axis(variances, here, axis=2) / mixtures.covariances.diagonal(axis1=2, axis2=3)
        np.put_along_axis(a, here, known, axis=2)
        np.put_along_axis(sums, here, S1, axis=2)
        np.put_along_axis(squares, here, S2, axis=2)
        c = (1.0 - a) * means
        fitted = a * sums
        return fitted + N * c, a**2 * squares + 2.0 * fitted * c + N * (c**2 + (1.0 - a) * variances)


def stacks(observations: Observations) -> tuple[Stack, ...]:
    """Stack the groups whose rows have no errors of their own, once for the life of the observations."""
    return observations.remember("stacks", lambda: tuple(_stacked(observations)))


def _stacked(observations: Observations) -> Iterator[Stack]:
    alike: dict[tuple[int, bool, bool], list[Group]] = {}
    for group in groups(observations):
        if group.errors is None:
            kind = len(group.seen), group.component == UNKNOWN, group.error is None
            alike.setdefault(kind, []).append(group)
    for groups_alike in alike.values():
        for some in batched(groups_alike, MOST_GROUPS):
            yield Stack.of(some)
