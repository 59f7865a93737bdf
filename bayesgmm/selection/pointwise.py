"""The log-likelihood of each row in each draw, as a posterior has it, and its mean over the draws."""

import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayesgmm.posterior.datatree import CHAIN, DRAW, OBS


def log_likelihood_of_rows(dt: xr.DataTree) -> np.ndarray:
    """Log p(x_n) of the draws in group ``log_likelihood``, (chain, draw, N)."""
    return np.asarray(dt["log_likelihood"]["x"].transpose(CHAIN, DRAW, OBS).values)


def log_mean_density(log_likelihood: np.ndarray) -> np.ndarray:
    """Log of the mean over the draws of p(x_n), (N,), from logarithms (chain, draw, N)."""
    C, S, _ = log_likelihood.shape
    return logsumexp(log_likelihood, axis=(0, 1)) - np.log(C * S)
