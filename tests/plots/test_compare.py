"""Comparison: every model in its place, those set aside off the line, the smallest starred."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from bayesgmm.em.families import FAMILIES, ONE_DIMENSIONAL
from bayesgmm.plots.compare import plot_compare
from bayesgmm.selection.compare import Comparison
from bayesgmm.selection.compare_posteriors import PosteriorComparison
from bayesgmm.selection.cross_validate import CrossValidation


def grid(families=("EII", "tied", "VEV"), counts=(1, 2, 3)) -> Comparison:
    """Models whose criteria rise with family and K."""
    rows = [
        {
            "covariance_type": name,
            "n_components": k,
            "bic": 100.0 * n + k,
            "aic": 50.0 * n + k,
            "icl": 100.0 * n + 2 * k,
        }
        for n, name in enumerate(families)
        for k in counts
    ]
    return Comparison(pd.DataFrame(rows).assign(admissible=True, converged=True), {})


def artist(pc, visual, family, criterion="bic"):
    return pc.viz[visual][visual].sel(criterion=criterion, covariance_type=family).item()


def panel(pc, criterion="bic"):
    return pc.viz["plot"].sel(criterion=criterion).item()


def test_a_line_and_its_markers_go_through_every_model():
    found = grid()
    pc = plot_compare(found)
    for name in ("EII", "tied", "VEV"):
        rows = found.table[found.table["covariance_type"] == name]
        np.testing.assert_array_equal(artist(pc, "line", name).get_xydata(), rows[["n_components", "bic"]])
        np.testing.assert_array_equal(artist(pc, "fit", name).get_offsets(), rows[["n_components", "bic"]])


def test_the_smallest_admissible_model_is_starred_and_named():
    found = grid()
    found.table.loc[0, "admissible"] = False
    pc = plot_compare(found, criterion=("bic", "aic"))
    for criterion, smallest in (("bic", 2.0), ("aic", 2.0)):
        np.testing.assert_array_equal(artist(pc, "best", "EII", criterion).get_offsets(), [[2.0, smallest]])
        assert panel(pc, criterion).get_title().startswith("EII, K = 2 is best")
    others = [artist(pc, "best", name) for name in ("tied", "VEV")]
    assert all(dots is None or len(dots.get_offsets()) == 0 for dots in others)


def test_a_model_set_aside_is_hollow_and_off_the_line():
    found = grid()
    found.table.loc[4, "admissible"] = False
    pc = plot_compare(found)
    hollow = artist(pc, "set_aside", "tied")
    np.testing.assert_array_equal(hollow.get_offsets(), [[2.0, 102.0]])
    assert same_color(hollow.get_facecolor()[0], "white")
    assert same_color(hollow.get_edgecolor()[0], artist(pc, "line", "tied").get_color())
    assert np.isnan(artist(pc, "line", "tied").get_ydata()[1])
    assert len(artist(pc, "fit", "tied").get_offsets()) == 2
    assert "set aside" in [text.get_text() for text in pc.viz["legend"]["component"].item().get_texts()]


def test_a_model_that_failed_is_missing():
    found = grid()
    found.table.loc[4, ["bic", "aic", "icl"]] = np.nan
    found.table.loc[4, "admissible"] = False
    pc = plot_compare(found)
    assert len(artist(pc, "fit", "tied").get_offsets()) == 2
    assert "set_aside" not in pc.viz.children


def test_fourteen_families_look_different_and_are_in_the_legend():
    pc = plot_compare(grid(tuple(FAMILIES)))
    looks = {
        (tuple(d.get_facecolor()[0]), d.get_paths()[0].vertices.tobytes())
        for n in FAMILIES
        for d in [artist(pc, "fit", n)]
    }
    assert len(looks) == 14
    texts = [text.get_text() for text in pc.viz["legend"]["component"].item().get_texts()]
    assert texts == [
        *("EII", "VII (spherical)", "EEI", "VEI", "EVI", "VVI (diag)", "EEE (tied)", "VEE", "EVE", "VVE"),
        *("EEV", "VEV", "EVV", "VVV (full)", "smallest"),
    ]


def test_models_far_above_do_not_press_the_others_into_one_line():
    found = grid(("VEV", "EVV", "full", "EII"), range(1, 10))
    found.table.loc[found.table["covariance_type"] == "EII", "bic"] = 1e6
    pc = plot_compare(found)
    low, high = panel(pc).get_ylim()
    assert low < 1.0
    assert 209.0 < high < 600.0
    assert panel(pc).get_title() == "VEV, K = 1 is best\nabove the axis: EII"
    everything = plot_compare(found, visuals={"ylim": False})
    assert panel(everything).get_ylim()[1] >= 1e6
    assert panel(everything).get_title() == "VEV, K = 1 is best"


def test_a_spurious_optimum_does_not_stretch_the_axis():
    found = grid()
    found.table.loc[8, ["bic", "admissible"]] = [-1e6, False]
    drawn = panel(plot_compare(found))
    assert drawn.get_ylim()[0] > -200
    assert drawn.get_title().endswith("below the axis: 1 set aside")


def test_without_an_admissible_model_nothing_is_starred():
    found = grid()
    found.table["admissible"] = False
    pc = plot_compare(found)
    assert panel(pc).get_title() == "no admissible model"
    assert pc.viz["set_aside"]["set_aside"].notnull().all()


def test_one_dimension_one_model_and_repeated_numbers():
    assert panel(plot_compare(grid(tuple(ONE_DIMENSIONAL)))).get_title() == "E, K = 1 is best"
    low, high = panel(plot_compare(grid(("full",), (2,)))).get_ylim()
    assert low < 2.0 < high
    plot_compare(grid(counts=(2, 2)))


def test_panels_can_be_drawn_into_again():
    pc = plot_compare(grid())
    assert plot_compare(grid(), plot_collection=pc) is pc
    with pytest.raises(ValueError, match=r"no families \['full'\]"):
        plot_compare(grid(("full",)), plot_collection=pc)
    with pytest.raises(ValueError, match="no panels"):
        plot_compare(grid(), criterion="icl", plot_collection=pc)


@pytest.mark.parametrize("criterion", ["dic", ("bic", "dic"), (), ("bic", "bic")])
def test_other_criteria_are_refused(criterion):
    with pytest.raises(ValueError, match="`criterion` must"):
        plot_compare(grid(), criterion=criterion)


def test_a_comparison_without_any_fit_is_refused():
    found = grid()
    found.table[["bic", "aic", "icl"]] = np.nan
    with pytest.raises(ValueError, match="could be fitted"):
        plot_compare(found)


def test_visuals_can_be_left_out():
    pc = plot_compare(grid(), backend="none", visuals={"line": False, "best": False})
    assert not {"line", "best"} & set(pc.viz.children)


def with_errors(family="tied"):
    """Posteriors of two numbers of components, and held-out densities of three, of one family."""
    posteriors = pd.DataFrame(
        {
            "covariance_type": family,
            "n_components": [1, 2],
            "elpd_loo": [-20.0, -10.0],
            "difference_error": [3.0, 0.0],
            "log_evidence": [-30.0, -32.0],
            "log_evidence_error": [0.1, 0.2],
        }
    )
    cv = pd.DataFrame(
        {
            "covariance_type": family,
            "n_components": [1, 2, 3],
            "elpd": [-25.0, -12.0, -11.0],
            "difference_error": [4.0, 2.0, 0.0],
        }
    )
    return PosteriorComparison(posteriors, {}), CrossValidation(cv, np.empty((3, 0)))


def test_criteria_with_errors_have_their_panels_and_bars_and_the_greatest_is_starred():
    posteriors, held_out = with_errors()
    pc = plot_compare(grid(), criterion="all", posteriors=posteriors, cross_validation=held_out)
    assert list(pc.viz["plot"]["criterion"].values) == ["bic", "aic", "icl", "loo", "evidence", "cv"]
    for criterion, best, value in (("loo", 2.0, -10.0), ("evidence", 1.0, -30.0), ("cv", 3.0, -11.0)):
        np.testing.assert_array_equal(artist(pc, "best", "tied", criterion).get_offsets(), [[best, value]])
        # one model far below the others is out of sight, and said to be
        far = "\nbelow the axis: 1 model" if criterion == "cv" else ""
        assert panel(pc, criterion).get_title() == f"EEE, K = {best:.0f} is best{far}"
        assert panel(pc, criterion).get_ylabel().endswith("(greater is better)")
    bar = artist(pc, "error", "tied", "loo").get_xydata()
    np.testing.assert_allclose(bar, [[1.0, -23.0], [1.0, -17.0]])
    low, high = panel(pc, "loo").get_ylim()
    assert low < -20.0 and high > -10.0


def test_posteriors_of_another_family_are_refused():
    with pytest.raises(ValueError, match="no family 'VII'"):
        plot_compare(grid(), posteriors=with_errors("VII")[0])
