import numpy as np
import pytest

from bayesgmm.cli.analysis import PARTS, _Clock
from bayesgmm.cli.frames import generated_frame, membership_frame
from bayesgmm.questions.membership import membership
from tests.support.posteriors import fake_posterior


def test_memberships_become_one_line_for_each_row() -> None:
    _, dt, _ = fake_posterior()
    found = membership(dt)
    frame = membership_frame(found)
    assert list(frame) == [
        *("row", "label", "agreement"),
        *("probability_0", "lower_0", "upper_0", "probability_1", "lower_1", "upper_1"),
    ]
    np.testing.assert_array_equal(frame["probability_1"], found["probability"].sel(component=1))
    np.testing.assert_array_equal(frame["upper_0"], found["probability_upper"].sel(component=0))
    np.testing.assert_array_equal(frame["row"], found["obs_id"])


def test_generated_rows_have_the_columns_of_the_data() -> None:
    _, dt, _ = fake_posterior()
    frame = generated_frame(dt, random_seed=1)
    assert list(frame) == ["eruptions", "waiting", "component_label"]
    assert len(frame) == 272
    assert set(frame["component_label"]) == {0, 1}
    several = generated_frame(dt, 3, n_datasets=2, random_seed=1)
    assert list(several) == ["dataset", "eruptions", "waiting", "component_label"]
    assert list(several["dataset"]) == [0, 0, 0, 1, 1, 1]


def test_the_clock_loses_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([3.0, 10.0, 12.0])
    monkeypatch.setattr("bayesgmm.cli.analysis.time.perf_counter", lambda: next(ticks))
    clock = _Clock(1.0)
    clock.lap("imports")
    clock.split({"em": 1.0, "nuts": 5.0, "nuts_sampling": 4.0, "nuts_compile": 0.5}, rest="rest")
    clock.lap("imports")
    assert clock.seconds == {"imports": 4.0, "EM": 1.0, "compilation": 0.5, "sampling": 4.0, "rest": 1.5}
    assert sum(clock.seconds.values()) == 12.0 - 1.0
    assert "nuts" not in PARTS
