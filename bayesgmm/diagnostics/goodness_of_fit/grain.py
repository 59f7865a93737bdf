"""The step in which a column of numbers was recorded, and its repeated values."""

import numpy as np

MOST_DIGITS = 12
"""Steps finer than these many decimal digits of the largest value are no steps: they are double precision itself."""


def n_repeated(x: np.ndarray) -> int:
    """Count the values that were there before, in a column (N,): none, almost surely, in draws from a density."""
    return len(x) - len(np.unique(x))


def grain(x: np.ndarray) -> float:
    """Largest step of the form 1, 2 or 5 times a power of ten that a column with repeated values is a multiple of.

    Parameters
    ----------
    x : (N,) float64

    Returns
    -------
    float
        0 where no value repeats, or no such step is found.
    """
    if not n_repeated(x):
        return 0.0
    largest = np.abs(x).max()
    if largest == 0:
        return 0.0
    top = int(np.floor(np.log10(largest)))
    for power in range(top, top - MOST_DIGITS, -1):
        for digit in (5, 2, 1):
            # powers of ten are exact where they are whole numbers: divide by one rather than multiply by 0.1
            quotient = x / (digit * 10.0**power) if power >= 0 else x * 10.0**-power / digit
            if np.allclose(quotient, np.rint(quotient), rtol=0, atol=1e-6):
                return digit * 10.0**power
    return 0.0


def to_grain(x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Round columns (..., D) to their steps (D,), where those are not 0."""
    safe = np.where(steps > 0, steps, 1.0)
    return np.where(steps > 0, np.rint(x / safe) * safe, x)
