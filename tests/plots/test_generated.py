"""Generated data over the real: histograms count every row, generated rows have their component's colour."""

import numpy as np
import pytest

import bayesgmm as bg
from tests.plots.test_density import xy
from tests.support import noisy


def test_panels_and_visuals(two, one):
    pc = bg.plot_generated(two.posterior, n_datasets=10, random_seed=0)
    assert list(pc.viz["plot"]["panel"].values) == ["feature_a", "feature_b", "feature_a, feature_b"]
    visuals = {"histogram", "band", "mean", "real", "generated", "xlabel", "ylabel", "legend"}
    assert set(pc.viz.children) == visuals
    assert set(bg.plot_generated(one.posterior, n_datasets=5).viz.children) == visuals - {"real", "generated"}


def test_the_outline_is_the_histogram_of_the_real_rows(two):
    pc = bg.plot_generated(two.fit, two.X, n_datasets=5, random_seed=0)
    x, y = xy(pc, "histogram", panel="feature_b")
    edges, heights = np.append(x[::2], x[-1]), y[::2]
    expected, _ = np.histogram(two.X["feature_b"], edges)
    np.testing.assert_allclose(heights * np.diff(edges) * len(two.X), expected, atol=1e-9)
    # the mean of generated histograms holds all but the rows beyond the edges
    x, y = xy(pc, "mean", panel="feature_b")
    assert (y[::2] * np.diff(edges)).sum() == pytest.approx(1, abs=0.02)


def test_every_generated_row_is_drawn_in_the_colour_of_its_component(two):
    pc = bg.plot_generated(two.posterior, n_datasets=2, random_seed=0)
    dots = pc.viz["generated"]["generated"].sel(panel="feature_a, feature_b")
    assert sum(len(dots.sel(component=k).item().get_offsets()) for k in range(2)) == len(two.X)
    colours = [tuple(dots.sel(component=k).item().get_facecolor()[0][:3]) for k in range(2)]
    assert colours[0] != colours[1]
    by_component = bg.plot_components(two.posterior, n_draws=2).viz["points"]["points"]
    assert colours[0] == tuple(by_component.sel(component=0).item().get_facecolor()[0][:3])


def test_at_most_four_features_unless_named(four):
    pc = bg.plot_generated(four.posterior, features=["feature_c", "feature_a"], n_datasets=2)
    assert list(pc.viz["plot"]["panel"].values) == ["feature_c", "feature_a", "feature_c, feature_a"]
    assert len(bg.plot_generated(four.posterior, n_datasets=2).viz["plot"]) == 10


def test_without_a_backend_the_visuals_are_described(two):
    assert "mean" in bg.plot_generated(two.posterior, n_datasets=2, backend="none").viz.children


def test_bad_arguments(two):
    with pytest.raises(ValueError, match="`n_datasets` must be an integer of at least 2"):
        bg.plot_generated(two.posterior, n_datasets=1)
    with pytest.raises(ValueError, match="keeps no data"):
        bg.plot_generated(two.fit)


def test_generated_noise_is_crosses():
    _, dt, _, X = noisy.noisy_posterior()
    made = bg.generate(dt, len(X), n_datasets=3, random_seed=0)["posterior_predictive"].to_dataset()
    pc = bg.plot_generated(dt, n_datasets=3, random_seed=0)
    crosses = pc.viz["noise"]["noise"].sel(panel="eruptions, waiting").item().get_offsets()
    label = made["component_label"].values[0, 0]
    np.testing.assert_allclose(crosses, made["x"].values[0, 0][label == -1])
