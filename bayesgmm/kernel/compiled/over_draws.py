"""Memberships and densities of rows in many draws, from features to summaries in one sweep, compiled.

NumPy does the same in passes over a block of rows times all draws, each through memory; here a tile of rows stays in
the cache from its log joint densities to the sums over draws. S draws, K components, B rows. May import NumPy and
numba.

Log joint densities come in one of two ways. In the natural form log weights_k + log N(x_n | mu_k, Sigma_k) =
<T(x_n), eta_k>: `eta` (S K, F) and `features` (F, B) are given, and `log_joint` is empty; else `log_joint` (S, K, B) is
given, and F is 0.
"""

import numba
import numpy as np

from bayesgmm.kernel.compiled.arithmetic import ORDERED, _bits, _double, exp_nonpositive, log_at_least_one
from bayesgmm.kernel.compiled.order_statistics import LANES, STRIDE, ends
from bayesgmm.tools.compiled import compiled

TILE = 64
"""Rows of a tile: a multiple of `LANES`, so few that one draw's densities stay in the fastest cache (128 tried)."""

PRODUCT_ROWS = 64
"""Coefficients of about so many components, whatever the draw, go into one matrix product (20 to 200 tried)."""

REACH = 150.0
"""Powers of e within which a row's density in one draw may differ from that in the first, so that sums over draws need
no scale of their own for each draw; the scale is e^`REACH` above the first draw, and terms e^-708 below it are lost."""

LARGEST_UNIT = 600.0
"""Logarithm of what sums over draws, at most K each, are multiplied by at once: e^709 is the largest number."""


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def exp_bounded(x: float) -> float:
    """Compute exp(x) for x <= 0 to 1 ulp; exp(-708) below -708, and for NaN.

    As `exp_nonpositive`, with fewer instructions: a shorter polynomial, which is Taylor's of degree 13 economised to
    degree 11 (relative error 2e-17 on |r| <= log(2) / 2), and no cases.
    """
    bounded = x if x > -708.0 else -708.0
    shifted = bounded * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = bounded - n * 0.693147180369123816490
    r = r - n * 1.90821492927058770002e-10
    p = 2.510038549551032e-08
    p = p * r + 2.7620088445409746e-07
    p = p * r + 2.7557268459997064e-06
    p = p * r + 2.4801521295954376e-05
    p = p * r + 0.00019841269863053618
    p = p * r + 0.0013888888917213717
    p = p * r + 0.008333333333330062
    p = p * r + 0.04166666666662413
    p = p * r + 0.16666666666666669
    p = p * r + 0.5000000000000001
    p = p * r * r + r + 1.0
    return _double(_bits(p) + (_bits(shifted) << 52))


@compiled(fastmath=ORDERED, error_model="numpy", nogil=True)
def memberships(
    eta: np.ndarray,
    features: np.ndarray,
    log_joint: np.ndarray,
    below: float,
    above: float,
    mean: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    agreement: np.ndarray,
    log_density: np.ndarray,
    switched: np.ndarray,
) -> None:
    """Sum up r_nk over draws. What is written is NaN for a row that no component can reach.

    Parameters
    ----------
    eta, features, log_joint : arrays
        See the module; not changed.
    below, above : float
        Probabilities of the two quantiles.
    mean : (K, B) float64
        Written: mean of r_nk over draws.
    lower, upper : (K, B) float64
        Written: two quantiles of r_nk over draws, by NumPy's linear rule. Where they are (K, 0), none are found.
    agreement : (B,) float64
        Written: share of draws whose most probable component is that of the mean; the first of several.
    log_density : (B,) float64
        Written: log of the mean over draws of p(x_n).
    switched : (S,) int64
        Added to: rows whose most probable component in the draw is not that of the mean.
    """
    S, (K, B) = len(switched), mean.shape
    wanted = lower.shape[1] > 0
    together = max(1, PRODUCT_ROWS // K)
    tile, joint = np.zeros((features.shape[0], TILE)), np.zeros((together * K, TILE))
    best = np.empty((S, TILE), dtype=np.int16)
    stored = np.empty((K * TILE // LANES if wanted else 0, S, LANES))
    sums, log_mean = np.empty((K, TILE)), np.empty(TILE)
    label, elsewhere = np.empty(TILE, dtype=np.int16), np.empty(TILE, dtype=np.int64)
    values, keys = np.empty(S), np.empty(S + STRIDE, dtype=np.int64)
    for start in range(0, B, TILE):
        width = min(TILE, B - start)
        _fill(features, start, width, tile)
        if not _sweep(eta, tile, log_joint, start, width, joint, best, stored, sums, log_mean, False):
            _sweep(eta, tile, log_joint, start, width, joint, best, stored, sums, log_mean, True)
        for n in range(width):
            chosen = 0
            for k in range(K):
                mean[k, start + n] = sums[k, n] / S
                chosen = k if sums[k, n] > sums[chosen, n] else chosen
            label[n], elsewhere[n] = chosen, 0
            log_density[start + n] = log_mean[n]
        for s in range(S):
            count = 0
            for n in range(width):
                differs = best[s, n] != label[n]
                elsewhere[n] += differs
                count += differs
            switched[s] += count
        for n in range(width):
            agreement[start + n] = 1.0 - elsewhere[n] / S
        if wanted:
            for k in range(K):
                for n in range(width):
                    group = stored[(k * TILE + n) // LANES]
                    a, b = ends(group, n % LANES, below, above, values, keys)
                    known = mean[k, start + n] == mean[k, start + n]
                    lower[k, start + n] = a if known else np.nan
                    upper[k, start + n] = b if known else np.nan


@compiled(fastmath=ORDERED, error_model="numpy", nogil=True)
def densities(
    eta: np.ndarray,
    features: np.ndarray,
    log_joint: np.ndarray,
    S: int,
    below: float,
    above: float,
    out: np.ndarray,
) -> None:
    """Sum up p(x_n) over draws.

    Parameters
    ----------
    eta, features, log_joint : arrays
        See the module; not changed.
    S : int
        Number of draws.
    below, above : float
        Probabilities of the two quantiles.
    out : (3, B) or (1, B) float64
        Written: mean, and the two quantiles where there is room for them.
    """
    B, K = out.shape[1], (len(eta) if features.shape[0] else log_joint.shape[0] * log_joint.shape[1]) // S
    wanted = out.shape[0] > 1
    together = max(1, PRODUCT_ROWS // K)
    tile, joint = np.zeros((features.shape[0], TILE)), np.zeros((together * K, TILE))
    stored = np.empty((TILE // LANES if wanted else 0, S, LANES))
    scale, total, summed, far = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    values, keys = np.empty(S), np.empty(S + STRIDE, dtype=np.int64)
    for start in range(0, B, TILE):
        width = min(TILE, B - start)
        _fill(features, start, width, tile)
        for n in range(TILE):
            summed[n] = 0.0
            far[n] = 0.0
        for s in range(S):
            base = s % together * K
            if base == 0:
                _load(eta, tile, log_joint, s, min(S, s + together), K, start, width, joint)
            _top(joint, base, K, total)
            if s == 0:
                for n in range(TILE):
                    scale[n] = total[n] + REACH
            for n in range(TILE):
                far[n] = far[n] if abs(total[n] + REACH - scale[n]) < REACH else 1.0
                total[n] = 0.0
            for k in range(K):
                row = joint[base + k]
                for n in range(TILE):
                    total[n] += exp_bounded(row[n] - scale[n])
            for n in range(TILE):
                summed[n] += total[n]
            _store(stored, 0, s, total)
        for n in range(width):
            if far[n] != 0.0:
                scale[n] = 0.0
                _density_far_away(eta, tile, log_joint, S, start, n, summed, stored)
            # in two factors: e^REACH above a density that is a number may be none
            most = min(scale[n], LARGEST_UNIT)
            unit, rest = np.exp(most), np.exp(scale[n] - most)
            out[0, start + n] = unit * (summed[n] / S) * rest
            if wanted:
                a, b = ends(stored[n // LANES], n % LANES, below, above, values, keys)
                known = summed[n] == summed[n]
                out[1, start + n] = unit * a * rest if known else np.nan
                out[2, start + n] = unit * b * rest if known else np.nan


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def _density_far_away(
    eta: np.ndarray,
    tile: np.ndarray,
    log_joint: np.ndarray,
    S: int,
    start: int,
    n: int,
    summed: np.ndarray,
    stored: np.ndarray,
) -> None:
    """Do one row again without a scale: draws differ by so much that no one scale serves all."""
    given = tile.shape[0] == 0
    K = (log_joint.shape[0] * log_joint.shape[1] if given else len(eta)) // S
    values = np.empty((S, K))
    for s in range(S):
        for k in range(K):
            values[s, k] = log_joint[s, k, start + n] if given else 0.0
            for f in range(tile.shape[0]):
                values[s, k] += eta[s * K + k, f] * tile[f, n]
    summed[n] = 0.0
    for s in range(S):
        total = 0.0
        for k in range(K):
            total += np.exp(values[s, k])
        summed[n] += total
        if len(stored):
            stored[n // LANES, s, n % LANES] = total


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def _sweep(
    eta: np.ndarray,
    tile: np.ndarray,
    log_joint: np.ndarray,
    start: int,
    width: int,
    joint: np.ndarray,
    best: np.ndarray,
    stored: np.ndarray,
    sums: np.ndarray,
    log_mean: np.ndarray,
    own_scale: bool,
) -> bool:
    """Memberships of one tile in every draw: sums over draws, most probable components, log of the mean density.

    With `own_scale` each draw's exponentials are taken relative to its own largest; without, relative to the first
    draw's, which saves an exp and a log for each draw: then the answer is whether that was near enough in all draws.
    """
    S, K = len(best), len(sums)
    together = len(joint) // K
    top, total, scale, which = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE, dtype=np.int64)
    summed, far, highest = np.zeros(TILE), np.zeros(TILE), np.full(TILE, -np.inf)
    sums[:] = 0.0
    for s in range(S):
        base = s % together * K
        if base == 0:
            _load(eta, tile, log_joint, s, min(S, s + together), K, start, width, joint)
        row = joint[base]
        for n in range(TILE):
            top[n] = row[n]
            which[n] = 0
        for k in range(1, K):
            row = joint[base + k]
            for n in range(TILE):
                larger = row[n] > top[n]
                top[n] = row[n] if larger else top[n]
                which[n] = k if larger else which[n]
        chosen = best[s]
        for n in range(TILE):
            chosen[n] = which[n]
        if own_scale:
            for n in range(TILE):
                scale[n] = top[n] if top[n] != -np.inf else 0.0
        elif s == 0:
            for n in range(TILE):
                scale[n] = top[n] + REACH
        if not own_scale:
            for n in range(TILE):
                far[n] = far[n] if abs(top[n] + REACH - scale[n]) < REACH else 1.0
        for n in range(TILE):
            total[n] = 0.0
        if own_scale:
            for k in range(K):
                row = joint[base + k]
                for n in range(TILE):
                    row[n] = exp_nonpositive(row[n] - scale[n])
                    total[n] += row[n]
            for n in range(TILE):
                value = top[n] + log_at_least_one(total[n])
                higher = value > highest[n]
                # the difference is never positive; minus infinity twice is not a number, and counts as nothing
                gap = highest[n] - value if higher else value - highest[n]
                factor = exp_nonpositive(gap if gap == gap else -np.inf)
                summed[n] = summed[n] * factor + 1.0 if higher else summed[n] + factor
                highest[n] = value if higher else highest[n]
        else:
            for k in range(K):
                row = joint[base + k]
                for n in range(TILE):
                    row[n] = exp_bounded(row[n] - scale[n])
                    total[n] += row[n]
            for n in range(TILE):
                summed[n] += total[n]
        for n in range(TILE):
            total[n] = 1.0 / total[n]
        for k in range(K):
            row, row_sums = joint[base + k], sums[k]
            for n in range(TILE):
                row[n] *= total[n]
                row_sums[n] += row[n]
            _store(stored, k * (TILE // LANES), s, row)
    near = True
    for n in range(width):
        near = near and far[n] == 0.0
    for n in range(width):
        log_mean[n] = (highest[n] if own_scale else scale[n]) + np.log(summed[n] / S)
    return near


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def _fill(features: np.ndarray, start: int, width: int, tile: np.ndarray) -> None:
    """Copy the features of some rows; those that fill up the tile are zero."""
    for f in range(tile.shape[0]):
        for n in range(TILE):
            tile[f, n] = features[f, start + n] if n < width else 0.0


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def _load(
    eta: np.ndarray,
    tile: np.ndarray,
    log_joint: np.ndarray,
    s: int,
    stop: int,
    K: int,
    start: int,
    width: int,
    joint: np.ndarray,
) -> None:
    """Log joint densities of the draws from s to `stop`, ((stop - s) K, TILE)."""
    if tile.shape[0]:
        np.dot(eta[s * K : stop * K], tile, joint[: (stop - s) * K])
    else:
        for i in range((stop - s) * K):
            for n in range(width):
                joint[i, n] = log_joint[s + i // K, i % K, start + n]


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def _top(joint: np.ndarray, base: int, K: int, top: np.ndarray) -> None:
    """Largest of each row over components."""
    row = joint[base]
    for n in range(TILE):
        top[n] = row[n]
    for k in range(1, K):
        row = joint[base + k]
        for n in range(TILE):
            top[n] = row[n] if row[n] > top[n] else top[n]


@numba.njit(fastmath=ORDERED, error_model="numpy", nogil=True)
def _store(stored: np.ndarray, first: int, s: int, row: np.ndarray) -> None:
    """Put the numbers of a tile where their columns are, `LANES` side by side; nothing where nothing is stored."""
    if len(stored) == 0:
        return
    for g in range(TILE // LANES):
        i = g * LANES
        # all read before any is written: one vector, whatever the compiler knows of the two arrays
        a, b, c, d = row[i], row[i + 1], row[i + 2], row[i + 3]
        e, f, g_, h = row[i + 4], row[i + 5], row[i + 6], row[i + 7]
        line = stored[first + g, s]
        line[0], line[1], line[2], line[3] = a, b, c, d
        line[4], line[5], line[6], line[7] = e, f, g_, h
