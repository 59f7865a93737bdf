"""A background is a region with a volume: its laws, against triangulations and sums over boxes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.spatial import Delaunay

from bayesgmm.mixture.noise import MOST_HULL_FEATURES, Background, BackgroundError, Noise
from tests.support.strategies import random_rows, seeds


def simplices_volume(rows):
    """Volume of the hull of rows (N, D), added up over the simplices of a triangulation."""
    corners = rows[Delaunay(rows).simplices]
    edges = corners[:, 1:] - corners[:, :1]
    factorial = np.prod(np.arange(1, rows.shape[1] + 1))
    return np.abs(np.linalg.det(edges)).sum() / factorial


def test_a_box_has_the_product_of_its_widths():
    box = Background.box([0.0, -2.0, 5.0], [1.0, 2.0, 7.5])
    assert_allclose(box.log_volume, np.log(1.0 * 4.0 * 2.5), rtol=1e-14)
    assert box.n_features == 3 and box.facets is None


def test_the_box_around_rows_touches_them_and_passes_over_what_is_missing():
    rows = np.array([[0.0, np.nan], [3.0, -1.0], [np.nan, 4.0], [1.0, 2.0]])
    box = Background.around(rows)
    assert_array_equal(box.lower, [0.0, -1.0])
    assert_array_equal(box.upper, [3.0, 4.0])


@settings(max_examples=20)
@given(seed=seeds, D=st.integers(1, 4))
def test_a_hulls_volume_is_that_of_its_simplices(seed, D):
    rows = random_rows(np.random.default_rng(seed), 30, D)
    hull = Background.hull(rows)
    expected = np.ptp(rows) if D == 1 else simplices_volume(rows)
    assert_allclose(hull.log_volume, np.log(expected), atol=1e-9)
    assert hull.log_volume <= Background.around(rows).log_volume + 1e-12


@settings(max_examples=20)
@given(seed=seeds, D=st.integers(2, 3))
def test_a_hulls_volume_grows_by_the_determinant_of_a_linear_map(seed, D):
    rng = np.random.default_rng(seed)
    rows, A = random_rows(rng, 20, D), rng.normal(size=(D, D)) + 2 * np.eye(D)
    moved = Background.hull(rows @ A.T + rng.normal(size=D))
    assert_allclose(moved.log_volume - Background.hull(rows).log_volume, np.linalg.slogdet(A)[1], atol=1e-8)


def test_a_cubes_hull_is_the_cube():
    corners = np.array(np.meshgrid(*[[0.0, 2.0]] * 3)).reshape(3, -1).T
    assert_allclose(Background.hull(corners).log_volume, 3 * np.log(2.0), atol=1e-12)


@settings(max_examples=20)
@given(seed=seeds, D=st.integers(1, 4), unit=st.sampled_from([1e-6, 1.0, 1e6]))
def test_a_hull_has_its_own_rows_inside_whatever_their_unit(seed, D, unit):
    rows = random_rows(np.random.default_rng(seed), 40, D) * unit ** np.arange(1, D + 1)
    assert Background.hull(rows).contains(rows).all()


@settings(max_examples=20)
@given(seed=seeds, D=st.integers(2, 4))
def test_inside_a_hull_is_inside_one_of_its_simplices(seed, D):
    rng = np.random.default_rng(seed)
    rows, others = rng.normal(size=(25, D)), rng.normal(size=(200, D))
    inside = Background.hull(rows).contains(others)
    assert_array_equal(inside, Delaunay(rows).find_simplex(others) >= 0)


def test_the_edge_of_a_box_is_inside_and_what_is_missing_is_not():
    box = Background.box([0.0, 0.0], [1.0, 2.0])
    rows = [[0.0, 2.0], [1.0, 0.0], [1.0 + 1e-12, 0.0], [-1e-300, 1.0], [np.nan, 1.0]]
    assert_array_equal(box.contains(np.array(rows)), [True, True, False, False, False])


def test_rows_drawn_from_a_box_are_uniform(rng):
    box = Background.box([0.0, -3.0], [1.0, 9.0])
    for j, column in enumerate(box.draw(20_000, rng).T):
        # p > 1e-6 is about five standard errors
        assert stats.kstest(column, stats.uniform(box.lower[j], box.upper[j] - box.lower[j]).cdf).pvalue > 1e-6


def test_rows_drawn_from_a_hull_are_uniform(rng):
    """Of a triangle: barycentric coordinates are Dirichlet(1, 1, 1), each of them Beta(1, 2)."""
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [1.0, 2.0]])
    rows = Background.hull(corners).draw(20_000, rng)
    last = np.linalg.solve((corners[1:] - corners[0]).T, (rows - corners[0]).T)
    for share in (*last, 1 - last.sum(axis=0)):
        assert stats.kstest(share, stats.beta(1, 2).cdf).pvalue > 1e-6


def test_as_many_rows_are_drawn_as_asked_for(rng):
    for background in (Background.box([0.0], [1.0]), Background.hull(rng.normal(size=(9, 2)))):
        for size in (0, 1, 77):
            assert background.draw(size, rng).shape == (size, background.n_features)


def test_a_boxs_marginal_is_the_box_of_the_features_in_their_order():
    box = Background.box([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    some = box.marginal([2, 0])
    assert_array_equal(some.lower, [2.0, 0.0])
    assert_array_equal(some.upper, [5.0, 1.0])
    assert_allclose(some.log_volume, np.log(3.0))
    assert box.marginal([2, 0]) is some, "what is known of rows is remembered by the object"
    assert box.marginal(range(3)) is box


def test_a_hull_has_no_marginal_but_itself(rng):
    hull = Background.hull(rng.normal(size=(9, 2)))
    assert hull.marginal([0, 1]) is hull
    with pytest.raises(BackgroundError, match="fit with the box"):
        hull.marginal([0])


@pytest.mark.parametrize("kind", ["box", "hull"])
def test_it_comes_back_from_json_to_the_last_bit(kind, rng):
    rows = rng.normal(size=(20, 3))
    first = Background.around(rows) if kind == "box" else Background.hull(rows)
    again = Background.from_json(json.loads(json.dumps(first.to_json())))
    assert first.same_as(again) and again.log_volume == first.log_volume


WRONG = {
    "no width": (lambda: Background.box([0.0, 1.0], [1.0, 1.0]), "no width in feature 1: its edges are 1 and 1"),
    "upside down": (lambda: Background.box([2.0], [1.0]), "feature 0"),
    "NaN": (lambda: Background.box([np.nan], [1.0]), "feature 0"),
    "infinite": (lambda: Background.box([0.0], [np.inf]), "finite"),
    "unequal": (lambda: Background.box([0.0, 1.0], [1.0]), r"received \(2,\), \(1,\)"),
    "missing": (lambda: Background.hull(np.array([[0, 1], [1, 0], [0, 0], [1, np.nan]])), "some values are missing"),
    "line": (lambda: Background.hull(np.arange(10.0)[:, None] * [1.0, 2.0]), "in a plane"),
    "many": (
        lambda: Background.hull(np.random.default_rng(0).normal(size=(30, MOST_HULL_FEATURES + 1))),
        "9 features has too many facets",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_regions_without_a_volume_are_refused(name):
    make, message = WRONG[name]
    with pytest.raises(BackgroundError, match=message):
        make()


def test_shares_of_noise_have_logarithms_down_to_nothing_and_up_to_all():
    noise = Noise(np.array([0.0, 0.25, 1.0]), Background.box([0.0], [1.0]))
    assert_array_equal(noise.log_weight, [-np.inf, np.log(0.25), 0.0])
    assert_allclose(noise.log_rest, [0.0, np.log(0.75), -np.inf])
    assert noise[1].weight == 0.25 and noise[1].background is noise.background
