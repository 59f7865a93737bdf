"""What a covariance family is: one value, its M-step and its name, from which all else that is asked of it follows.

Sigma_k = lambda_k D_k A_k D_k^T with det A_k = 1: volume, shape and orientation (Banfield & Raftery 1993; Celeux &
Govaert 1995), each equal in all components or variable. May import NumPy and the kernel's `Moments` only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bayesgmm.kernel.moments import Moments


class Part(Enum):
    """What volume, shape or orientation of a component is, beside those of the others; the value is mclust's letter."""

    EQUAL = "E"
    """The same in all components."""

    VARIABLE = "V"
    """Each component its own."""

    IDENTITY = "I"
    """The identity matrix: as a shape a ball, as an orientation the axes of the features."""


def as_they_are(covariances: np.ndarray) -> np.ndarray:
    """Pack nothing: (..., K, D, D) is the shape where scikit-learn has no other."""
    return covariances


def as_it_is(packed: np.ndarray, K: int, D: int) -> np.ndarray:
    """Return what `as_they_are` made."""
    return packed


@dataclass(frozen=True, slots=True)
class CovarianceFamily:
    """The NumPy half of a family: how covariances follow from scatter matrices, and all that is true of them.

    Attributes
    ----------
    name : str
        The name in ``covariance_type``.
    code : str
        mclust's code: the letters of volume, shape and orientation (`Part`), or of the variance alone for a family of
        one feature.
    maximise : callable (scatter, N, previous) -> covariances
        The M-step: argmax over the family of -1/2 sum_k (N_k log det Sigma_k + tr Sigma_k^-1 C_k). `scatter` is
        (K, D, D), or (K, D) when `diagonal`; `N` is (K,), positive; the result is (K, D, D). `previous` are covariances
        (K, D, D) from which an iterative M-step may begin, or None: EVE and VVE, whose maxima can be several, climb to
        one from `previous`, and without it take the best covariances with the axes of the pooled scatter.
    pack : callable (..., K, D, D) -> array
        The attribute ``covariances_`` in scikit-learn's shape for this family; it also packs precisions.
    unpack : callable (array, K, D) -> (K, D, D)
        The inverse of `pack`.
    """

    name: str
    code: str
    maximise: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]
    pack: Callable[[np.ndarray], np.ndarray] = as_they_are
    unpack: Callable[[np.ndarray, int, int], np.ndarray] = as_it_is

    @property
    def one_dimensional(self) -> bool:
        """Whether the family is for one feature only, where shape and orientation say nothing."""
        return len(self.code) == 1

    @property
    def volume(self) -> Part:
        """lambda_k; of one feature, the variance."""
        return Part(self.code[0])

    @property
    def shape(self) -> Part:
        """A_k; of one feature, as free as the variance."""
        return self.volume if self.one_dimensional else Part(self.code[1])

    @property
    def orientation(self) -> Part:
        """D_k; of one feature, as free as the variance."""
        return self.volume if self.one_dimensional else Part(self.code[2])

    @property
    def diagonal(self) -> bool:
        """Whether every covariance is diagonal, so that products of different features are never needed."""
        return self.orientation is Part.IDENTITY

    @property
    def spherical(self) -> bool:
        """Whether each covariance is a number times the identity: the M-step needs the sum of the diagonal only."""
        return self.shape is Part.IDENTITY

    @property
    def common(self) -> bool:
        """Whether components share one covariance: the M-step needs the sum over components only."""
        return self._parts == {Part.EQUAL}

    @property
    def free(self) -> bool:
        """Whether any covariances are of the family: each component its own, of any volume, shape and orientation."""
        return self.volume is self.shape is self.orientation is Part.VARIABLE

    @property
    def linear(self) -> bool:
        """Whether volume, shape and orientation are all shared or all each component's own.

        Covariances are then all that is positive definite in a linear space: all matrices, diagonal ones or multiples
        of the identity, each component's own or one for all. So entries of the covariances are parameters; an inverse
        Wishart (or Gamma) prior of them is conjugate; and raising each covariance to a floor is the M-step under that
        floor. Where components share some of the three it is not, and a fit that meets the floor ends there.
        """
        return len(self._parts) == 1

    @property
    def moments(self) -> Moments:
        """What the M-step needs of the second moments."""
        return Moments((0 if self.spherical else 1 if self.diagonal else 2, self.common))

    @property
    def per_column(self) -> bool:
        """Whether the family is equivariant under a scale for each column; otherwise under one common scale only.

        So it is where shapes belong to the features, and where shape and orientation are shared or free together.
        """
        return not self.spherical and (self.diagonal or self.shape is self.orientation)

    @property
    def divides_by_determinant(self) -> bool:
        """Whether the M-step divides by the determinant of each component's own scatter, which must not be singular."""
        return self.shape is Part.VARIABLE and not self.linear

    @property
    def shrinks_alone(self) -> bool:
        """Whether one component's covariance may come near a singular matrix while those of the others do not."""
        return Part.VARIABLE in (self.volume, self.shape)

    @property
    def shrinks_in_one_direction(self) -> bool:
        """Whether one component may become flat, in one feature or along one axis, and stay wide in the others."""
        return self.shape is Part.VARIABLE

    @property
    def scikit_learn_name(self) -> str:
        """The narrowest of scikit-learn's four families that has this one's mixtures and their marginals."""
        if self.name != self.code:
            return self.name
        return "diag" if self.diagonal else "full"

    @property
    def _parts(self) -> set[Part]:
        """How components stand to each other in what is free at all."""
        return {self.volume, self.shape, self.orientation} - {Part.IDENTITY}

    def n_covariance_parameters(self, K: int, D: int) -> int:
        """Free numbers in the covariances: of volumes 1, of shapes D - 1, of orientations D (D - 1) / 2."""
        times = {Part.EQUAL: 1, Part.VARIABLE: K, Part.IDENTITY: 0}
        return times[self.volume] + times[self.shape] * (D - 1) + times[self.orientation] * (D * (D - 1) // 2)

    def n_parameters(self, K: int, D: int) -> int:
        """Free numbers in the whole mixture: K - 1 weights, K D means, and the covariances."""
        return K - 1 + K * D + self.n_covariance_parameters(K, D)

    def floor_variances(self, variances: np.ndarray) -> np.ndarray:
        """Column variances (D,) to take the floor from: one common value where columns share a scale."""
        return variances if self.per_column else np.full_like(variances, variances.mean())


def family_by_code(
    code: str, maximise: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]
) -> CovarianceFamily:
    """Make a family that scikit-learn has no name for: mclust's code is its name, and (K, D, D) its packed shape."""
    return CovarianceFamily(code, code, maximise)


def diagonal_matrices(variances: np.ndarray) -> np.ndarray:
    """Diagonal matrices (..., D, D) of variances (..., D)."""
    return variances[..., None] * np.eye(variances.shape[-1])


def of_equal_volume(scatter: np.ndarray, sizes: np.ndarray, N: np.ndarray) -> np.ndarray:
    """Own shapes, lambda C_k / |C_k|^(1/D) with lambda = sum_k |C_k|^(1/D) / sum_k N_k, given |C_k|^(1/D) as `sizes`.

    A component of determinant zero becomes zero: singular, for a floor or an error to meet.
    """
    factors = np.divide(sizes.sum() / N.sum(), sizes, out=np.zeros(len(N)), where=sizes > 0)
    return scatter * factors.reshape(-1, *[1] * (scatter.ndim - 1))
