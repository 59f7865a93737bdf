"""Pictures of a fit or a posterior, one per file, each returning an arviz-plots `PlotCollection`.

Only this folder imports arviz_plots.
"""

from bayesgmm.plots.compare import plot_compare
from bayesgmm.plots.components import plot_components
from bayesgmm.plots.density import plot_density
from bayesgmm.plots.membership import plot_membership

__all__ = ["plot_compare", "plot_components", "plot_density", "plot_membership"]
