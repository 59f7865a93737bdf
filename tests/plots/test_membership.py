"""Membership: every row in its rank, its interval about it, the unsure ones large."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.plots.membership import AREAS, CLASSES
from bayesgmm.questions.membership import membership
from tests.support import noisy


def ranks(pc):
    """Rank and probability of every dot of the left panel, by rank."""
    dots = [d for d in pc.viz["probability"]["probability"].sel(panel="rank").values.ravel() if d is not None]
    offsets = np.concatenate([np.asarray(d.get_offsets()) for d in dots])
    offsets = offsets[np.argsort(offsets[:, 0])]
    return 10 ** offsets[:, 0], offsets[:, 1]


def test_visuals(two, one):
    pc = bg.plot_membership(two.posterior)
    left_out = {"xticks", "ylim"}  # settings of the panel, not artists
    assert set(pc.viz.children) - left_out == {
        "probability", "interval", "half", "map", "xlabel", "ylabel", "title", "legend",
    }  # fmt: skip
    assert list(pc.viz["plot"]["panel"].values) == ["rank", "map"]
    pc = bg.plot_membership(one.posterior)
    assert list(pc.viz["plot"]["panel"].values) == ["rank", "curve"]
    assert {"curve", "curve_band", "rug"} <= set(pc.viz.children)
    assert not {"interval", "curve_band"} & set(bg.plot_membership(one.fit, one.X, backend="none").viz.children)


def test_every_row_is_in_its_rank(two):
    rank, probability = ranks(bg.plot_membership(two.posterior))
    np.testing.assert_allclose(rank, np.arange(1, 151))
    expected = np.sort(membership(two.posterior)["probability"].max("component"))
    np.testing.assert_allclose(probability, expected)


def test_many_rows_are_thinned_but_not_the_least_certain(many):
    pc = bg.plot_membership(many.posterior)
    rank, probability = ranks(pc)
    assert len(rank) <= 300
    np.testing.assert_allclose(rank[:30], np.arange(1, 31))
    assert rank[-1] == pytest.approx(6000)
    assert (np.diff(probability) >= 0).all()
    drawn = pc.viz["map"]["map"].sel(panel="map").values.ravel()
    assert sum(len(dots.get_offsets()) for dots in drawn if dots is not None) == 5000
    assert "5000 of 6000 rows" in pc.viz["plot"].sel(panel="map").item().get_title()


def test_the_less_certain_the_larger(two):
    pc = bg.plot_membership(two.posterior)
    found = membership(two.posterior)
    largest = found["probability"].max("component").values
    assert list(AREAS) == sorted(AREAS, reverse=True)
    for c, (low, high) in enumerate(zip(CLASSES, [*CLASSES[1:], np.inf], strict=True)):
        for k in range(2):
            dots = pc.viz["map"]["map"].sel(panel="map", component=k, certainty=c).item()
            rows = (largest >= low) & (largest < high) & (found["label"].values == k)
            assert rows.sum() == (0 if dots is None else len(dots.get_offsets()))
            if dots is not None:
                assert set(dots.get_sizes()) == {AREAS[c]}


def test_known_memberships_are_not_computed_again(two, monkeypatch):
    known = membership(two.posterior)
    monkeypatch.setattr("bayesgmm.plots.membership.membership", lambda *_, **__: pytest.fail("computed again"))
    bg.plot_membership(two.posterior, backend="none", stats={"membership": known})


def test_the_map_has_two_axes(four):
    pc = bg.plot_membership(four.posterior, features=("feature_c", "feature_a"))
    assert pc.viz["plot"].sel(panel="map").item().get_xlabel() == "feature_c"
    with pytest.raises(ValueError, match="the map has two axes"):
        bg.plot_membership(four.posterior, features=["feature_c"])


def test_rows_of_noise_are_crosses_the_larger_the_less_certain():
    _, dt, _, X = noisy.noisy_posterior()
    found = membership(dt)
    noise = found["label"].values == -1
    pc = bg.plot_membership(dt)
    crosses = [dots for dots in pc.viz["noise"]["noise"].values.ravel() if dots is not None]
    places = np.concatenate([dots.get_offsets() for dots in crosses])
    assert {tuple(row) for row in places} == {tuple(row) for row in X.values[noise]}
    for row, area in ((p, dots.get_sizes()[0]) for dots in crosses for p in dots.get_offsets()):
        at = np.flatnonzero((X.values == row).all(axis=1))[0]
        probability = found["noise_probability"].values[at]
        assert area == AREAS[np.searchsorted(CLASSES, probability, side="right") - 1]
    ranked = pc.viz["noise_probability"]["noise_probability"].sel(panel="rank").item().get_offsets()[:, 1]
    largest = found["noise_probability"].values[noise]
    assert np.isin(np.round(ranked, 12), np.round(largest, 12)).all()
    sure = np.maximum(found["probability"].max("component"), found["noise_probability"])
    title = pc.viz["title"]["title"].sel(panel="rank").item().get_text()
    assert title.startswith(f"{int((sure < 0.99).sum())} of {len(X)} rows below 0.99")


def test_the_probability_of_noise_along_one_feature_is_a_curve():
    _, dt, _, _ = noisy.noisy_posterior()
    one = bg.marginal(dt, "waiting")
    x, y = bg.plot_membership(one).viz["noise_curve"]["noise_curve"].sel(panel="curve").item().get_data()
    np.testing.assert_allclose(y, membership(one, np.asarray(x)[:, None])["noise_probability"], atol=1e-12)
