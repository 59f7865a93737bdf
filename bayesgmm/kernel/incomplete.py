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

from collections.abc import Callable, Iterator

import numpy as np

from bayesgmm.data.background import background_density
from bayesgmm.data.checks import row_slices
from bayesgmm.data.observations import Observations
from bayesgmm.kernel import complete
from bayesgmm.kernel.complete import with_noise
from bayesgmm.kernel.errors import ErrorForm
from bayesgmm.kernel.forms import choose_forms, enough
from bayesgmm.kernel.groups import UNKNOWN, Group, groups
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.stacks import stacks
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
    K, D = parameters.means.shape
    log_likelihood, N, S1, noise = 0.0, np.zeros(K), np.zeros((K, D)), 0.0
    S2 = np.zeros((K, D) if moments.diagonal else (K, D, D))
    for group, seen, S1_group, S2_group in _by_group(observations, parameters, moments):
        chosen = slice(None) if group.component == UNKNOWN else slice(group.component, group.component + 1)
        log_likelihood += seen.log_likelihood
        noise += seen.noise
        N[chosen] += seen.N
        S1[chosen] += S1_group
        S2[chosen] += S2_group if S2_group.ndim == S2.ndim else np.diagonal(S2_group, axis1=1, axis2=2)
    return SufficientStatistics(log_likelihood, N, S1, S2, observations.shift, observations.scale, noise)


def _by_group(
    observations: Observations, parameters: MixtureParameters, moments: Moments
) -> Iterator[tuple[Group, SufficientStatistics, np.ndarray, np.ndarray]]:
    """Statistics of what each group sees, and S1 and S2 of its complete data, of the components that it may be of."""
    needed = enough(moments, parameters)
    for stack in stacks(observations):
        mixtures = stack.mixtures(parameters)
        # errors may be correlated where the features of the mixture are not
        asked = enough(needed, mixtures)
        noises = [group.noise(parameters) for group in stack.groups]
        of_all_rows = None
        if asked.pooled and parameters.noise is None:
            of_all_rows = [complete.moments_of_all_rows(group.observations, asked) for group in stack.groups]
        forms = choose_forms(mixtures, asked, of_all_rows)
        seen = [
            complete.statistics_by(form, group.observations, noise)
            for form, group, noise in zip(forms, stack.groups, noises, strict=True)
        ]
        for group, found, sums in zip(stack.groups, seen, stack.completed(seen, mixtures, parameters), strict=True):
            yield group, found, *sums
    for group in groups(observations):
        if group.errors is not None:
            found = _row_by_row(group, group.mixture(parameters))
            yield group, found, found.S1, found.S2


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


def _row_by_row(group: Group, mixture: MixtureParameters) -> SufficientStatistics:
    """Statistics of the complete data of rows with errors of their own."""
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
    rows = group.observations
    total = sum(result[0] for result in results) - rows.total_weight * rows.log_jacobian
    N, S1, S2 = (sum(result[i] for result in results) for i in (1, 2, 3))
    expected = 0.0 if noise is None else max(0.0, rows.total_weight - float(N.sum()))
    return SufficientStatistics(total, N, S1, S2, rows.shift, rows.scale, expected)


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
