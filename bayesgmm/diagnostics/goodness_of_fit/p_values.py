"""Monte Carlo p-values of many figures at once: of each alone, and held together.

May import NumPy only.
"""

import numpy as np


def ranks(figures: np.ndarray, two_sided: np.ndarray) -> np.ndarray:
    """p-values of row 0 among all rows, (M,): the share of rows whose figure is as large, or as far to either side.

    Exact where the rows are exchangeable.

    Parameters
    ----------
    figures : (B + 1, M) float64
        Row 0 is of the data, the others of generated datasets.
    two_sided : (M,) bool

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, equation 4.11.
    """
    above = (figures >= figures[0]).mean(axis=0)
    below = (figures <= figures[0]).mean(axis=0)
    return np.where(two_sided, np.minimum(1.0, 2 * np.minimum(above, below)), above)


def adjusted(figures: np.ndarray, two_sided: np.ndarray) -> np.ndarray:
    """p-values of row 0 that hold for all figures together: the step-down maxT of Westfall & Young.

    The chance that *any* figure that matches is called a mismatch is the level. Figures are standardised by the mean
    and the standard deviation of all rows, the first included, so that rows stay exchangeable; what they have in
    common is taken from the generated datasets themselves, and costs no power as Bonferroni's bound would.

    Parameters
    ----------
    figures, two_sided
        As in `ranks`.

    References
    ----------
    Westfall & Young (1993), Resampling-Based Multiple Testing, algorithm 2.8.
    """
    spread = figures.std(axis=0)
    z = (figures - figures.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # to the digits that count: two figures that are equal but for rounding are equal
    z = np.round(np.where(two_sided, np.abs(z), z), 9)
    order = np.argsort(-z[0], kind="stable")
    largest = np.maximum.accumulate(z[:, order[::-1]], axis=1)[:, ::-1]
    p = np.maximum.accumulate((largest >= z[0, order]).mean(axis=0))
    as_given = np.empty(len(p))
    as_given[order] = p
    return as_given
