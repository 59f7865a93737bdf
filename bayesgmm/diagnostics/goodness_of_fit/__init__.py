"""Does generated data match the real? Figures of both, their p-values, and a verdict in words.

Nothing here knows how a posterior was made: datasets come from ``generate``, and refits from EM.
"""

from bayesgmm.diagnostics.goodness_of_fit.fit import goodness_of_fit
from bayesgmm.diagnostics.goodness_of_fit.result import GoodnessOfFit

__all__ = ["GoodnessOfFit", "goodness_of_fit"]
