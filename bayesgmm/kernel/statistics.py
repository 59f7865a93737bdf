"""Expected sufficient statistics of the complete data: what the E-step hands to everything else.

May import NumPy only.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class SufficientStatistics:
    """Sums over rows, additive over any split of the data.

    With responsibilities r_nk, row weights w_n and standard coordinates y_n = (x_n - shift) / scale.

    Attributes
    ----------
    log_likelihood : float
        sum_n w_n log p(x_n), x in the units of the data.
    N : (K,) float64
        sum_n w_n r_nk.
    S1 : (K, D) float64
        sum_n w_n r_nk y_n.
    S2 : (K, D, D) or (K, D) float64
        sum_n w_n r_nk y_n y_n^T, or its diagonal alone where a family needs no more.
    shift : (D,) float64
        Origin of y, in the units of the data.
    scale : float
        Unit of y, in the units of the data.
    noise : float
        sum_n w_n r_n0, what the rows expect of a noise component; zero without one.
    """

    log_likelihood: float
    N: np.ndarray
    S1: np.ndarray
    S2: np.ndarray
    shift: np.ndarray
    scale: float
    noise: float = 0.0

    def __add__(self, other: "SufficientStatistics") -> "SufficientStatistics":
        """Statistics of both sets of rows.

        Raises
        ------
        ValueError
            When the two are seen from different shifts or scales: their moments cannot be added.
        """
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        if self.scale != other.scale or not np.array_equal(self.shift, other.shift):
            raise ValueError(
                f"statistics about shift {self.shift} (scale {self.scale:g}) cannot be added to statistics about shift "
                f"{other.shift} (scale {other.scale:g}): compute both from observations that share one shift and scale."
            )
        return SufficientStatistics(
            self.log_likelihood + other.log_likelihood,
            self.N + other.N,
            self.S1 + other.S1,
            self.S2 + other.S2,
            self.shift,
            self.scale,
            self.noise + other.noise,
        )

    def scatter(self, means: np.ndarray) -> np.ndarray:
        """C_k = sum_n w_n r_nk (y_n - mu_k)(y_n - mu_k)^T, or its diagonal where `S2` is.

        Parameters
        ----------
        means : (K, D), in standard coordinates
        """
        if self.S2.ndim == 2:
            return self.S2 - 2 * self.S1 * means + self.N[:, None] * means**2
        cross = self.S1[:, :, None] * means[:, None, :]
        return (
            self.S2 - cross - np.swapaxes(cross, 1, 2) + self.N[:, None, None] * means[:, :, None] * means[:, None, :]
        )
