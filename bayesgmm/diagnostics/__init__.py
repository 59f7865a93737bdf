"""Whether a fit or a posterior can be trusted."""
