"""No test is skipped in silence: a skip for any other reason than these is a failure."""

from collections.abc import Generator

import pytest

NO_FORK = "this system has no fork"

ALLOWED = {NO_FORK}
"""What a system cannot do. A program or a file that is not there is no reason: they come with the repository."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judged((yield))


def _judged[Report: (pytest.TestReport, pytest.CollectReport)](report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")  # (file, line, reason)
        if reason not in ALLOWED:
            report.outcome = "failed"
            report.longrepr = f"skipped: {reason}\nNo test is skipped: make what it needs part of the repository."
    return report
