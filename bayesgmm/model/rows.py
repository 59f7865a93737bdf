"""The rows of a Gaussian mixture as a PyMC distribution: a table at once, allocations summed out.

May import NumPy, numba, PyTensor, PyMC and the Op.
"""

import sys
from typing import Any

import numba
import numpy as np
import pytensor.tensor as pt
from pymc.distributions.distribution import Distribution
from pytensor.tensor.basic import Alloc
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.variable import TensorVariable

from bayesgmm.model.likelihood import mixture_log_likelihood
from bayesgmm.sampler.insides import compiled_draws
from bayesgmm.tools.sources import version


class MixtureRowsRV(RandomVariable):
    """Random (N, D): for each row a component k, then mu_k + U_k^-T z with z standard normal.

    Parameters are those of `MixtureRows`. The row weights only say how many rows there are: PyMC has no other way to
    tell N (a dimension of the output must be a dimension of a parameter).
    """

    name = "mixture_rows"
    signature = "(n),(k),(k,d),(k,d,d)->(n,d)"
    dtype = "float64"
    _print_name = ("MixtureRows", "\\operatorname{MixtureRows}")

    @classmethod
    def rng_fn(
        cls,
        rng: np.random.Generator,
        row_weights: np.ndarray,
        log_weights: np.ndarray,
        means: np.ndarray,
        precision_cholesky: np.ndarray,
        size: Any = None,
    ) -> np.ndarray:
        """Draw (*batch, N, D), one table for each mixture of the batch."""
        batches = (row_weights.shape[:-1], log_weights.shape[:-1], means.shape[:-2], precision_cholesky.shape[:-3])
        batch = np.broadcast_shapes(*batches) if size is None else tuple(int(n) for n in np.atleast_1d(size))
        (N,), (K, D) = row_weights.shape[-1:], means.shape[-2:]
        log_weights = np.broadcast_to(log_weights, (*batch, K))
        means = np.broadcast_to(means, (*batch, K, D))
        precision_cholesky = np.broadcast_to(precision_cholesky, (*batch, K, D, D))
        out = np.empty((*batch, N, D))
        for index in np.ndindex(*batch):
            weights = np.exp(log_weights[index] - log_weights[index].max())
            component = rng.choice(K, size=N, p=weights / weights.sum())
            rows = rng.normal(size=(N, D))
            for k in range(K):
                chosen = component == k
                rows[chosen] = means[index][k] + np.linalg.solve(precision_cholesky[index][k].T, rows[chosen].T).T
            out[index] = rows
        return out


@compiled_draws(MixtureRowsRV, version(sys.modules[__name__]))
@numba.njit(error_model="numpy")
def random_rows(
    rng: np.random.Generator,
    row_weights: np.ndarray,
    log_weights: np.ndarray,
    means: np.ndarray,
    precision_cholesky: np.ndarray,
) -> np.ndarray:
    """Draw (N, D): a component by inversion, then mu_k + U_k^-T z by forward substitution."""
    N, (K, D) = row_weights.shape[0], means.shape
    weights = np.exp(log_weights - np.max(log_weights))
    total = weights.sum()
    out = np.empty((N, D))
    for n in range(N):
        left = rng.random() * total - weights[0]
        k = 0
        while left > 0.0 and k < K - 1:
            k += 1
            left -= weights[k]
        for i in range(D):
            z = rng.normal()
            for j in range(i):
                z -= precision_cholesky[k, j, i] * (out[n, j] - means[k, j])
            out[n, i] = means[k, i] + z / precision_cholesky[k, i, i]
    return out


mixture_rows = MixtureRowsRV()


class MixtureRows(Distribution):
    """A table of independent rows of a Gaussian mixture.

    Parameters of `dist`: row_weights (N,), how often each row counts in the likelihood; log_weights (K,); means
    (K, D); precision_cholesky (K, D, D), upper triangular U_k with Sigma_k^-1 = U_k U_k^T.

    Its log density is one number for the whole table, sum_n w_n log p(x_n): `pm.compute_log_likelihood` gives one
    number for each draw, not one for each row.
    """

    rv_type = MixtureRowsRV
    rv_op = mixture_rows

    @classmethod
    def dist(
        cls, row_weights: Any, log_weights: Any, means: Any, precision_cholesky: Any, **kwargs: Any
    ) -> TensorVariable:
        """Build the variable without a model."""
        parameters = (row_weights, log_weights, means, precision_cholesky)
        return super().dist([pt.as_tensor_variable(parameter) for parameter in parameters], **kwargs)

    @staticmethod
    def support_point(rv: TensorVariable, size: Any, *parameters: TensorVariable) -> TensorVariable:
        """Put every row at the mean of the mixture."""
        row_weights, log_weights, means, _ = parameters
        centre = (pt.exp(log_weights)[..., None] * means).sum(axis=-2)
        return centre[..., None, :] + pt.zeros_like(row_weights)[..., None]

    @staticmethod
    def logp(value: TensorVariable, row_weights: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        """Log likelihood of the table, by the Op."""
        repeated = row_weights.owner is not None and isinstance(row_weights.owner.op, Alloc)
        # One number in place of N equal ones: no memory, and no time, that grows with N.
        weights = pt.atleast_1d(row_weights.owner.inputs[0]) if repeated else row_weights
        return mixture_log_likelihood(value, weights, *parameters)
