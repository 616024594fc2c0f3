"""What every test shares: reproducible Hypothesis runs, and honest skips for what a machine may lack."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

REQUIRE_EXTRAS = "DSD_PLAN_REQUIRE_EXTRAS"
"""Environment variable: when it is 1, a test that would skip for want of torch or chromium fails instead."""

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

# No deadline: tests assert no timing. Derandomized: the same commit gives the same verdict.
settings.register_profile("dsd-plan", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("dsd-plan")


def find_chromium() -> str | None:
    """The path of a Chromium-like browser, or None."""
    return next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)


def missing_part(markers: set[str]) -> str | None:
    """Why a test with these markers cannot run here, or None."""
    if "torch" in markers and importlib.util.find_spec("torch") is None:
        return "needs PyTorch: pip install 'dsd-plan[torch]'"
    if "figures" in markers and importlib.util.find_spec("kaleido") is None:
        return "needs kaleido: pip install 'dsd-plan[figures]'"
    if "browser" in markers and find_chromium() is None:
        return "needs Chromium on the PATH (Debian: apt install chromium)"
    return None


def extras_required() -> bool:
    return os.environ.get(REQUIRE_EXTRAS) == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = missing_part({marker.name for marker in item.iter_markers()})
    if reason is not None:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # the wrapper yields once and returns the report
    report = yield
    needs_extra = {marker.name for marker in item.iter_markers()} & {"torch", "browser", "figures"}
    if report.skipped and needs_extra and extras_required():
        report.outcome = "failed"
        report.longrepr = f"skipped although {REQUIRE_EXTRAS}=1: {call.excinfo.value if call.excinfo else ''}"
    return report


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; a test that asks for it carries the marker `browser`."""
    path = find_chromium()
    if path is None:
        pytest.skip("needs Chromium on the PATH (Debian: apt install chromium)")
    return path
