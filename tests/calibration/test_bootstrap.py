"""The bootstrap test of the number of components rejects as often as it says where it should not, and where it should.

With 19 simulated data sets p is at most 5 % where the statistic is above all of theirs: one time in twenty, exactly so
where its distribution does not depend on the parameters (one component), nearly so where it hardly does (two that are
apart).
"""

import numpy as np
import pytest

from bayesgmm.selection.bootstrap_test import bootstrap_test

K_SE = 3.0
LEVEL = 0.05
N_ROWS = 100
N_SETS = 200


def rejected(n_components: int, apart: float, n_groups: int, data_set: int) -> bool:
    """Whether K components are rejected for one data set of groups with a spread of one, so far apart."""
    rng = np.random.default_rng([n_components, n_groups, data_set])
    X = rng.normal(size=N_ROWS) + apart * rng.integers(n_groups, size=N_ROWS)
    seed = int(rng.integers(2**31))
    found = bootstrap_test(X[:, None], n_components, covariance_type="E", n_bootstrap=19, n_init=1, random_seed=seed)
    return found.p_value <= LEVEL


@pytest.mark.parametrize("n_components", [1, 2])
def test_level_is_five_per_cent(n_components):
    """Data of K groups, six standard deviations apart: K is rejected for K + 1 in 5 %, within three standard errors."""
    n = sum(rejected(n_components, 6.0, n_components, data_set) for data_set in range(N_SETS))
    error = np.sqrt(N_SETS * LEVEL * (1 - LEVEL))
    print(f"K = {n_components}: {n} of {N_SETS} rejected, expected {N_SETS * LEVEL:.0f}, standard error {error:.1f}")
    assert abs(n - N_SETS * LEVEL) <= K_SE * error


def test_two_groups_are_told_from_one():
    """Four standard deviations apart: one component is rejected in nearly every data set of 40."""
    assert sum(rejected(1, 4.0, 2, data_set) for data_set in range(40)) >= 38
