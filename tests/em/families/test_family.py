"""Every family keeps its promises: counts, shapes, invariances, and an M-step that nothing in the family beats."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from bayesgmm.em.collapse import CollapseError
from bayesgmm.em.families import FAMILIES, ONE_DIMENSIONAL, check_dimension, covariance_family, families_for
from bayesgmm.em.m_step import maximise
from bayesgmm.kernel.moments import Moments
from bayesgmm.kernel.statistics import SufficientStatistics
from tests.support import oracle
from tests.support.strategies import random_covariances, random_mixture, seeds
from tests.support.truth import mclust_fits

EVERY = [*FAMILIES.values(), *ONE_DIMENSIONAL.values()]
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def random_scatter(rng, K, D, *, diagonal):
    """Scatter matrices and expected rows, as an E-step might hand over."""
    N = rng.uniform(5, 50, size=K)
    scatter = random_covariances(rng, (K,), D) * N[:, None, None]
    return (np.diagonal(scatter, axis1=1, axis2=2) if diagonal else scatter), N, scatter


def begin(family, scatter, N):
    """Where an iterative M-step begins that is exact only from somewhere."""
    return family.maximise(scatter, N) if family.code in ("EVE", "VVE") else None


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds)
def test_the_m_step_beats_every_perturbation_inside_the_family(family, K, D, seed):
    rng = np.random.default_rng(seed)
    scatter, N, full_scatter = random_scatter(rng, K, D, diagonal=family.diagonal)
    weights, means = N / N.sum(), np.zeros((K, D))

    def value(free):
        mixture = oracle.from_free(free, family.name, K, D)
        return oracle.expected_complete_log_likelihood(N, np.zeros((K, D)), full_scatter, mixture)

    best = oracle.MixtureParameters.from_covariances(
        weights, means, family.maximise(scatter, N, begin(family, scatter, N))
    )
    point = oracle.to_free(best, family.name)
    top = value(point)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(5):
            assert value(point + size * rng.normal(size=point.shape)) <= top + 1e-9 * abs(top)


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds)
def test_the_m_step_lands_in_the_family(family, K, D, seed):
    """Volumes, shapes and orientations are common where mclust's code says E."""
    rng = np.random.default_rng(seed)
    scatter, N, _ = random_scatter(rng, K, D, diagonal=family.diagonal)
    found = oracle.MixtureParameters.from_covariances(N / N.sum(), np.zeros((K, D)), family.maximise(scatter, N))
    again = oracle.from_free(oracle.to_free(found, family.name), family.name, K, D)
    assert_allclose(again.covariances, found.covariances, rtol=1e-9, atol=1e-10 * np.abs(found.covariances).max())


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds, near=st.booleans())
def test_an_m_step_that_begins_somewhere_is_never_worse_than_there(family, K, D, seed, near):
    rng = np.random.default_rng(seed)
    first, M, _ = random_scatter(rng, K, D, diagonal=family.diagonal)
    scatter, N, full_scatter = random_scatter(rng, K, D, diagonal=family.diagonal)
    previous = family.maximise(0.99 * scatter + 0.01 * first if near else first, N if near else M)

    def value(covariances):
        mixture = oracle.MixtureParameters.from_covariances(N / N.sum(), np.zeros((K, D)), covariances)
        return oracle.expected_complete_log_likelihood(N, np.zeros((K, D)), full_scatter, mixture)

    found = family.maximise(scatter, N, previous)
    assert value(found) >= value(previous) - 1e-12 * abs(value(previous))
    again = family.maximise(scatter, N, found)
    assert_allclose(again, found, rtol=1e-9, atol=1e-9 * np.abs(found).max())


@families
def test_a_component_without_spread_is_held_by_the_floor_or_refused_without_a_warning(family):
    """One component is a single row many times over."""
    C = np.array([[[4.0, 1.0], [1.0, 2.0]], np.zeros((2, 2)), [[3.0, -1.0], [-1.0, 5.0]]]) * 20
    S2 = np.diagonal(C, axis1=1, axis2=2) if family.diagonal else C
    statistics = SufficientStatistics(0.0, np.full(3, 20.0), np.zeros((3, 2)), S2, np.zeros(2), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held, floored = maximise(statistics, family, np.full(2, 1e-3))
        assert np.linalg.eigvalsh(held.covariances).min() > 0.999e-3
        # a common volume and shape cannot collapse for one component alone
        common = family.code[:2] in ("EE", "EI")
        assert floored == (() if common else (1,))
        if common:
            maximise(statistics, family, np.zeros(2))
        else:
            with pytest.raises(CollapseError, match="collapsed"):
                maximise(statistics, family, np.zeros(2))


def codes_where(fact):
    return {family.code for family in EVERY if fact(family)}


def test_what_is_true_of_a_family_follows_from_its_code():
    """Written out: what other rooms ask of a family, and which answer yes."""
    linear = {"EII", "VII", "EEI", "VVI", "EEE", "VVV", "E", "V"}
    assert codes_where(lambda family: family.linear) == linear
    assert codes_where(lambda family: family.common) == {"EII", "EEI", "EEE", "E"}
    assert codes_where(lambda family: family.free) == {"VVV", "V"}
    assert codes_where(lambda family: family.spherical) == {"EII", "VII"}
    assert codes_where(lambda family: family.diagonal) == {"EII", "VII", "EEI", "VEI", "EVI", "VVI"}
    assert codes_where(lambda family: not family.per_column) == {"EII", "VII", "EVE", "VVE", "EEV", "VEV"}
    assert codes_where(lambda family: family.divides_by_determinant) == {"EVI", "EVV", "EVE", "VVE"}
    assert codes_where(lambda family: not family.shrinks_alone) == {"EII", "EEI", "EEE", "EEV", "E"}
    whole = {"VII", "VEI", "VEE", "VEV"}
    assert codes_where(lambda family: family.shrinks_alone and not family.shrinks_in_one_direction) == whole
    assert codes_where(lambda family: family.one_dimensional) == {"E", "V"}


def test_a_family_names_the_moments_that_its_m_step_reads():
    moments = {family.code: family.moments for family in EVERY}
    own, pooled = dict.fromkeys(moments, Moments.FULL), {"EEE": Moments.POOLED, "E": Moments.POOLED}
    own |= dict.fromkeys(("VEI", "EVI", "VVI"), Moments.DIAGONAL) | {"VII": Moments.TRACE}
    pooled |= {"EEI": Moments.POOLED_DIAGONAL, "EII": Moments.POOLED_TRACE}
    assert moments == own | pooled


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds)
def test_the_m_step_reads_no_other_moments(family, K, D, seed):
    """What `moments` leaves out may be anything: the covariances stay as they are."""
    rng = np.random.default_rng(seed)
    scatter, N, _ = random_scatter(rng, K, D, diagonal=family.diagonal)
    changed = scatter.copy()
    if family.moments.ndim == 0:
        changed = np.repeat(scatter.mean(axis=1, keepdims=True), D, axis=1)
    if family.moments.pooled:
        changed = (N / N.sum()).reshape(-1, *[1] * (scatter.ndim - 1)) * changed.sum(axis=0)
    assert_allclose(family.maximise(changed, N), family.maximise(scatter, N), rtol=1e-12)


def test_scikit_learn_has_four_families_and_a_wider_one_for_the_others():
    named = {family.code: family.scikit_learn_name for family in EVERY}
    others = dict.fromkeys(("EII", "EEI", "VEI", "EVI"), "diag")
    own = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}
    assert named == dict.fromkeys(named, "full") | others | own


@families
def test_the_m_step_divides_by_a_determinant_exactly_where_it_says_so(family):
    """A scatter of rank one: a component that shares its shape is whole, one with its own volume and shape is flat."""
    C = np.array([np.diag([4.0, 2.0]), np.diag([3.0, 0.0]), np.diag([1.0, 5.0])]) * 20
    scatter = np.diagonal(C, axis1=1, axis2=2) if family.diagonal else C
    found = family.maximise(scatter, np.full(3, 20.0))
    assert family.divides_by_determinant == (family.code in ("EVI", "EVV", "EVE", "VVE"))
    if family.code[1] in "EI":
        assert np.linalg.eigvalsh(found).min() > 0.1
    elif not family.divides_by_determinant:
        assert np.linalg.eigvalsh(found)[1].min() == 0


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4))
def test_the_count_of_parameters_is_the_number_of_free_coordinates(family, K, D):
    mixture = random_mixture(np.random.default_rng(0), K, D, diagonal=True)
    assert family.n_parameters(K, D) == len(oracle.to_free(mixture, family.name))


@families
def test_the_count_of_parameters_is_mclusts(family):
    for name, D in (("faithful", 2), ("iris", 4)):
        fits = [fit for fit in mclust_fits(name).values() if fit["model"] == family.code]
        assert len(fits) >= 6
        for fit in fits:
            assert family.n_parameters(fit["G"], D) == fit["df"]


@families
@given(K=st.integers(1, 4), D=st.integers(1, 4), seed=seeds, column=st.floats(1e-3, 1e3))
def test_the_m_step_follows_the_units_it_says_it_follows(family, K, D, seed, column):
    rng = np.random.default_rng(seed)
    scatter, N, _ = random_scatter(rng, K, D, diagonal=family.diagonal)
    factor = np.full(D, 0.01)
    if family.per_column:
        factor[0] *= column
    squares = factor**2 if family.diagonal else factor[:, None] * factor
    expected = family.maximise(scatter, N)
    found = family.maximise(scatter * squares, N) / (factor[:, None] * factor)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


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
    theirs = {"tied": (D, D), "diag": (K, D), "spherical": (K,)}
    assert packed.shape == theirs.get(family.name, (K, D, D))
    assert_array_equal(family.unpack(packed, K, D), covariances)


@families
def test_the_floor_is_common_where_columns_share_a_scale(family):
    floor = family.floor_variances(np.array([1.0, 3.0]))
    assert_array_equal(floor, [1.0, 3.0] if family.per_column else [2.0, 2.0])


def test_families_are_found_by_either_name():
    for family in EVERY:
        assert covariance_family(family.name) is family
        assert covariance_family(family.code) is family
    assert {family.code: name for name, family in FAMILIES.items() if name != family.code} == {
        "VVV": "full",
        "EEE": "tied",
        "VVI": "diag",
        "VII": "spherical",
    }


def test_families_are_in_mclusts_order():
    codes = "EII VII EEI VEI EVI VVI EEE VEE EVE VVE EEV VEV EVV VVV".split()
    assert [family.code for family in FAMILIES.values()] == codes
    assert [family.code for family in families_for(2)] == [family.code for family in families_for(7)] == codes
    assert [family.code for family in families_for(1)] == ["E", "V"]


def test_families_of_one_feature_refuse_more():
    for family in EVERY:
        check_dimension(family, 1)
    for family in FAMILIES.values():
        check_dimension(family, 2)
    with pytest.raises(ValueError, match=r"'V' is for one feature; the data has 3.*'full' \(VVV\)"):
        check_dimension(ONE_DIMENSIONAL["V"], 3)
    with pytest.raises(ValueError, match=r"'E' is for one feature; the data has 2.*'tied' \(EEE\)"):
        check_dimension(ONE_DIMENSIONAL["E"], 2)


@pytest.mark.parametrize("wrong", ["round", "FULL", "", 3, None, ["full"]])
def test_an_unknown_family_is_answered_with_the_known_ones(wrong):
    with pytest.raises(
        ValueError,
        match=r"`covariance_type` must be one of 'EII', 'spherical' \(VII\).*'full' \(VVV\), 'E', 'V'; received",
    ):
        covariance_family(wrong)
