"""Merging: the entropy of every step, the components it joined, and the bend."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.questions.merge import merge


def texts(pc, panel):
    return [t.get_text() for t in pc.viz["plot"].sel(against=panel).item().texts]


def test_every_step_is_drawn_and_named(four):
    pc, found = bg.plot_merging(four.posterior), merge(four.posterior)
    for panel, x in (("number", found["n_clusters"]), ("rows", found["n_merged_so_far"])):
        drawn = pc.viz["step"]["step"].sel(against=panel).item().get_offsets()
        np.testing.assert_allclose(drawn, np.column_stack([x, found["entropy"]]), atol=1e-9)
        i, j = found["merged"].values[1]
        assert texts(pc, panel)[0] == f"{i} + {j}"
        assert "{" in texts(pc, panel)[1]
    title = pc.viz["plot"].sel(against="number").item().get_title()
    assert title == f"bends at {found.attrs['suggested']} clusters"
    assert {"lines_fitted", "suggested", "line"} <= set(pc.viz.children)


def test_two_components_have_no_bend(two):
    pc = bg.plot_merging(two.fit, two.X)
    assert not {"lines_fitted", "suggested"} & set(pc.viz.children)
    assert pc.viz["plot"].sel(against="rows").item().get_title() == ""


def test_known_steps_are_not_computed_again(two, monkeypatch):
    known = merge(two.posterior)
    with pytest.raises(ValueError, match="nonsense"):
        bg.plot_merging(two.posterior, visuals={"nonsense": {}})
    monkeypatch.setattr("bayesgmm.plots.merging.merge", lambda *_, **__: pytest.fail("computed again"))
    bg.plot_merging(two.posterior, backend="none", stats={"merging": known})
