"""What others use is counted by the kernel; a load average is a minute old."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.machine import SystemClock, allowed_cores, busy_seconds
from dsd_plan.measure.steps.contention import Surroundings, crowded, drifted, refuse, starved, surroundings
from tests.measure.fake_device import FakeClock

STAT = """cpu  100 20 30 400 50 6 7 8 0 0
cpu0 60 10 10 200 25 3 3 4 0 0
cpu1 40 10 20 200 25 3 4 4 0 0
intr 12345 0 0
"""


def test_busy_ticks_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """User, nice, system, irq, softirq and steal: 60 + 10 + 10 + 3 + 3 + 4 ticks of a hundredth of a second."""
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    assert busy_seconds(STAT, frozenset({0})) == pytest.approx(0.90)
    assert busy_seconds(STAT, frozenset({0, 1})) == pytest.approx(0.90 + 0.81)
    assert busy_seconds(STAT, frozenset({7})) is None
    assert busy_seconds("cpu0 0 0 0 0 0 0 0 0 0 0\n", frozenset({0})) is None


def test_others_are_watched_for_a_second() -> None:
    clock = FakeClock(load=9.0, others_cores=1.5)
    found = surroundings(clock)
    assert found.others_cores == pytest.approx(1.5)
    assert found.load == 9.0
    assert clock.wall == pytest.approx(101.0)
    assert surroundings(FakeClock(others_cores=None)) == Surroundings(None, 0.0)


@pytest.mark.parametrize(
    ("found", "cores", "trouble"),
    [
        (Surroundings(0.29, 50.0), 2, None),
        (Surroundings(0.31, 0.0), 2, "others keep 0.31 of 2 cores busy now"),
        (Surroundings(9.0, 0.0), 64, None),
        (Surroundings(None, 2.0), 2, None),
        (Surroundings(None, 2.1), 2, "load average 2.1 on 2 cores"),
        (Surroundings(None, None), 2, None),
    ],
)
def test_a_crowd_is_a_share_of_the_cores(found: Surroundings, cores: int, trouble: str | None) -> None:
    assert crowded(found, cores) == trouble


def test_other_signs() -> None:
    assert starved(0.89, cpu_bound=True) is not None
    assert starved(0.89, cpu_bound=False) is None
    assert starved(0.91, cpu_bound=True) is None
    assert drifted(-0.26) is not None
    assert drifted(0.24) is None
    refuse("x", "m", allow_contention=True)
    refuse(None, "m", allow_contention=False)
    with pytest.raises(MeasurementError, match="m: the machine is not free: x"):
        refuse("x", "m", allow_contention=False)


def test_own_work_is_not_others() -> None:
    """On a machine that counts: what this process does moves all time, and others' by so much less."""
    clock, stat = SystemClock(), Path("/proc/stat")
    before_s = clock.others_cpu_s()
    if before_s is None:
        pytest.skip("this system does not count processor time by core")
    all_before_s = busy_seconds(stat.read_text(encoding="ascii"), allowed_cores())
    began_s = clock.cpu_s()
    while clock.cpu_s() < began_s + 0.3:
        pass
    all_after_s = busy_seconds(stat.read_text(encoding="ascii"), allowed_cores())
    after_s = clock.others_cpu_s()
    assert after_s is not None
    assert all_before_s is not None
    assert all_after_s is not None
    assert (all_after_s - all_before_s) - (after_s - before_s) == pytest.approx(0.3, abs=0.1)
