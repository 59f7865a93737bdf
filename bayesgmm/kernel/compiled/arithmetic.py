"""Vector arithmetic of the compiled pass: exp, log, the two matrix products and the log-sum-exp, on one thread.

- The products are written out rather than handed to BLAS. Chains run in threads, and BLAS threads inside them fight;
  what is written here stays on one thread whatever the settings, so that the same seed gives the same draws on any
  number of cores. Tiles of 2 x 4 reach two thirds of BLAS's speed with 10 features, and all of it with 5 or fewer.
- exp and log are series, which the compiler turns into vector instructions: without Intel's SVML the library's
  functions take 7 ns each against 1 ns, and there are N K of the one and N of the other.

May import NumPy and numba.
"""

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# Rows of 1984 bytes: a power of two would put the eight rows of a tile on the same cache lines.
BLOCK_ROWS = 248

# Sums may be reordered into vector lanes where it says so. NaN and infinity keep their meaning in both: neither nnan
# nor ninf is set. exp relies on the order of its additions, and is wrong by a factor when they are reordered.
# Every compiled function says which of these it wants, or False: numba gives one that does not say the flags of the
# function that happens to call it first, and the last bit would depend on what was computed before.
REORDERED = {"contract", "nsz", "reassoc"}
ORDERED = {"contract"}


@intrinsic
def _bits(typing_context: Any, value: Any) -> tuple:
    """Give the 64 bits of a double as an integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _double(typing_context: Any, value: Any) -> tuple:
    """Give the double with these 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@numba.njit(fastmath=ORDERED, error_model="numpy")
def exp_nonpositive(x: float) -> float:
    """Compute exp(x) for x <= 0 to 1 ulp; 0 below -708, NaN for NaN.

    With x = n log 2 + r, |r| <= log(2) / 2, exp x = 2^n exp r, by its Taylor series of degree 13.
    """
    bounded = x if x > -708.0 else -708.0
    # Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
    shifted = bounded * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = bounded - n * 0.693147180369123816490
    r = r - n * 1.90821492927058770002e-10
    p = 1.6059043836821613e-10
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    p = p * r * r + r + 1.0
    power = _double(_bits(p) + (_bits(shifted) << 52))
    return power if x > -708.0 else (x if x != x else 0.0)


@numba.njit(fastmath=ORDERED, error_model="numpy")
def log_at_least_one(s: float) -> float:
    """Compute log(s) for s >= 1; -inf for 0, NaN for NaN.

    With s = 2^e f, sqrt(1/2) <= f < sqrt(2), log s = e log 2 + 2 artanh((f - 1) / (f + 1)), by its series.
    """
    bits = _bits(s) - _bits(math.sqrt(0.5))
    e = bits >> 52
    f = _double(_bits(s) - (e << 52))
    t = (f - 1.0) / (f + 1.0)
    z = t * t
    p = 0.10526315789473684
    p = p * z + 0.11764705882352941
    p = p * z + 0.13333333333333333
    p = p * z + 0.15384615384615385
    p = p * z + 0.18181818181818182
    p = p * z + 0.2222222222222222
    p = p * z + 0.2857142857142857
    p = p * z + 0.4
    p = p * z + 0.6666666666666666
    value = e * 0.6931471805599453 + (2.0 * t + t * z * p)
    return value if s > 0.0 else (s if s != s else -np.inf)


@numba.njit(fastmath=REORDERED, error_model="numpy")
def multiply(constants: np.ndarray, coefficients: np.ndarray, features: np.ndarray, out: np.ndarray, B: int) -> None:
    """Write constants (K,) plus coefficients (K, F) times features (F, B) into `out` (K, B); F is a multiple of 4."""
    K, F = coefficients.shape
    for k in range(0, K - 1, 2):
        out_0, out_1 = out[k], out[k + 1]
        for n in range(B):
            out_0[n] = constants[k]
            out_1[n] = constants[k + 1]
        for f in range(0, F, 4):
            a_0, a_1 = coefficients[k, f], coefficients[k, f + 1]
            a_2, a_3 = coefficients[k, f + 2], coefficients[k, f + 3]
            b_0, b_1 = coefficients[k + 1, f], coefficients[k + 1, f + 1]
            b_2, b_3 = coefficients[k + 1, f + 2], coefficients[k + 1, f + 3]
            t_0, t_1, t_2, t_3 = features[f], features[f + 1], features[f + 2], features[f + 3]
            for n in range(B):
                out_0[n] += a_0 * t_0[n] + a_1 * t_1[n] + a_2 * t_2[n] + a_3 * t_3[n]
                out_1[n] += b_0 * t_0[n] + b_1 * t_1[n] + b_2 * t_2[n] + b_3 * t_3[n]
    if K % 2 == 1:
        last = out[K - 1]
        for n in range(B):
            last[n] = constants[K - 1]
        for f in range(0, F, 4):
            a_0, a_1 = coefficients[K - 1, f], coefficients[K - 1, f + 1]
            a_2, a_3 = coefficients[K - 1, f + 2], coefficients[K - 1, f + 3]
            t_0, t_1, t_2, t_3 = features[f], features[f + 1], features[f + 2], features[f + 3]
            for n in range(B):
                last[n] += a_0 * t_0[n] + a_1 * t_1[n] + a_2 * t_2[n] + a_3 * t_3[n]


@numba.njit(fastmath=REORDERED, error_model="numpy")
def accumulate(left: np.ndarray, features: np.ndarray, totals: np.ndarray, sums: np.ndarray, B: int) -> None:
    """Add the row sums of left (K, B) to `totals` (K,), and left times features (F, B) transposed to `sums` (K, F).

    F is a multiple of 4.
    """
    K, F = sums.shape
    for k in range(K):
        row = left[k]
        total = 0.0
        for n in range(B):
            total += row[n]
        totals[k] += total
    for k in range(0, K - 1, 2):
        left_0, left_1 = left[k], left[k + 1]
        for f in range(0, F, 4):
            t_0, t_1, t_2, t_3 = features[f], features[f + 1], features[f + 2], features[f + 3]
            a_0 = a_1 = a_2 = a_3 = b_0 = b_1 = b_2 = b_3 = 0.0
            for n in range(B):
                a_0 += left_0[n] * t_0[n]
                a_1 += left_0[n] * t_1[n]
                a_2 += left_0[n] * t_2[n]
                a_3 += left_0[n] * t_3[n]
                b_0 += left_1[n] * t_0[n]
                b_1 += left_1[n] * t_1[n]
                b_2 += left_1[n] * t_2[n]
                b_3 += left_1[n] * t_3[n]
            sums[k, f] += a_0
            sums[k, f + 1] += a_1
            sums[k, f + 2] += a_2
            sums[k, f + 3] += a_3
            sums[k + 1, f] += b_0
            sums[k + 1, f + 1] += b_1
            sums[k + 1, f + 2] += b_2
            sums[k + 1, f + 3] += b_3
    if K % 2 == 1:
        last = left[K - 1]
        for f in range(0, F, 4):
            t_0, t_1, t_2, t_3 = features[f], features[f + 1], features[f + 2], features[f + 3]
            a_0 = a_1 = a_2 = a_3 = 0.0
            for n in range(B):
                a_0 += last[n] * t_0[n]
                a_1 += last[n] * t_1[n]
                a_2 += last[n] * t_2[n]
                a_3 += last[n] * t_3[n]
            sums[K - 1, f] += a_0
            sums[K - 1, f + 1] += a_1
            sums[K - 1, f + 2] += a_2
            sums[K - 1, f + 3] += a_3


@numba.njit(fastmath=ORDERED, error_model="numpy")
def normalise(
    log_joint: np.ndarray, K: int, row_weights: np.ndarray, start: int, B: int, top: np.ndarray, total: np.ndarray
) -> float:
    """Turn log_joint (K, B) into w_n r_nk in place, and return sum_n w_n log sum_k exp(log_joint).

    Row n of the block has row_weights[start + n], or all have the one weight there is.
    """
    for n in range(B):
        top[n] = log_joint[0, n]
        total[n] = 0.0
    for k in range(1, K):
        row = log_joint[k]
        for n in range(B):
            top[n] = row[n] if row[n] > top[n] else top[n]
    for n in range(B):
        # A row without density anywhere: 0 in place of -inf, so that exp gives 0 and the log below -inf.
        top[n] = top[n] if top[n] != -np.inf else 0.0
    for k in range(K):
        row = log_joint[k]
        for n in range(B):
            row[n] = exp_nonpositive(row[n] - top[n])
            total[n] += row[n]
    step = 1 if row_weights.shape[0] > 1 else 0
    for n in range(B):
        w = row_weights[step * (start + n)]
        # A row that does not count has no say, be it without density.
        top[n] = w * (top[n] + log_at_least_one(total[n])) if w != 0.0 else 0.0
        total[n] = w / total[n] if total[n] != 0.0 else 0.0
    for k in range(K):
        row = log_joint[k]
        for n in range(B):
            row[n] *= total[n]
    loglik = 0.0
    for n in range(B):
        loglik += top[n]
    return loglik
