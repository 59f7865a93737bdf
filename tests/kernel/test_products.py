"""Products cut into parts are the products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from bayesgmm.kernel import products
from bayesgmm.kernel.products import sums_of_features, times_features
from tests.support.strategies import seeds

sizes = {"M": st.integers(1, 9), "F": st.integers(1, 40), "B": st.integers(1, 300)}
limits = pytest.mark.parametrize("limit", [300, 3000, 10**6])


@limits
@given(seed=seeds, **sizes)
def test_cut_products_are_the_whole_ones(limit, seed, M, F, B):
    rng = np.random.default_rng(seed)
    features, coefficients, responsibilities = (rng.normal(size=shape) for shape in ((F, B), (M, F), (M, B)))
    out = np.full((M, B), np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "SMALL_PRODUCT", limit)
        assert times_features(coefficients, features, out) is out
        sums = sums_of_features(responsibilities, features)
    assert_allclose(out, np.einsum("mf,fb->mb", coefficients, features), rtol=1e-11, atol=1e-11)
    assert_allclose(sums, np.einsum("mb,fb->mf", responsibilities, features), rtol=1e-11, atol=1e-11)


def test_at_32_features_and_20_components_both_products_are_cut(monkeypatch):
    """The sizes that the cut is for: no part is larger than what BLAS takes to be small."""
    F, K, B = 561, 20, 902
    parts = []
    matmul = np.matmul

    def noted(a, b, out):
        parts.append(a.shape[-2] * a.shape[-1] * b.shape[-1])
        return matmul(a, b, out=out)

    monkeypatch.setattr(products.np, "matmul", noted)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(F, B))
    out = times_features(rng.normal(size=(K, F)), features, np.empty((K, B)))
    sums_of_features(out, features)
    assert len(parts) == 2
    assert 0.9 * products.SMALL_PRODUCT < min(parts) <= max(parts) <= products.SMALL_PRODUCT


def test_the_sums_do_not_depend_on_what_the_memory_held_before():
    rng = np.random.default_rng(1)
    K, F, B = 7, 300, 1000
    features, responsibilities = rng.normal(size=(F, B)), rng.random(size=(K, B))
    first = sums_of_features(responsibilities, features).copy()
    assert np.array_equal(sums_of_features(responsibilities, features), first)
