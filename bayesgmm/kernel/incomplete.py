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

import numpy as np

from bayesgmm.data.background import background_density
from bayesgmm.data.checks import row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.kernel import complete
from bayesgmm.kernel.complete import with_noise
from bayesgmm.kernel.errors import ErrorForm
from bayesgmm.kernel.forms import enough
from bayesgmm.kernel.groups import UNKNOWN, Group, groups
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.statistics import SufficientStatistics
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import over_threads

ERROR_BLOCK_FLOATS = 2**18
"""Numbers in the largest array of a block of rows with errors of their own."""


def expected_statistics(
    observations: Observations, parameters: MixtureParameters, moments: Moments = Moments.FULL
) -> SufficientStatistics:
    """One E-step: the expected sufficient statistics of the complete data, given what is seen.

    Parameters
    ----------
    observations : Observations
    parameters : MixtureParameters
        One mixture, in the standard coordinates of `observations`.
    moments : Moments
        What is needed of S2, by the form of the covariances. The covariances of what is seen are of that form too, and
        what is hidden is then filled in from the same moments of what is seen.
    """
    means, sigma = parameters.means, parameters.covariances
    K, D = means.shape
    needed = enough(moments, parameters)
    log_likelihood, N, S1, noise = 0.0, np.zeros(K), np.zeros((K, D)), 0.0
    S2 = np.zeros((K, D) if moments.diagonal else (K, D, D))
    for group in groups(observations):
        chosen = slice(None) if group.component == UNKNOWN else slice(group.component, group.component + 1)
        mixture = group.mixture(parameters)
        if group.errors is not None:
            sums = _row_by_row(group, mixture)
        else:
            # errors may be correlated where the mixture's features are not
            seen = complete.expected_statistics(group.observations, mixture, enough(needed, mixture))
            sums = seen.log_likelihood, seen.N, *_complete(seen, means[chosen], sigma[chosen], group, mixture)
        log_likelihood += sums[0]
        N[chosen] += sums[1]
        S1[chosen] += sums[2]
        S2[chosen] += sums[3] if sums[3].ndim == S2.ndim else np.diagonal(sums[3], axis1=1, axis2=2)
        if mixture.noise is not None:
            noise += max(0.0, group.observations.total_weight - float(sums[1].sum()))
    return SufficientStatistics(log_likelihood, N, S1, S2, observations.shift, observations.scale, noise)


def for_each_block(
    function: Callable[[np.ndarray, np.ndarray], None], observations: Observations, parameters: MixtureParameters
) -> None:
    """Call `function(rows, log_joint)` on every block; see `complete.for_each_block`. `rows` is an array of indices."""
    K = parameters.n_components if parameters.noise is None else parameters.n_components + 1
    standard = observations.to_standard(parameters)
    for group in groups(observations):

        def scatter(block: slice, log_joint: np.ndarray, group: Group = group) -> None:
            if group.component != UNKNOWN:
                whole = np.full((*log_joint.shape[:-2], K, log_joint.shape[-1]), -np.inf)
                whole[..., group.component, :] = log_joint[..., 0, :]
                log_joint = whole
            function(group.rows[block], log_joint)

        mixture = group.mixture(standard)
        if group.errors is None:
            complete.for_each_block_of(scatter, group.observations, mixture)
            continue
        flat = mixture.flat()
        forms = [ErrorForm(flat[s], list(group.seen)) for s in range(len(flat.weights))]
        for rows in _error_slices(group, flat.n_components):
            y, errors = _standard_rows(group, rows), group.errors[rows]
            log_joint = np.stack([form.log_joint(y, errors) for form in forms]) - group.observations.log_jacobian
            log_joint = log_joint.reshape(*mixture.batch_shape, *log_joint.shape[1:])
            if mixture.noise is not None:
                density = _background_density(group, mixture.noise)
                log_joint = with_noise(log_joint, mixture.noise, density[rows] if density.ndim else density)
            scatter(rows, log_joint)


def _complete(
    seen: SufficientStatistics, means: np.ndarray, sigma: np.ndarray, group: Group, mixture: MixtureParameters
) -> tuple[np.ndarray, np.ndarray]:
    """S1 (K, D), and S2 (K, D, D) or its diagonals (K, D), of the complete data, from those of what is seen.

    The map is linear in S1 and S2 and, where components share a covariance, has one A: sums over components are enough.
    """
    if mixture.n_features == means.shape[-1] and group.error is None:
        return seen.S1, seen.S2
    if seen.S2.ndim == 2:
        return _complete_diagonals(seen, means, sigma, group)
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


def _complete_diagonals(
    seen: SufficientStatistics, means: np.ndarray, sigma: np.ndarray, group: Group
) -> tuple[np.ndarray, np.ndarray]:
    """S1 and the diagonals of S2, (K, D) both, where no feature says anything of another: A_k is diagonal too."""
    o, N = list(group.seen), seen.N[:, None]
    variances = np.diagonal(sigma, axis1=1, axis2=2)
    a, S1, S2 = np.zeros((3, *means.shape))
    a[:, o] = 1.0 if group.error is None else variances[:, o] / (variances[:, o] + np.diagonal(group.error))
    S1[:, o], S2[:, o] = seen.S1, seen.S2
    c = (1.0 - a) * means
    fitted = a * S1
    return fitted + N * c, a**2 * S2 + 2.0 * fitted * c + N * (c**2 + (1.0 - a) * variances)


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
    return background_density(group.observations, noise.background.marginal(group.seen))


def _error_slices(group: Group, K: int) -> list[slice]:
    """Slices of a group whose rows have errors of their own, short enough for `ERROR_BLOCK_FLOATS`."""
    P = len(group.seen)
    return row_slices(len(group.rows), max(64, ERROR_BLOCK_FLOATS // (K * P * P)))


def _standard_rows(group: Group, rows: slice) -> np.ndarray:
    """Standardised values (P, B) of some rows of a group."""
    return group.observations.standard_block(rows, np.empty((len(group.seen), rows.stop - rows.start)))
