"""From log joint densities to responsibilities, in place.

May import NumPy only.
"""

import numpy as np

LEAST = float(np.finfo(np.float64).min)


def normalise(log_joint: np.ndarray, background: np.ndarray | float | None = None) -> np.ndarray:
    """Turn log joint densities into responsibilities, in place, and return the log density of each row.

    r_nk = exp(a_kn - log p_n) with log p_n = log sum_k exp a_kn, by the largest a_kn of the row.

    Parameters
    ----------
    log_joint : (..., K, B) float64
        Overwritten by the responsibilities.
    background : (..., B) float64 or float, optional
        Log joint density of a noise component, minus infinity where there is none; the responsibilities then sum to
        one minus its own.

    Returns
    -------
    (..., B) float64
        log p_n; minus infinity, with responsibilities NaN, for a row that no component can reach.
    """
    # finite, so that a row out of reach is -inf minus a number, which exp makes 0, and not -inf minus -inf
    largest = np.maximum(log_joint.max(axis=-2), LEAST)
    if background is not None:
        np.maximum(largest, background, out=largest)
    log_joint -= largest[..., None, :]
    np.exp(log_joint, out=log_joint)
    total = log_joint.sum(axis=-2)
    if background is not None:
        total += np.exp(background - largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_joint *= (1.0 / total)[..., None, :]
        np.log(total, out=total)
    total += largest
    return total
