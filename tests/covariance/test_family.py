"""Every family keeps its promises: counts, shapes, invariances, and an M-step that nothing in the family beats."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.covariance import FAMILIES, covariance_family
from tests import oracle
from tests.strategies import random_covariances, random_mixture, seeds

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def random_scatter(rng, K, D, *, diagonal):
    """Scatter matrices and expected rows, as an E-step might hand over."""
    N = rng.uniform(5, 50, size=K)
    scatter = random_covariances(rng, (K,), D) * N[:, None, None]
    return (np.diagonal(scatter, axis1=1, axis2=2) if diagonal else scatter), N, scatter


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds)
def test_the_m_step_beats_every_perturbation_inside_the_family(family, K, D, seed):
    rng = np.random.default_rng(seed)
    scatter, N, full_scatter = random_scatter(rng, K, D, diagonal=family.diagonal)
    weights, means = N / N.sum(), np.zeros((K, D))

    def value(free):
        mixture = oracle.from_free(free, family.name, K, D)
        return oracle.expected_complete_log_likelihood(N, np.zeros((K, D)), full_scatter, mixture)

    best = oracle.MixtureParameters.from_covariances(weights, means, family.maximise(scatter, N))
    point = oracle.to_free(best, family.name)
    top = value(point)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(5):
            assert value(point + size * rng.normal(size=point.shape)) <= top + 1e-9 * abs(top)


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4))
def test_the_count_of_parameters_is_the_number_of_free_coordinates(family, K, D):
    mixture = random_mixture(np.random.default_rng(0), K, D, diagonal=True)
    assert family.n_parameters(K, D) == len(oracle.to_free(mixture, family.name))


@families
def test_the_count_of_parameters_is_mclusts(family, truth):
    for name, D in (("faithful", 2), ("iris", 4)):
        fits = json.loads((truth / "mclust" / f"{name}_tight_fits.json").read_text())
        for K in range(1, 10):
            if f"{family.code}_{K}" in fits:
                assert family.n_parameters(K, D) == fits[f"{family.code}_{K}"]["df"]


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds, column=st.floats(1e-3, 1e3))
def test_the_m_step_follows_the_units_it_says_it_follows(family, K, D, seed, column):
    rng = np.random.default_rng(seed)
    scatter, N, _ = random_scatter(rng, K, D, diagonal=family.diagonal)
    factor = np.full(D, 0.01)
    if family.per_column:
        factor[0] *= column
    squares = factor**2 if family.diagonal else factor[:, None] * factor
    expected = family.maximise(scatter, N) * factor[:, None] * factor
    assert_allclose(family.maximise(scatter * squares, N), expected, rtol=1e-12, atol=1e-300)


@families
def test_only_families_that_say_so_follow_a_unit_per_column(family):
    rng = np.random.default_rng(0)
    scatter, N, _ = random_scatter(rng, 2, 3, diagonal=family.diagonal)
    factor = np.array([1.0, 10.0, 1.0])
    squares = factor**2 if family.diagonal else factor[:, None] * factor
    follows = np.allclose(
        family.maximise(scatter * squares, N), family.maximise(scatter, N) * factor[:, None] * factor, rtol=1e-6
    )
    assert follows == family.per_column


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds)
def test_packing_has_scikit_learns_shape_and_loses_nothing(family, K, D, seed):
    rng = np.random.default_rng(seed)
    scatter, N, _ = random_scatter(rng, K, D, diagonal=family.diagonal)
    covariances = family.maximise(scatter, N)
    assert covariances.shape == (K, D, D)
    packed = family.pack(covariances)
    assert packed.shape == {"full": (K, D, D), "tied": (D, D), "diag": (K, D), "spherical": (K,)}[family.name]
    assert_array_equal(family.unpack(packed, K, D), covariances)


@families
def test_the_floor_is_common_where_columns_share_a_scale(family):
    floor = family.floor_variances(np.array([1.0, 3.0]))
    assert_array_equal(floor, [1.0, 3.0] if family.per_column else [2.0, 2.0])


def test_families_are_found_by_either_name():
    for family in FAMILIES.values():
        assert covariance_family(family.name) is family
        assert covariance_family(family.code) is family
    assert {
        name: family.code for name, family in FAMILIES.items() if name in ("full", "tied", "diag", "spherical")
    } == {
        "full": "VVV",
        "tied": "EEE",
        "diag": "VVI",
        "spherical": "VII",
    }


@pytest.mark.parametrize("wrong", ["round", "FULL", "", 3, None, ["full"]])
def test_an_unknown_family_is_answered_with_the_known_ones(wrong):
    with pytest.raises(
        ValueError, match=r"`covariance_type` must be one of 'full' \(VVV\).*'spherical' \(VII\).*received"
    ):
        covariance_family(wrong)
