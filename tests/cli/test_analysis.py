import numpy as np

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
