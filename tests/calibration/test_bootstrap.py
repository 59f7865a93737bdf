"""The bootstrap test of the number of components refuses as often as it says, and no more."""

import numpy as np
from scipy.stats import binom

from bayesgmm.bootstrap import bootstrap_test


def test_level_holds_over_repetitions():
    """At 20 %, 40 data sets of one component: the number refused is binomial, two-sided at 1e-4."""
    rng = np.random.default_rng(2)
    refused = sum(
        bootstrap_test(
            rng.normal(size=(30, 1)),
            1,
            covariance_type="E",
            n_bootstrap=9,
            n_init=1,
            random_seed=int(rng.integers(2**31)),
        ).p_value
        <= 0.2
        for _ in range(40)
    )
    low, high = binom.interval(1 - 1e-4, 40, 0.2)
    assert low <= refused <= high
