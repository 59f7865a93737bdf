"""Selection gives NumPy's quantiles, to the last digit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from bayesgmm.kernel.compiled.order_statistics import LANES, STRIDE, ends
from tests.support.strategies import seeds


def both(draws, below, above):
    """Two quantiles of up to `LANES` columns."""
    S, M = draws.shape
    group = np.full((S, LANES), np.nan)
    group[:, :M] = draws
    memory = np.empty(S), np.empty(S + STRIDE, dtype=np.int64)
    return np.array([ends(group, j, below, above, *memory) for j in range(M)]).T


@given(
    seed=seeds, S=st.integers(1, 3000), tail=st.floats(0.0005, 0.5), digits=st.sampled_from([0, 1, 2, 17]),
    spread=st.sampled_from([1e-300, 1.0, 1e300]),
)  # fmt: skip
def test_is_numpys_quantile(seed, S, tail, digits, spread):
    draws = np.random.default_rng(seed).normal(size=(S, LANES)).round(digits) * spread
    kept = draws.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        assert_array_equal(both(draws, tail, 1 - tail), np.quantile(draws, [tail, 1 - tail], axis=0))
    assert_array_equal(draws, kept)


def test_memberships_of_nearly_and_exactly_zero_and_one(rng):
    draws = rng.beta(0.01, 0.02, size=(1000, LANES)).round(12)
    draws[:, 1], draws[:, 2], draws[:, 3] = 0.0, 1.0, 1e-300 * draws[:, 3]
    draws[:, 4] = np.where(rng.random(1000) < 0.07, draws[:, 4], 1.0)
    draws[:, 5] = 1 - 1e-16 * rng.integers(4, size=1000)
    assert_array_equal(both(draws, 0.055, 0.945), np.quantile(draws, [0.055, 0.945], axis=0))


def test_sorted_draws_and_draws_whose_sample_misleads(rng):
    draws = np.sort(rng.normal(size=(4000, LANES)), axis=0)
    draws[:, 1] = draws[::-1, 1]
    # the sample takes the smallest, or the largest, and hardly any other
    m = int(4000 ** (2 / 3)) + 1
    for j, order in ((2, 1), (3, -1)):
        taken = np.isin(np.arange(4000), np.arange(m) * 4000 // m)
        draws[:, j] = draws[np.argsort(np.argsort(~taken, kind="stable"), kind="stable"), j]
        draws[:, j] *= order
    assert_array_equal(both(draws, 0.055, 0.945), np.quantile(draws, [0.055, 0.945], axis=0))
