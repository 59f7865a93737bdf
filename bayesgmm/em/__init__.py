"""Maximum likelihood: families, starts, steps, search, and the estimator."""
