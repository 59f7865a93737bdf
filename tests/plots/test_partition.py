"""Partition: every row in the colour of its cluster, and large where the best clustering has it elsewhere."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.plots.panels import COMPONENT_COLORS
from bayesgmm.questions.partition import partition
from tests.support import noisy


def dots(pc, visual, panel, cluster):
    artist = pc.viz[visual][visual].sel(clustering=panel, component=cluster).item()
    return 0 if artist is None else len(artist.get_offsets())


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_every_row_is_in_its_cluster(four, loss):
    pc, found = bg.plot_partition(four.posterior, loss=loss), partition(four.posterior, loss=loss)
    panels = list(pc.viz["plot"]["clustering"].values)
    assert panels[0] == "best" and set(panels[1:]) <= set(found["bound"].values)
    best = found["label"].values
    title = pc.viz["plot"].sel(clustering="best").item().get_title()
    assert f"{int(found['n_clusters'])} clusters" in title
    for panel in panels[1:]:
        label = found["bound_label"].sel(bound=panel).values
        for c in np.unique(label):
            assert dots(pc, "stayed", panel, c) == ((label == c) & (best == c)).sum()
            assert dots(pc, "moved", panel, c) == ((label == c) & (best != c)).sum()
        said = f"{(label != best).sum()} rows elsewhere"
        assert said in pc.viz["plot"].sel(clustering=panel).item().get_title()


def test_colours_are_those_of_the_components(two):
    pc = bg.plot_partition(two.posterior)
    from matplotlib.colors import to_hex

    first = pc.viz["row"]["row"].sel(clustering="best", component=0).item()
    assert to_hex(first.get_facecolor()[0]).upper() == COMPONENT_COLORS[0]


def test_one_feature_is_drawn_against_cohesion(one):
    pc = bg.plot_partition(one.posterior)
    assert pc.viz["plot"].sel(clustering="best").item().get_ylabel() == "cohesion"
    assert "row" in bg.plot_partition(one.fit, one.X, backend="none").viz.children


def test_a_known_partition_is_not_searched_again(two, monkeypatch):
    known = partition(two.posterior)
    monkeypatch.setattr("bayesgmm.plots.partition.partition", lambda *_, **__: pytest.fail("searched again"))
    bg.plot_partition(two.posterior, backend="none", stats={"partition": known})
    with pytest.raises(ValueError, match="they must be the same"):
        bg.plot_partition(two.posterior, stats={"partition": known.isel(obs_id=[0])})
    with pytest.raises(ValueError, match="the map has two axes"):
        bg.plot_partition(two.posterior, features=["feature_a"], stats={"partition": known})


def test_rows_of_noise_are_crosses_in_every_panel():
    _, dt, _, X = noisy.noisy_posterior()
    found = bg.partition(dt, n_draws=100)
    pc = bg.plot_partition(dt, stats={"partition": found})
    best = pc.viz["noise"]["noise"].sel(clustering="best").item().get_offsets()
    np.testing.assert_allclose(best, X.values[found["label"].values == -1])
    edge = found["bound_label"].sel(bound="horizontal").values
    panel = next(str(p) for p in pc.viz["plot"]["clustering"].values if str(p) != "best")
    edge = found["bound_label"].sel(bound=panel).values
    moved = (edge == -1) & (found["label"].values != -1)
    drawn = pc.viz["noise_moved"]["noise_moved"].sel(clustering=panel).item().get_offsets()
    np.testing.assert_allclose(drawn, X.values[moved])
