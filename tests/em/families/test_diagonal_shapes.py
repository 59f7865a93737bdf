"""EEI, VEI and EVI are EEE, VEE and EVV of features that are uncorrelated."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bayesgmm.em.families import covariance_family


@pytest.mark.parametrize(("code", "full"), [("EEI", "EEE"), ("VEI", "VEE"), ("EVI", "EVV"), ("VVI", "VVV")])
def test_they_are_the_full_families_of_diagonal_scatter(code, full, rng):
    s, N = rng.uniform(1, 9, size=(4, 3)), rng.uniform(5, 50, size=4)
    expected = covariance_family(full).maximise(s[:, :, None] * np.eye(3), N, None)
    assert_allclose(covariance_family(code).maximise(s, N, None), expected, rtol=1e-10, atol=1e-12)
