"""Rows in every draw of a posterior, block by block, as the compiled sweeps of `dispatch.draws` read them."""

from collections.abc import Callable

import numpy as np

from bayesgmm.blocks import for_each_block
from bayesgmm.kernel import NaturalForm, choose_form
from bayesgmm.kernel.natural import write_features
from bayesgmm.observations import Observations
from bayesgmm.parameters import MixtureParameters
from bayesgmm.threads import over_threads

BLOCK_ROWS = 512
"""Rows that a thread takes at once: some tiles of the sweep, so that threads end at nearly the same time."""

Sweep = Callable[[slice | np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


def sweep_blocks(function: Sweep, observations: Observations, parameters: MixtureParameters) -> None:
    """Call `function(rows, eta, features, log_joint)` on every block, from several threads.

    The numbers given for a row do not depend on the number of threads.

    Parameters
    ----------
    function : callable
        Receives the rows, a slice or an array of indices, and what the log joint densities in the units of the data are
        made of: coefficients (S K, F) and features (F, B), whose product they are, where the conditioning allows it and
        rows are complete; else log_joint (S, K, B), and features with F = 0. It writes what it makes of them where no
        other block writes.
    parameters : MixtureParameters
        Batch shape (S,), in the units of the data.
    """
    form = None if observations.incomplete else choose_form(observations.to_standard(parameters))
    nothing = np.empty((0, 0))
    if not isinstance(form, NaturalForm):
        for_each_block(lambda rows, log_joint: function(rows, nothing, nothing, log_joint), observations, parameters)
        return
    eta = form.eta.reshape(-1, form.F).copy()
    eta[:, 0] -= observations.log_jacobian
    unused = np.empty((0, 0, 0))

    def one(start: int) -> None:
        rows = slice(start, min(start + BLOCK_ROWS, observations.n_rows))
        features = np.empty((form.F, rows.stop - start))
        observations.standard_block(rows, features[1 : form.D + 1])
        write_features(features, form.D, diagonal=form.diagonal, spherical=form.spherical)
        function(rows, eta, features, unused)

    over_threads(one, range(0, observations.n_rows, BLOCK_ROWS))
