"""Weights, means and covariances of a Gaussian mixture, or of many (leading batch dimensions).

May import NumPy, SciPy and `noise` only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack

from bayesgmm.mixture.noise import Noise


class ParameterError(ValueError):
    """Parameters that are no mixture; the message names the parameter and the component."""


@dataclass(frozen=True, slots=True, eq=False)
class MixtureParameters:
    """Parameters of p(x) = sum_k weights_k N(x | means_k, covariances_k).

    Leading batch dimensions (chain, draw) are allowed and alike in every array; ``...`` below.

    Attributes
    ----------
    weights : (..., K) float64, non-negative, summing to one
    means : (..., K, D) float64, in the units of the data
    covariances : (..., K, D, D) float64, symmetric positive definite, in squared units
    precision_cholesky : (..., K, D, D) float64
        The upper triangular U_k with Sigma_k^-1 = U_k U_k^T (scikit-learn's convention).
    noise : Noise, optional
        A uniform background besides: p(x) is then (1 - noise.weight) times the sum above, plus noise.weight times the
        background's density. The weights sum to one all the same.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    precision_cholesky: np.ndarray
    noise: Noise | None = None

    @classmethod
    def from_covariances(
        cls,
        weights: np.ndarray,
        means: np.ndarray,
        covariances: np.ndarray,
        *,
        factorise: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> "MixtureParameters":
        """Check and factorise.

        Parameters
        ----------
        factorise : callable, optional
            In place of `inverse_cholesky`, whose answer it may remember.

        Raises
        ------
        ParameterError
            When shapes do not agree, weights are not a distribution or a covariance is not positive definite; the
            component is named.
        """
        weights, means, covariances = (np.asarray(a, dtype=np.float64) for a in (weights, means, covariances))
        if means.ndim < 2 or weights.shape != means.shape[:-1] or covariances.shape != (*means.shape, means.shape[-1]):
            raise ParameterError(
                "weights (..., K), means (..., K, D) and covariances (..., K, D, D) must agree, received shapes "
                f"{weights.shape}, {means.shape}, {covariances.shape}."
            )
        for name, values in (("means", means), ("covariances", covariances)):
            if not np.isfinite(values).all():
                raise ParameterError(f"`{name}` must be finite numbers.")
        total = weights.sum(axis=-1)
        if not (weights >= 0).all() or not np.allclose(total, 1.0, atol=1e-6):
            raise ParameterError(f"`weights` must be non-negative and sum to one, received {weights}.")
        spread = np.sqrt(np.abs(np.diagonal(covariances, axis1=-2, axis2=-1)))
        # relative to the two features' own spreads: an absolute tolerance would see nothing in small units
        allowed = 1e-6 * spread[..., :, None] * spread[..., None, :]
        if (np.abs(covariances - np.swapaxes(covariances, -1, -2)) > allowed).any():
            raise ParameterError("`covariances` must be symmetric: average each with its transpose.")
        return cls(weights / total[..., None], means, covariances, (factorise or inverse_cholesky)(covariances))

    @classmethod
    def stack(cls, mixtures: Sequence["MixtureParameters"]) -> "MixtureParameters":
        """Stack mixtures of one shape along a new leading dimension; noise of all has the first one's background."""
        names = ("weights", "means", "covariances", "precision_cholesky")
        arrays = [np.stack([getattr(mixture, name) for mixture in mixtures]) for name in names]
        shares = [mixture.noise.weight for mixture in mixtures if mixture.noise is not None]
        first = mixtures[0].noise
        noise = None if first is None else Noise(np.stack(shares), first.background)
        weights, means, covariances, factors = arrays
        return cls(weights, means, covariances, factors, noise)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading dimensions; () for one mixture."""
        return self.weights.shape[:-1]

    @property
    def n_components(self) -> int:
        """Number of components K."""
        return self.means.shape[-2]

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return self.means.shape[-1]

    @property
    def log_weights(self) -> np.ndarray:
        """Logarithms of the weights, (..., K); minus infinity for an empty component."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    @property
    def log_shares(self) -> np.ndarray:
        """Logarithms of the components' shares of all rows, noise included, (..., K)."""
        return self.log_weights if self.noise is None else self.log_weights + self.noise.log_rest[..., None]

    @property
    def log_det_precision_cholesky(self) -> np.ndarray:
        """Log det U_k = -1/2 log det Sigma_k, (..., K)."""
        return np.log(np.diagonal(self.precision_cholesky, axis1=-2, axis2=-1)).sum(axis=-1)

    def affine(self, shift: np.ndarray, scale: float) -> "MixtureParameters":
        """Parameters of (x - shift) / scale; the background of noise stays in the units of x."""
        return MixtureParameters(
            self.weights,
            (self.means - shift) / scale,
            self.covariances / scale**2,
            self.precision_cholesky * scale,
            self.noise,
        )

    def flat(self) -> "MixtureParameters":
        """Return the same mixtures with one batch dimension, of length 1 for a single mixture."""
        K, D = self.n_components, self.n_features
        return MixtureParameters(
            self.weights.reshape(-1, K),
            self.means.reshape(-1, K, D),
            self.covariances.reshape(-1, K, D, D),
            self.precision_cholesky.reshape(-1, K, D, D),
            None if self.noise is None else Noise(self.noise.weight.reshape(-1), self.noise.background),
        )

    def __getitem__(self, index: Any) -> "MixtureParameters":
        """Index or slice the leading batch dimensions."""
        if not self.batch_shape:
            raise IndexError("one mixture has no batch dimension to index.")
        return MixtureParameters(
            self.weights[index],
            self.means[index],
            self.covariances[index],
            self.precision_cholesky[index],
            None if self.noise is None else self.noise[index],
        )

    def permute(self, order: np.ndarray) -> "MixtureParameters":
        """Components in another order: `order` is (..., K), a permutation for each mixture of the batch."""
        order = np.asarray(order)
        return MixtureParameters(
            np.take_along_axis(self.weights, order, axis=-1),
            np.take_along_axis(self.means, order[..., None], axis=-2),
            np.take_along_axis(self.covariances, order[..., None, None], axis=-3),
            np.take_along_axis(self.precision_cholesky, order[..., None, None], axis=-3),
            self.noise,
        )

    def marginal(self, features: list[int]) -> "MixtureParameters":
        """Return the mixture of some of the features: again a Gaussian mixture, with the same weights."""
        chosen = np.asarray(features)
        covariances = self.covariances[..., chosen[:, None], chosen[None, :]]
        noise = None if self.noise is None else self.noise.marginal(features)
        return MixtureParameters(
            self.weights, self.means[..., chosen], covariances, inverse_cholesky(covariances), noise
        )


def inverse_cholesky(covariances: np.ndarray) -> np.ndarray:
    """Upper triangular U with Sigma^-1 = U U^T, by a Cholesky factor and a triangular inverse.

    Parameters
    ----------
    covariances : (..., D, D)

    Raises
    ------
    ParameterError
        Naming the first matrix that is not positive definite by its index in the leading dimensions.
    """
    D = covariances.shape[-1]
    if D == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = 1.0 / np.sqrt(covariances)
        bad = ~(np.isfinite(factor) & (covariances > 0))
        if bad.any():
            raise ParameterError(_not_positive_definite(np.argwhere(bad)[0][:-2]))
        return factor
    flat = covariances.reshape(-1, D, D)
    factors = np.empty(flat.shape)
    failed: int | None = None
    for position, matrix in enumerate(flat):
        lower, info = lapack.dpotrf(matrix, lower=1, clean=1)
        if info == 0:
            lower, info = lapack.dtrtri(lower, lower=1)
        if info != 0:
            failed = position
            break
        factors[position] = lower.T
    # of NaN it makes NaN without a word; one look at all of them costs less than one at each
    whole = factors if failed is None else factors[:failed]
    if not np.isfinite(whole).all():
        failed = int(np.argmin(np.isfinite(whole).all(axis=(1, 2))))
    if failed is not None:
        where = np.unravel_index(failed, covariances.shape[:-2]) if covariances.ndim > 2 else ()
        raise ParameterError(_not_positive_definite(where))
    return factors.reshape(covariances.shape)


def _not_positive_definite(index: object) -> str:
    where = [int(i) for i in np.atleast_1d(np.asarray(index, dtype=int))]
    name = f" of component {where[-1]}" if where else ""
    batch = f" (mixture {tuple(where[:-1])})" if len(where) > 1 else ""
    return f"the covariance{name}{batch} is not positive definite: it needs positive eigenvalues, all of them."
