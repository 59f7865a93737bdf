"""The whole study: honest configurations stay within their bands, planted faults leave them. Run by `make calibrate`.

It prints the table and draws the pictures of the documentation, docs/images/sbc_*.png.
"""

import os
from pathlib import Path

import pytest
import xarray as xr

from tests.calibration import study
from tests.calibration.configurations import FAULTY, HONEST
from tests.calibration.sbc import Configuration, p_values

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
pytestmark = pytest.mark.filterwarnings("default")  # what plotting libraries say of each other is not of this study
REPLICATIONS = int(os.environ.get("SBC_REPLICATIONS", study.REPLICATIONS))


@pytest.fixture(scope="module")
def trees(request: pytest.FixtureRequest) -> dict[str, xr.DataTree]:
    """All configurations, run in parallel once."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    found = {}
    with capture.global_and_fixture_disabled():
        print(f"\n{study.HEADER}", flush=True)
        for configuration, tree, seconds in study.run([*HONEST, *FAULTY], REPLICATIONS):
            found[configuration.name] = tree
            print(study.row(configuration, tree, seconds), flush=True)
        print(f"level of one band: {study.level_of_one(found):.2g}", flush=True)
    study.pictures(found, IMAGES)
    return found


def check(configuration: Configuration, trees: dict[str, xr.DataTree]) -> None:
    """Every quantity of the configuration lies within its band."""
    found = p_values(trees[configuration.name])
    worst = min(found, key=found.__getitem__)
    assert found[worst] > study.level_of_one(trees), f"the ranks of {worst} are not uniform: p = {found[worst]:.2g}"


@pytest.mark.parametrize("configuration", HONEST, ids=lambda one: one.name)
def test_ranks_are_uniform(configuration: Configuration, trees: dict[str, xr.DataTree]) -> None:
    check(configuration, trees)


@pytest.mark.parametrize("configuration", FAULTY, ids=lambda one: one.name)
@pytest.mark.xfail(strict=True, raises=AssertionError, reason="a fault is planted: the ranks must not be uniform")
def test_ranks_are_uniform_in_spite_of_a_planted_fault(
    configuration: Configuration, trees: dict[str, xr.DataTree]
) -> None:
    check(configuration, trees)
