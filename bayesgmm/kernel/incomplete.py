"""Rows that hide a part of the complete data: missing values, measurement errors, known components.

The complete data of a row are its component and its exact values of every feature. Rows that hide the same part make a
*group*: they see the same features, with the same error covariance, and have the same known component, or none. Given
what is seen, with T_k = Sigma_k,oo + E, the hidden values are affine in it,

    E[x | y, k] = A_k y + c_k,   A_k = Sigma_k,.o T_k^-1,   c_k = mu_k - A_k mu_k,o,
    Cov[x | y, k] = Sigma_k - A_k Sigma_k,o.

(Little & Rubin 2019, section 11.2; Bovy, Hogg & Roweis 2011), so that a group costs one pass of the complete-data
kernel over what is seen, under the mixture of what is seen, and its statistics S1, S2 become those of the complete data
by a map of K small matrices. A known component leaves one component to pass over. Rows that each have an error
covariance of their own go through `kernel.errors`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from bayesgmm.data.observations import Observations, row_slices
from bayesgmm.kernel import complete
from bayesgmm.kernel.complete import with_noise
from bayesgmm.kernel.errors import ErrorForm
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters, inverse_cholesky
from bayesgmm.tools.threads import over_threads

UNKNOWN = -1
"""Label of a row whose component is not known."""

SHARED_ERROR_ROWS = 64
"""An error covariance makes groups of its own when rows share it by this many on average, or more."""

ERROR_BLOCK_FLOATS = 2**18
"""Numbers in the largest array of a block of rows with errors of their own."""


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
        noise = None if parameters.noise is None else parameters.noise.marginal(seen)
        return MixtureParameters(
            parameters.weights, parameters.means[..., seen], covariances, inverse_cholesky(covariances), noise
        )


_GROUPS: WeakKeyDictionary[Observations, tuple[Group, ...]] = WeakKeyDictionary()


def groups(observations: Observations) -> tuple[Group, ...]:
    """Find the groups of the rows, once for the life of the observations."""
    if observations not in _GROUPS:
        _GROUPS[observations] = tuple(_find_groups(observations))
    return _GROUPS[observations]


def expected_statistics(
    observations: Observations, parameters: MixtureParameters, *, diagonal: bool = False
) -> SufficientStatistics:
    """One E-step: the expected sufficient statistics of the complete data, given what is seen.

    Parameters
    ----------
    observations : Observations
    parameters : MixtureParameters
        One mixture, in the standard coordinates of `observations`.
    diagonal : bool
        Whether only the diagonal of S2 is wanted.
    """
    K, D = parameters.means.shape
    log_likelihood, N, S1, S2, noise = 0.0, np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D)), 0.0
    for group in groups(observations):
        chosen = slice(None) if group.component == UNKNOWN else slice(group.component, group.component + 1)
        mixture = group.mixture(parameters)
        if group.errors is not None:
            sums = _row_by_row(group, mixture)
        else:
            seen = complete.expected_statistics(group.observations, mixture)
            sums = (seen.log_likelihood, seen.N, *_complete(seen, parameters, chosen, group, mixture))
        log_likelihood += sums[0]
        N[chosen] += sums[1]
        S1[chosen] += sums[2]
        S2[chosen] += sums[3]
        if mixture.noise is not None:
            noise += max(0.0, group.observations.total_weight - float(sums[1].sum()))
    if diagonal:
        S2 = np.ascontiguousarray(np.diagonal(S2, axis1=1, axis2=2))
    return SufficientStatistics(log_likelihood, N, S1, S2, observations.shift, observations.scale, noise)


def for_each_block(
    function: Callable[[np.ndarray, np.ndarray], None], observations: Observations, parameters: MixtureParameters
) -> None:
    """Call `function(rows, log_joint)` on every block; see `complete.for_each_block`. `rows` is an array of indices."""
    K = parameters.n_components if parameters.noise is None else parameters.n_components + 1
    for group in groups(observations):

        def scatter(block: slice, log_joint: np.ndarray, group: Group = group) -> None:
            if group.component != UNKNOWN:
                whole = np.full((*log_joint.shape[:-2], K, log_joint.shape[-1]), -np.inf)
                whole[..., group.component, :] = log_joint[..., 0, :]
                log_joint = whole
            function(group.rows[block], log_joint)

        if group.errors is None:
            standard = group.mixture(observations.to_standard(parameters))
            complete.for_each_block(scatter, group.observations, group.observations.from_standard(standard))
            continue
        mixture = group.mixture(observations.to_standard(parameters))
        flat = mixture.flat()
        forms = [ErrorForm(flat[s], list(group.seen)) for s in range(len(flat.weights))]
        assert group.errors is not None
        for rows in _error_slices(group, flat.n_components):
            y, errors = _standard_rows(group, rows), group.errors[rows]
            log_joint = np.stack([form.log_joint(y, errors) for form in forms]) - group.observations.log_jacobian
            log_joint = log_joint.reshape(*mixture.batch_shape, *log_joint.shape[1:])
            if mixture.noise is not None:
                density = _background_density(group, mixture.noise)
                log_joint = with_noise(log_joint, mixture.noise, density[rows] if density.ndim else density)
            scatter(rows, log_joint)


def _complete(
    seen: SufficientStatistics, parameters: MixtureParameters, chosen: slice, group: Group, mixture: MixtureParameters
) -> tuple[np.ndarray, np.ndarray]:
    """S1 (K, D) and S2 (K, D, D) of the complete data, from those of what is seen."""
    means, sigma = parameters.means[chosen], parameters.covariances[chosen]
    if mixture.n_features == parameters.n_features and group.error is None:
        return seen.S1, seen.S2
    o = list(group.seen)
    U = mixture.precision_cholesky
    A = sigma[:, :, o] @ (U @ np.swapaxes(U, -1, -2))
    if group.error is None:
        # exact where a feature is seen exactly
        A[:, o] = np.eye(len(o))
    c = means - (A @ means[:, o, None])[..., 0]
    remaining = sigma - A @ sigma[:, o]
    if group.error is None:
        remaining[:, o], remaining[:, :, o] = 0.0, 0.0
    remaining = 0.5 * (remaining + np.swapaxes(remaining, -1, -2))
    fitted = (A @ seen.S1[..., None])[..., 0]
    cross = fitted[:, :, None] * c[:, None, :]
    N = seen.N[:, None, None]
    S2 = A @ seen.S2 @ np.swapaxes(A, -1, -2) + cross + np.swapaxes(cross, -1, -2)
    S2 += N * (c[:, :, None] * c[:, None, :] + remaining)
    return fitted + seen.N[:, None] * c, S2


def _row_by_row(group: Group, mixture: MixtureParameters) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    form, errors = ErrorForm(mixture, list(group.seen)), group.errors
    assert errors is not None
    noise, in_noise = mixture.noise, None
    if noise is not None:
        density = _background_density(group, noise) + float(noise.log_weight) + group.observations.log_jacobian
        in_noise = np.broadcast_to(density, len(group.rows))

    def one_block(rows: slice) -> tuple:
        weights = group.observations.block_weights(rows)
        background = None if in_noise is None else in_noise[rows]
        return form.expected_statistics(_standard_rows(group, rows), errors[rows], weights, background)

    results = over_threads(one_block, _error_slices(group, mixture.n_components))
    observations = group.observations
    total = sum(result[0] for result in results) - observations.total_weight * observations.log_jacobian
    return total, *(sum(result[i] for result in results) for i in (1, 2, 3))


def _background_density(group: Group, noise: Noise) -> np.ndarray:
    """Log density of the noise at what is seen: noise is uniform in the values as they were measured."""
    return complete.background_density(group.observations, noise.background.marginal(group.seen))


def _error_slices(group: Group, K: int) -> list[slice]:
    """Slices of a group whose rows have errors of their own, short enough for `ERROR_BLOCK_FLOATS`."""
    P = len(group.seen)
    return row_slices(len(group.rows), max(64, ERROR_BLOCK_FLOATS // (K * P * P)))


def _standard_rows(group: Group, rows: slice) -> np.ndarray:
    """Standardised values (P, B) of some rows of a group."""
    return group.observations.standard_block(rows, np.empty((len(group.seen), rows.stop - rows.start)))


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
