"""What of the second moments a pass over the rows is asked for."""

from enum import Enum


class Moments(Enum):
    """What an M-step needs of S2_k = sum_n w_n r_nk y_n y_n^T, by the form of its covariances; less costs less.

    The value is (`ndim`, `pooled`).
    """

    FULL = 2, False
    DIAGONAL = 1, False
    TRACE = 0, False
    POOLED = 2, True
    POOLED_DIAGONAL = 1, True
    POOLED_TRACE = 0, True

    @property
    def ndim(self) -> int:
        """Dimensions of what is needed of one S2, and free in one covariance.

        2, a matrix; 1, its diagonal; 0, the sum of that diagonal, and one variance for all features.
        """
        return self.value[0]

    @property
    def pooled(self) -> bool:
        """Whether components share one covariance, so that only the sum of S2 over them is needed."""
        return self.value[1]

    @property
    def diagonal(self) -> bool:
        """Whether covariances are diagonal, so that products of different features are not needed."""
        return self.ndim < 2
