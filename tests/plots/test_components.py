"""Components: the ellipses are those of the draws, and hold their share."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

import bayesgmm as bg
from bayesgmm.plots.components import ellipses
from bayesgmm.plots.curves import component_densities, mean_component_densities
from bayesgmm.posterior.datatree import view
from bayesgmm.questions.membership import membership
from tests.support import noisy


def test_visuals(two, one):
    pc = bg.plot_components(two.posterior, n_draws=5)
    assert set(pc.viz.children) == {"points", "ellipses", "em", "xlabel", "ylabel", "legend"}
    assert {len(lines) for lines in pc.viz["ellipses"]["ellipses"].values.ravel()} == {5}
    assert {line.get_linestyle() for lines in pc.viz["em"]["em"].values.ravel() for line in lines} == {"--"}
    curves = bg.plot_components(one.posterior, n_draws=5)
    assert set(curves.viz.children) == {"rug", "curves", "em", "xlabel", "ylabel", "legend"}


def test_a_fit_has_one_ellipse_for_each_component(two):
    pc = bg.plot_components(two.fit, two.X)
    assert [len(lines) for lines in pc.viz["ellipses"]["ellipses"].values.ravel()] == [1, 1]
    assert "em" not in pc.viz.children


def test_no_more_draws_than_there_are(two):
    pc = bg.plot_components(two.posterior, n_draws=1000)
    assert {len(lines) for lines in pc.viz["ellipses"]["ellipses"].values.ravel()} == {40}


@pytest.mark.parametrize("prob", [0.5, 0.89])
def test_an_ellipse_holds_its_share(four, prob):
    parameters, pair = view(four.posterior).parameters, [3, 1]
    marginal = parameters.marginal(pair)
    away = ellipses(parameters, pair, prob).swapaxes(0, 1) - marginal.means[..., None]  # (S, K, 2, points)
    distance = np.einsum("skip,skij,skjp->skp", away, np.linalg.inv(marginal.covariances), away)
    np.testing.assert_allclose(distance, chi2.ppf(prob, df=2), rtol=1e-9)


def test_a_panel_for_each_pair(four):
    pc = bg.plot_components(four.posterior, n_draws=2)
    assert pc.viz["plot"].sizes == {"pair": 6}
    chosen = bg.plot_components(four.posterior, n_draws=2, features=("feature_d", "feature_a"))
    assert list(chosen.viz["plot"]["pair"].values) == ["feature_d, feature_a"]
    lines = chosen.viz["ellipses"]["ellipses"].sel(component=0).item()
    outline = np.stack(lines[0].get_data())
    np.testing.assert_allclose(outline, ellipses(view(four.posterior).parameters, [3, 0], 0.89)[0, 0])


def test_points_have_the_colour_of_their_most_probable_component(two):
    label = membership(two.posterior)["label"].values
    known = membership(two.posterior)
    for stats in (None, {"membership": known}):
        points = bg.plot_components(two.posterior, n_draws=2, stats=stats).viz["points"]["points"]
        for k in range(2):
            drawn = points.sel(component=k).item().get_offsets()
            np.testing.assert_allclose(drawn, two.X.values[label == k])


def test_at_most_5000_points_are_drawn(many):
    points = bg.plot_components(many.posterior, n_draws=2).viz["points"]["points"].values.ravel()
    assert sum(len(dots.get_offsets()) for dots in points) == 5000


def test_bad_arguments(two):
    with pytest.raises(ValueError, match="`n_draws` must be an integer of at least 1"):
        bg.plot_components(two.posterior, n_draws=0)
    with pytest.raises(ValueError, match="`prob` must be strictly between 0 and 1"):
        bg.plot_components(two.posterior, prob=1)
    with pytest.raises(ValueError, match=r"stats\[\"membership\"\] has 10 rows, and the data 150"):
        bg.plot_components(two.posterior, stats={"membership": membership(two.posterior, two.X[:10])})


def test_rows_of_noise_are_crosses_of_no_component():
    _, dt, _, X = noisy.noisy_posterior()
    label = membership(dt)["label"].values
    pc = bg.plot_components(dt, n_draws=2)
    np.testing.assert_allclose(pc.viz["noise"]["noise"].item().get_offsets(), X.values[label == -1])
    drawn = [dots.get_offsets() for dots in pc.viz["points"]["points"].values.ravel()]
    assert sum(map(len, drawn)) == (label >= 0).sum()
    texts = [text.get_text() for text in pc.viz["figure"].item().legends[0].get_texts()]
    assert texts[-2:] == ["noise", f"{len(X)} rows"]
    assert "noise" not in bg.plot_components(dt, n_draws=2, visuals={"noise": False}).viz.children
    one = bg.plot_components(bg.marginal(dt, "waiting"), n_draws=2)
    alone = membership(bg.marginal(dt, "waiting"))["label"].values
    np.testing.assert_allclose(one.viz["noise"]["noise"].item().get_offsets()[:, 0], X.values[alone == -1, 1])


def test_curves_are_the_shares_that_noise_leaves():
    _fit, _, draws, _ = noisy.noisy_posterior(hull=True, draws=10)
    points = np.array([50.0, 80.0])
    found = component_densities(draws, 1, points)
    sd = np.sqrt(draws.covariances[..., 1, 1])
    expected = draws.weights * norm.pdf(points[:, None, None], draws.means[..., 1], sd)
    np.testing.assert_allclose(found, expected * (1 - draws.noise.weight)[:, None], rtol=1e-9)
    np.testing.assert_allclose(mean_component_densities(draws, 1, points), found.mean(axis=1), rtol=1e-9)


def test_without_a_backend_noise_has_no_property_of_one_plotting_library():
    backend = "none"
    _, dt, _, _ = noisy.noisy_posterior()
    for picture in (bg.plot_components, bg.plot_membership, bg.plot_density):
        assert "noise" in picture(dt, backend=backend).viz.children
    for picture in (bg.plot_generated, bg.plot_coclustering):
        assert "noise" in picture(dt, backend=backend).viz.children
    one = bg.marginal(dt, "waiting")
    assert {"noise_curve", "noise_rug"} <= set(bg.plot_membership(one, backend=backend).viz.children)
    assert {"noise_density", "noise_rug"} <= set(bg.plot_density(one, backend=backend).viz.children)
