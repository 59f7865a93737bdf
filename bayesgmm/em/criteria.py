"""Information criteria of a fitted mixture, all from one pass over the rows.

May import NumPy, SciPy and the modules below it only.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import entr

from bayesgmm.data.observations import Observations
from bayesgmm.kernel.passes import map_rows
from bayesgmm.kernel.responsibilities import normalise
from bayesgmm.mixture.parameters import MixtureParameters


class Criteria(NamedTuple):
    """Criteria of one fit; every one is smaller for a better model, except the log-likelihood.

    Attributes
    ----------
    log_likelihood : float
        sum_n log p(x_n), natural logarithm.
    bic : float
        -2 log L + p log N (Schwarz 1978).
    aic : float
        -2 log L + 2 p (Akaike 1974).
    icl : float
        BIC - 2 sum_n log max_k r_nk: the hard version of Biernacki, Celeux & Govaert (2000), as in mclust.
    entropy : float
        -sum_nk r_nk log r_nk, in nats: 0 when every membership is certain. Noise is a class of its own here and in ICL.
    """

    log_likelihood: float
    bic: float
    aic: float
    icl: float
    entropy: float


def criteria(observations: Observations, parameters: MixtureParameters, n_parameters: int) -> Criteria:
    """Criteria of one mixture, in the units of the data, on some rows; weighted rows count by their weight."""

    def per_row(log_joint: np.ndarray) -> np.ndarray:
        log_density = normalise(log_joint)
        return np.stack([log_density, np.log(log_joint.max(axis=0)), entr(log_joint).sum(axis=0)], axis=1)

    rows = map_rows(per_row, observations, parameters, trailing=(3,))
    counts = observations.counts
    log_likelihood, log_largest, entropy = (float(total) for total in counts @ rows)
    bic = -2 * log_likelihood + n_parameters * float(np.log(counts.sum()))
    return Criteria(log_likelihood, bic, -2 * log_likelihood + 2 * n_parameters, bic - 2 * log_largest, entropy)
