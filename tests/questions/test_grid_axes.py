"""Grids of a density: how far they reach, also where noise is in a hull, and what is refused."""

import pytest

import bayesgmm as bg
from bayesgmm.questions.grid_axes import grid_axes
from tests.support import noisy
from tests.support.posteriors import fake_posterior


def test_axes_reach_into_the_tails_of_every_draw():
    gm, dt, _ = fake_posterior()
    axes = grid_axes(dt, ["waiting"], 7, tail=0.01)
    assert list(axes) == ["waiting"] and len(axes["waiting"]) == 7
    ends = bg.cdf(bg.marginal(dt, "waiting"), axes["waiting"][[0, -1]])
    assert ends["cdf_upper"][0] <= 0.01 and ends["cdf_lower"][1] >= 0.99
    assert list(grid_axes(gm)) == ["eruptions", "waiting"]


def test_where_noise_is_in_a_hull_axes_reach_its_edges():
    fit, dt, _, _ = noisy.noisy_posterior(hull=True, draws=10)
    hull = fit.parameters_.noise.background
    for j, axis in enumerate(grid_axes(dt).values()):
        assert axis[0] <= hull.lower[j] and axis[-1] >= hull.upper[j]


def test_wrong_grids_are_refused():
    gm, _, _ = fake_posterior()
    with pytest.raises(ValueError, match="`n_points`"):
        grid_axes(gm, n_points=1)
    with pytest.raises(ValueError, match="`tail`"):
        grid_axes(gm, tail=0.7)
    with pytest.raises(ValueError, match="no feature 'height'"):
        grid_axes(gm, "height")
