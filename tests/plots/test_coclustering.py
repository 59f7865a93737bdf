"""Co-clustering: every pair in its cell, rows in an order that both axes share."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.questions.coclustering import coclustering
from bayesgmm.questions.membership import membership
from tests.support import noisy


def heat(pc):
    return np.asarray(pc.viz["heat"]["heat"].sel(panel="heat").item().get_array())


def test_visuals(two):
    pc = bg.plot_coclustering(two.posterior)
    assert set(pc.viz.children) == {
        "heat", "label", "edge", "xlabel", "ylabel", "title", "legend",
    }  # fmt: skip
    assert "colorbar" in pc.viz
    without = bg.plot_coclustering(two.posterior, visuals={"heat": False}).viz
    assert "heat" not in without and "colorbar" not in without
    assert "heat" in bg.plot_coclustering(two.fit, two.X, backend="none").viz.children


def test_the_matrix_is_that_of_the_rows_sorted_by_component(four):
    drawn = heat(bg.plot_coclustering(four.posterior))
    whole = coclustering(four.posterior)["probability"].values
    np.testing.assert_allclose(drawn, drawn.T, atol=1e-12)
    np.testing.assert_allclose(np.sort(drawn, axis=None), np.sort(whole, axis=None), atol=1e-9)
    labels = np.sort(membership(four.posterior)["label"].values)
    own = labels[:, None] == labels
    assert drawn[own].mean() > 0.8 > 0.2 > drawn[~own].mean()


def test_of_many_rows_some_are_drawn(many):
    pc = bg.plot_coclustering(many.fit, many.X)
    assert heat(pc).shape == (600, 600)
    assert "600 of 6000 rows" in pc.viz["plot"].sel(panel="heat").item().get_ylabel()


def test_a_known_matrix_is_not_computed_again(two, monkeypatch):
    known = coclustering(two.posterior)
    monkeypatch.setattr("bayesgmm.plots.coclustering.coclustering", lambda *_: pytest.fail("computed again"))
    bg.plot_coclustering(two.posterior, backend="none", stats={"coclustering": known})
    with pytest.raises(ValueError, match="it must be the whole matrix"):
        bg.plot_coclustering(two.posterior, stats={"coclustering": known.isel(obs_id=[0])})


def test_rows_of_noise_come_first_in_the_bar():
    _, dt, _, _ = noisy.noisy_posterior()
    pc = bg.plot_coclustering(dt)
    n = int((bg.membership(dt)["label"] == -1).sum())
    crosses = pc.viz["noise"]["noise"].sel(panel="heat").item().get_offsets()
    np.testing.assert_array_equal(crosses[:, 1], np.arange(n))
