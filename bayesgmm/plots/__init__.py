"""Pictures of a fit or a posterior, one per file, each returning an arviz-plots `PlotCollection`."""
