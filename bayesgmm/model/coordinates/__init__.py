"""Unconstrained coordinates of covariance matrices, with their densities."""
