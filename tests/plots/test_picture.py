"""What every picture keeps to: panels, colours, labels, legends, errors."""

import matplotlib
import matplotlib.colors
import matplotlib.pyplot as plt
import pytest
from arviz_base.labels import MapLabeller
from arviz_plots import PlotCollection

import bayesgmm as bg
from bayesgmm.plots.asked import Asked
from bayesgmm.plots.panels import COMPONENT_COLORS, MARKERS
from bayesgmm.plots.picture import open_picture

PLOTS = [bg.plot_density, bg.plot_components, bg.plot_membership]
FAST = {"plot_density": {"n_points": 20}, "plot_components": {"n_draws": 5}, "plot_membership": {}}


def visual_names(pc):
    return set(pc.viz.children)


def texts(pc):
    (legend,) = pc.viz["figure"].item().legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("size", ["one", "two", "four"])
def test_returns_a_collection_that_saves(plot, size, request, tmp_path):
    pc = plot(request.getfixturevalue(size).posterior, **FAST[plot.__name__])
    assert isinstance(pc, PlotCollection)
    pc.savefig(tmp_path / "picture.png", dpi=50)
    assert (tmp_path / "picture.png").stat().st_size > 5000
    assert {"xlabel", "ylabel"} <= visual_names(pc)


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("size", ["one", "two", "four"])
def test_a_fit_is_drawn_like_a_posterior(plot, size, request):
    """Through the backend that draws nothing: properties that only one plotting library knows would show."""
    case = request.getfixturevalue(size)
    pc = plot(case.fit, case.X, backend="none", **FAST[plot.__name__])
    posterior = plot(case.posterior, backend="none", **FAST[plot.__name__])
    uncertain = {"band", "width", "em", "interval", "curve_band"}
    assert visual_names(pc) == visual_names(posterior) - uncertain


@pytest.mark.parametrize("plot", PLOTS)
def test_leaves_global_state_alone(plot, two, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("show was called"))
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    plot(two.posterior, **FAST[plot.__name__])
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend


def test_a_component_has_one_colour_in_every_picture(one, four):
    curves = bg.plot_density(one.posterior).viz["components"]["components"]
    own_curves = bg.plot_components(one.posterior, n_draws=3).viz["curves"]["curves"]
    along = bg.plot_membership(one.posterior).viz["curve"]["curve"]
    ellipses = bg.plot_components(four.posterior, n_draws=3).viz["ellipses"]["ellipses"]
    points = bg.plot_components(four.posterior, n_draws=3).viz["points"]["points"]
    for k in range(3):
        colour = COMPONENT_COLORS[k]
        assert curves.sel(component=k).item().get_color() == colour
        assert along.sel(panel="curve", component=k).item().get_color() == colour
        for lines in (*own_curves.sel(component=k).values, *ellipses.sel(component=k).values):
            assert {line.get_color() for line in lines} == {colour}
        for dots in points.sel(component=k).values:
            assert matplotlib.colors.same_color(dots.get_facecolor()[0][:3], colour)


def test_beyond_seven_components_colours_repeat_with_another_marker():
    asked = Asked(None, "none", None, None, None, {})
    aes = open_picture("panel", ["only"], 9, asked, (), {}, panel_size=(1, 1), n_columns=1).collection.aes
    assert list(aes["color"]["mapping"].values) == [*COMPONENT_COLORS, *COMPONENT_COLORS[:2]]
    assert list(aes["marker"]["mapping"].values) == [MARKERS[0]] * 7 + [MARKERS[1]] * 2


@pytest.mark.parametrize("plot", PLOTS)
def test_colours_can_be_chosen_or_switched_off(plot, one):
    pc = plot(one.posterior, color=["red", "green", "blue"], backend="none", **FAST[plot.__name__])
    assert list(pc.aes["color"]["mapping"].values) == ["red", "green", "blue"]
    plain = plot(one.posterior, aes={"color": False}, backend="none", **FAST[plot.__name__])
    assert "color" not in plain.aes.children


def test_legend_names_components_and_lies_outside_the_panels(two):
    pc = bg.plot_components(two.posterior, n_draws=3)
    assert texts(pc) == ["component 0", "component 1", "EM fit", "150 rows"]
    figure = pc.viz["figure"].item()
    figure.canvas.draw()
    (legend,) = figure.legends
    edge = max(axes.get_window_extent().x1 for axes in figure.axes)
    assert legend.get_window_extent().x0 > edge


def test_labels_name_features_and_units(two):
    X = bg.load_dataset("faithful")
    fit = bg.GaussianMixture(2, random_state=0).fit(X)
    axes = bg.plot_components(fit, X).viz["plot"].item()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("eruptions [min]", "waiting [min]")
    curves = bg.plot_density(fit, X, features="waiting").viz["plot"].item()
    assert curves.get_ylabel() == "density [1/min]"


def test_a_labeller_writes_the_names(two):
    labeller = MapLabeller(coord_map={"component": {0: "short", 1: "long"}, "feature": {"feature_a": "Length"}})
    pc = bg.plot_components(two.posterior, n_draws=3, labeller=labeller)
    assert texts(pc)[:2] == ["short", "long"]
    assert pc.viz["plot"].item().get_xlabel() == "Length"


@pytest.mark.parametrize("plot", PLOTS)
def test_visuals_can_be_left_out_and_changed(plot, two):
    first = {"plot_density": "contour", "plot_components": "ellipses", "plot_membership": "probability"}[plot.__name__]
    assert first not in visual_names(plot(two.posterior, backend="none", visuals={first: False}, **FAST[plot.__name__]))
    pc = plot(two.posterior, backend="none", visuals={"xlabel": {"color": "red"}}, **FAST[plot.__name__])
    assert {label["color"] for label in pc.viz["xlabel"]["xlabel"].values} == {"red"}


def test_figure_settings_are_passed_on(two):
    pc = bg.plot_components(two.posterior, n_draws=3, figure_kwargs={"figsize": (3, 2)})
    assert tuple(pc.viz["figure"].item().get_size_inches()) == (3, 2)


def test_a_fit_can_be_drawn_over_a_posterior(two):
    pc = bg.plot_density(two.posterior, n_points=20)
    titles = [axes.get_title() for axes in pc.viz["plot"].values]
    again = bg.plot_density(two.fit, two.X, n_points=20, plot_collection=pc, visuals={"contour": {"color": "red"}})
    assert again is pc
    assert [axes.get_title() for axes in pc.viz["plot"].values] == titles


def test_a_scale_of_colours_stands_beside_its_panel_once(two):
    pc = bg.plot_density(two.posterior, n_points=10)
    figure = pc.viz["figure"].item()
    panels = len(figure.axes)
    bg.plot_density(two.posterior, n_points=10, plot_collection=pc)
    assert len(figure.axes) == panels == 3


@pytest.mark.parametrize("plot", PLOTS)
def test_bad_arguments_are_named(plot, two, four):
    with pytest.raises(ValueError, match=r"keeps no data: pass the rows as `X`"):
        plot(two.fit)
    with pytest.raises(ValueError, match=r"`features` is 'height'.*feature_a"):
        plot(two.posterior, features="height")
    with pytest.raises(ValueError, match=r"`features` is \['feature_a', 'feature_a'\]"):
        plot(two.posterior, features=["feature_a", "feature_a"])
    with pytest.raises(ValueError, match="'sparkles'"):
        plot(two.posterior, visuals={"sparkles": {}})
    with pytest.raises(ValueError, match="'sparkles'"):
        plot(two.posterior, aes_by_visuals={"sparkles": []})
    with pytest.raises(ValueError, match="'sparkles'"):
        plot(two.posterior, stats={"sparkles": {}})
    with pytest.raises(ValueError, match="`backend` is 'crayons'"):
        plot(two.posterior, backend="crayons")
    with pytest.raises(TypeError, match="expected a posterior"):
        plot({"weights": 1})
    other = plot(four.posterior, backend="none", **FAST[plot.__name__])
    with pytest.raises(ValueError, match="`plot_collection` has"):
        plot(four.posterior, features=["feature_a"], plot_collection=other) if plot is bg.plot_components else plot(
            bg.GaussianMixture(5, random_state=0).fit(four.X), four.X, plot_collection=other
        )
