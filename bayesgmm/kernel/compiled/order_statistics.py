"""Two quantiles of each of many columns, exact, by selection between thresholds that a sample suggests, compiled.

Few of the numbers lie beyond an equal-tailed interval's ends. A sample of S^(2/3) of them says where the ends surely
are not, and only the numbers beyond are looked at more closely (Floyd & Rivest 1975, once for both ends). They are put
together without branches, which random numbers would make the processor mispredict; and among them the one of a given
rank is found by bisection over all doubles, as integers in the same order: at most 64 counts, each of them vector
instructions. May
import NumPy, numba and the compiled arithmetic.
"""

import numba
import numpy as np

from bayesgmm.kernel.compiled.arithmetic import _bits, _double
from bayesgmm.tools.compiled import compiled

LANES = 8
"""Columns that are kept side by side: one line of the cache."""

MARGIN = 2.5
"""Standard errors of a sample's rank between a threshold and the end that it keeps clear of (2 to 3.5 tried)."""

STRIDE = 32
"""Keys are filled up to a multiple of it, so that counts are vector instructions to the end."""

LAST_KEY = np.iinfo(np.int64).max


@compiled(fastmath=False, error_model="numpy", nogil=True)
def ends(
    group: np.ndarray, j: int, below: float, above: float, values: np.ndarray, keys: np.ndarray
) -> tuple[float, float]:
    """Two quantiles of column j of several side by side, by NumPy's linear rule.

    Parameters
    ----------
    group : (S, LANES) float64
        Not changed. A column with NaN gives no meaningful numbers.
    j : int
    below, above : float
        Between 0 and 1, the first no larger than the second.
    values : (S,) float64
        Memory.
    keys : (S + `STRIDE`,) int64
        Memory.
    """
    S = group.shape[0]
    at_low, at_high = (S - 1) * below, (S - 1) * above
    needed_low, needed_high = min(int(at_low) + 2, S), S - int(at_high)
    m = min(S, int(S ** (2.0 / 3.0)) + 1)
    i_low, i_high = _place(needed_low, S, m), m - 1 - _place(needed_high, S, m)
    n_below = within = count = 0
    from_below = from_above = np.nan
    smallest = middle = largest = 0
    if i_low < i_high:
        step = S / m
        for i in range(m):
            keys[i] = _key(group[int(i * step), j])
        smallest, largest = _extremes(keys, m)
        _fill_up(keys, m)
        key_below, _ = _ranked(keys, m, i_low, smallest, largest, m)
        key_above, _ = _ranked(keys, m, i_high, key_below, largest, m)
        from_below, from_above = _from_key(key_below), _from_key(key_above)
        # One comparison for both: rounding keeps order, so that all beyond are below some number or above another.
        centre, half = 0.5 * (from_below + from_above), 0.5 * (from_above - from_below)
        count = _beyond(group, j, centre, half, values)
        middle = _key(centre)
        for i in range(count):
            keys[i] = _key(values[i])
            n_below += keys[i] < middle
        within = S - count
        smallest, largest = _extremes(keys, count)
        _fill_up(keys, count)
    n_above = count - n_below
    low = high = 0.0
    if needed_low <= n_below:
        low = _interpolated(keys, count, at_low, 0, smallest, middle, n_below)
    if needed_high <= n_above:
        high = _interpolated(keys, count, at_high, within, middle, largest, count)
    if needed_low > n_below:
        low = _among_all(group, j, at_low, from_below, keys)
    if needed_high > n_above:
        high = _among_all(group, j, at_high, from_above, keys)
    return low, high


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _beyond(group: np.ndarray, j: int, centre: float, half: float, values: np.ndarray) -> int:
    """Put together the numbers of column j further than `half` from the centre; how many they are."""
    count = 0
    for s in range(group.shape[0]):
        value = group[s, j]
        values[count] = value
        count += abs(value - centre) > half
    return count


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _place(needed: int, S: int, m: int) -> int:
    """Place in a sorted sample of m of S numbers that has `needed` of them before it, by `MARGIN` standard errors."""
    share = needed / S
    return int(np.ceil(m * share + MARGIN * np.sqrt(m * share * (1.0 - share))))


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _extremes(keys: np.ndarray, n: int) -> tuple[int, int]:
    smallest = largest = keys[0]
    for i in range(n):
        smallest, largest = min(smallest, keys[i]), max(largest, keys[i])
    return smallest, largest


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _fill_up(keys: np.ndarray, n: int) -> None:
    for i in range(n, n + STRIDE):
        keys[i] = LAST_KEY


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _among_all(group: np.ndarray, j: int, place: float, likely: float, keys: np.ndarray) -> float:
    """Quantile at `place` of the sorted column, where many are equal or the sample misled."""
    S = group.shape[0]
    less = equal = 0
    for s in range(S):
        value = group[s, j]
        keys[s] = _key(value)
        less += value < likely
        equal += value == likely
    rank = int(place)
    if less <= rank and min(rank + 1, S - 1) < less + equal:
        return likely
    smallest, largest = _extremes(keys, S)
    _fill_up(keys, S)
    return _interpolated(keys, S, place, 0, smallest, largest, S)


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _interpolated(
    keys: np.ndarray, n: int, place: float, left_out: int, at_least: int, at_most: int, n_low: int
) -> float:
    """Quantile at `place`, `left_out` numbers not being among the n; see `_ranked` for the rest."""
    rank = int(place)
    first, second = _ranked(keys, n, rank - left_out, at_least, at_most, n_low)
    left, right = _from_key(first), _from_key(second)
    fraction = place - rank
    gap = right - left
    # as NumPy does, from the nearer end
    return left + gap * fraction if fraction < 0.5 else right - gap * (1.0 - fraction)


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _ranked(keys: np.ndarray, n: int, rank: int, at_least: int, at_most: int, n_low: int) -> tuple[int, int]:
    """Keys of rank `rank` (from 0) and the next among the first n; the last is its own next.

    The first is known to be `at_least` so much and `at_most`, and `n_low` keys lie below the latter, or are all.
    """
    filled = (n + STRIDE - 1) // STRIDE * STRIDE
    # keys below `low` are no more than rank, those below `high` at least one more
    low, high = at_least, at_most + (1 if n_low == n else 0)
    while n_low != rank + 1 and low + 1 < high:
        bound = (low & high) + ((low ^ high) >> 1)
        count = 0
        for i in range(filled):
            count += keys[i] < bound
        # no branch: it would be mispredicted every other time
        few = count <= rank
        low = bound if few else low
        n_low = n_low if few else count
        high = high if few else bound
    left, right = at_least, LAST_KEY
    for i in range(filled):
        key = keys[i]
        left = max(left, key if key < high else at_least)
        right = min(right, key if key >= high else LAST_KEY)
    return left, left if n_low > rank + 1 or rank + 1 >= n else right


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _key(x: float) -> int:
    """Integer in the order of the doubles."""
    bits = _bits(x + 0.0)
    return bits ^ ((bits >> 63) & LAST_KEY)


@numba.njit(fastmath=False, error_model="numpy", nogil=True)
def _from_key(key: int) -> float:
    return _double(key ^ ((key >> 63) & LAST_KEY))
