"""Pictures of a fit or a posterior, one per file, each returning an arviz-plots `PlotCollection`.

Only this folder imports arviz_plots.
"""

from bayesgmm.plots.coclustering import plot_coclustering
from bayesgmm.plots.compare import plot_compare
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.conditional import plot_conditional
from bayesgmm.plots.density import plot_density
from bayesgmm.plots.generated import plot_generated
from bayesgmm.plots.membership import plot_membership
from bayesgmm.plots.merging import plot_merging
from bayesgmm.plots.partition import plot_partition

__all__ = [
    "plot_coclustering",
    "plot_compare",
    "plot_components",
    "plot_conditional",
    "plot_density",
    "plot_generated",
    "plot_membership",
    "plot_merging",
    "plot_partition",
]
