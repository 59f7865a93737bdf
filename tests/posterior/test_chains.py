"""Where chains start, and which of them are pooled."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from bayesgmm.posterior.chains import SPREAD, START_TRIES, chain_starts, split_chains
from bayesgmm.posterior.posterior_modes import OtherModeWarning
from bayesgmm.sampler.log_density import Frame


class Flat:
    """A density that is finite within a box around zero, of as many coordinates as wanted."""

    def __init__(self, size: int, reach: float = np.inf) -> None:
        self.space, self.reach, self.asked = SimpleNamespace(size=size), reach, 0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.asked += 1
        return (0.0 if np.abs(x).max() < self.reach else -np.inf), np.ones(len(x))


def mode_at(place: float, n: int, spread: float | None) -> SimpleNamespace:
    frame = None if spread is None else Frame(np.full(n, place), spread * np.eye(n))
    return SimpleNamespace(point=np.full(n, place), frame=frame, parameters=SimpleNamespace(n_components=2))


def test_the_last_of_several_chains_starts_in_the_second_mode() -> None:
    modes = [mode_at(0.0, 400, 0.1), mode_at(50.0, 400, 0.1)]
    points, frames = chain_starts(Flat(400), modes, 3, 100.0, seed=0)
    assert [frame is mode.frame for frame, mode in zip(frames, (*modes[:1], *modes), strict=True)] == [True] * 3
    for point, frame in zip(points, frames, strict=True):
        # of 400 normal numbers: five standard errors
        assert abs(frame.to_z(point).std() / SPREAD - 1) < 5 / np.sqrt(800)
    (alone,), _ = chain_starts(Flat(400), modes, 1, 100.0, seed=0)
    assert np.abs(alone).max() < 10


def test_without_a_gaussian_a_start_is_spread_as_rows_are_few() -> None:
    for rows, spread in ((2.0, 0.5), (20_000.0, 0.02)):
        points, frames = chain_starts(Flat(400), [mode_at(0.0, 400, None)], 2, rows, seed=0)
        assert frames == [None, None]
        assert abs(points.std() / spread - 1) < 5 / np.sqrt(1600)


def test_a_start_outside_of_the_support_is_brought_nearer() -> None:
    narrow = Flat(3, reach=0.02)
    points, _ = chain_starts(narrow, [mode_at(0.0, 3, 1.0)], 2, 100.0, seed=0)
    assert np.abs(points).max() < 0.02
    assert 2 < narrow.asked < 2 * START_TRIES


def test_chains_in_modes_of_their_own_are_kept_apart(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    near, far = np.abs(rng.normal(size=(2, 4, 50))) + np.array([0.0, 10.0])[:, None, None]
    costs = np.stack([near, far])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept, apart, mode = split_chains(lp, costs)
        assert (kept, apart, mode.tolist()) == ([0, 1, 2, 3], [], [0, 0, 0, 0])
    lp[3] -= 20
    costs[:, 3] = costs[::-1, 3]
    with pytest.warns(OtherModeWarning, match=r"1 of 4 chains .* (19|20)\.\d lower .* holds 0\.25 of the probability"):
        assert split_chains(lp, costs, np.array([0.75, 0.25]))[:2] == ([0, 1, 2], [3])
    # what holds most is what is kept, whatever the number of chains
    with pytest.warns(OtherModeWarning, match=r"3 of 4 chains .* higher"):
        assert split_chains(lp, costs, np.array([0.1, 0.9]))[:2] == ([3], [0, 1, 2])


def test_modes_of_equal_height_are_told_apart(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    near, far = np.abs(rng.normal(size=(2, 4, 50))) + np.array([0.0, 10.0])[:, None, None]
    costs = np.stack([near, far])
    costs[:, 1] = costs[::-1, 1]
    with pytest.warns(OtherModeWarning, match="kept apart"):
        assert split_chains(lp, costs)[:2] == ([0, 2, 3], [1])


def test_chains_that_disagree_within_one_mode_are_not_trusted(rng: np.random.Generator) -> None:
    lp = rng.normal(size=(4, 500))
    lp[1] -= 30
    with pytest.warns(OtherModeWarning, match="do not agree"):
        assert split_chains(lp, np.abs(rng.normal(size=(1, 4, 50))))[:2] == ([0, 1, 2, 3], [])
