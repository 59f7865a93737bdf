"""One feature given another: the curve and its bands are those of `conditional_mean`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bayesgmm as bg
from bayesgmm.plots.conditional import component_lines
from bayesgmm.posterior.datatree import view
from tests.plots.test_density import xy
from tests.support import noisy


def test_the_curve_is_the_conditional_mean(two):
    pc = bg.plot_conditional(two.posterior, "feature_a", n_points=50)
    assert list(pc.viz["plot"]["feature"].values) == ["feature_b"]
    visuals = {"points", "predictive", "band", "mean", "components", "xlabel", "ylabel", "legend"}
    assert set(pc.viz.children) == visuals
    x, y = xy(pc, "mean")
    found = bg.conditional_mean(two.posterior, {"feature_a": x})
    assert_allclose(y, found["mean"].values[:, 0], rtol=1e-9)
    band = pc.viz["band"]["band"].item().get_paths()[0].vertices
    assert_allclose(band[:, 1].max(), found["mean_upper"].max(), rtol=1e-9)
    assert pc.viz["plot"].item().get_xlabel() == "feature_a"
    assert "band" not in bg.plot_conditional(two.fit, "feature_a", two.X).viz.children


def test_others_are_integrated_out(four):
    pc = bg.plot_conditional(four.posterior, 2, features=["feature_d", "feature_a"], n_points=20)
    assert list(pc.viz["plot"]["feature"].values) == ["feature_d", "feature_a"]
    x, y = xy(pc, "mean", feature="feature_a")
    alone = bg.conditional_mean(bg.marginal(four.posterior, ["feature_a", "feature_c"]), {"feature_c": x})
    assert_allclose(y, alone["mean"].values[:, 0], rtol=1e-9)


def test_lines_of_components_are_their_regressions_where_they_have_rows(two):
    x = np.linspace(-8, 8, 41)
    lines = component_lines(view(two.fit), x)
    assert lines.shape == (1, 2, 2, 41)
    share = bg.membership(bg.marginal(two.fit, "feature_a"), x[:, None])["probability"].values
    for k in range(2):
        S, m = two.fit.covariances_[k], two.fit.means_[k]
        expected = m[1] + S[0, 1] / S[0, 0] * (x - m[0])
        drawn = share[:, k] > 0.05
        assert_allclose(lines[0, k, 1][drawn], expected[drawn], rtol=1e-9)
        assert np.isnan(lines[0, k, 1][~drawn]).all()


def test_without_a_backend_the_visuals_are_described(two):
    assert "mean" in bg.plot_conditional(two.posterior, "feature_a", n_points=10, backend="none").viz.children


def test_bad_arguments(one, two):
    with pytest.raises(ValueError, match="has one feature"):
        bg.plot_conditional(one.posterior, 0)
    with pytest.raises(ValueError, match="no feature 'height'"):
        bg.plot_conditional(two.posterior, "height")
    with pytest.raises(ValueError, match="which is given: leave it out"):
        bg.plot_conditional(two.posterior, "feature_a", features=["feature_a"])
    with pytest.raises(ValueError, match="keeps no data"):
        bg.plot_conditional(two.fit, "feature_a")


def test_the_expected_value_with_noise_is_drawn():
    _, dt, _, _X = noisy.noisy_posterior()
    pc = bg.plot_conditional(dt, "waiting", n_points=20)
    x, y = pc.viz["mean"]["mean"].item().get_data()
    np.testing.assert_allclose(y, bg.conditional_mean(dt, {"waiting": x})["mean"].values[:, 0], rtol=1e-9)
