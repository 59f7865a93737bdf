"""Rows in every draw of a posterior, block by block, as the compiled sweeps of `compiled.over_draws` read them."""

from collections.abc import Callable

import numpy as np

from bayesgmm.data.background import background_density
from bayesgmm.data.observations import Observations
from bayesgmm.kernel.forms import NaturalForm, choose_form
from bayesgmm.kernel.natural import write_features
from bayesgmm.kernel.passes import for_each_block
from bayesgmm.mixture.noise import Noise
from bayesgmm.mixture.parameters import MixtureParameters
from bayesgmm.tools.threads import over_threads

BLOCK_ROWS = 512
"""Rows that a thread takes at once: some tiles of the sweep, so that threads end at nearly the same time."""

OUTSIDE = -1e300
"""Log density outside a background: finite, since minus infinity times a feature that is zero would be NaN."""

Sweep = Callable[[slice | np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


def sweep_blocks(function: Sweep, observations: Observations, parameters: MixtureParameters) -> None:
    """Call `function(rows, eta, features, log_joint)` on every block, from several threads.

    The numbers given for a row do not depend on the number of threads.

    Parameters
    ----------
    function : callable
        Receives the rows, a slice or an array of indices, and what the log joint densities in the units of the data are
        made of: coefficients (S K, F) and features (F, B), whose product they are, where the conditioning allows it and
        rows are complete; else log_joint (S, K, B), and features with F = 0. With noise, K is one more, and the noise
        the last of each draw. It writes what it makes of them where no other block writes.
    parameters : MixtureParameters
        Batch shape (S,), in the units of the data.
    """
    form = None if observations.incomplete else choose_form(observations.to_standard(parameters))
    nothing = np.empty((0, 0))
    if not isinstance(form, NaturalForm):
        for_each_block(lambda rows, log_joint: function(rows, nothing, nothing, log_joint), observations, parameters)
        return
    eta = form.eta.copy()
    eta[..., 0] -= observations.log_jacobian
    outside = None
    if parameters.noise is not None:
        density = background_density(observations, parameters.noise.background)
        outside = np.isneginf(density) if density.ndim else None
        eta = _with_noise(eta, parameters.noise, with_outside=outside is not None)
    eta = eta.reshape(-1, eta.shape[-1])
    unused = np.empty((0, 0, 0))

    def one(start: int) -> None:
        rows = slice(start, min(start + BLOCK_ROWS, observations.n_rows))
        features = np.empty((eta.shape[1], rows.stop - start))
        observations.standard_block(rows, features[1 : form.D + 1])
        write_features(features[: form.F], form.D, form.moments)
        if outside is not None:
            features[-1] = outside[rows]
        function(rows, eta, features, unused)

    over_threads(one, range(0, observations.n_rows, BLOCK_ROWS))


def _with_noise(eta: np.ndarray, noise: Noise, *, with_outside: bool) -> np.ndarray:
    """Coefficients with those of the noise after them, (S, K + 1, F): a constant, and `OUTSIDE` times a last feature.

    That feature is one outside of the background; it is left out where no row is there.
    """
    S, K, F = eta.shape
    whole = np.zeros((S, K + 1, F + with_outside))
    whole[:, :K, :F] = eta
    # an empty noise is out of reach by a finite distance too
    whole[:, K, 0] = np.maximum(noise.log_weight, OUTSIDE) - noise.background.log_volume
    if with_outside:
        whole[:, K, F] = OUTSIDE
    return whole
