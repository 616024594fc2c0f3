"""Meters against counters that are written by hand and clocks that only move when told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.power.find import PowerMeter, find_meter
from dsd_plan.measure.power.meter import SHORTEST_WINDOW_S, UPDATES_IN_WINDOW, SystemTime, update_interval_s
from dsd_plan.measure.power.nvml import NvmlSampledMeter, open_nvml
from dsd_plan.measure.power.rapl import open_rapl

RANGE_UJ = 1_000_000


class HandClock:
    """Time passes only in `sleep`, and what draws power draws it then."""

    def __init__(self, passes: Callable[[float], None] = lambda _: None) -> None:
        self.now_s = 100.0
        self.passes = passes

    def wall_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.passes(seconds)


class Sysfs:
    """A powercap tree whose domains draw constant powers and whose counters wrap."""

    def __init__(self, root: Path, update_s: float = 0.001) -> None:
        self.root = root
        self.update_s = update_s
        self.watts: dict[str, float] = {}
        self.true_uj: dict[str, float] = {}
        self.elapsed_s = 0.0

    def add(self, folder: str, name: str, watts: float, start_uj: int = 0) -> None:
        at = self.root / folder
        at.mkdir(parents=True)
        (at / "name").write_text(f"{name}\n")
        (at / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.watts[folder], self.true_uj[folder] = watts, float(start_uj)
        self._write(folder)

    def _write(self, folder: str) -> None:
        (self.root / folder / "energy_uj").write_text(f"{int(self.true_uj[folder]) % RANGE_UJ}\n")

    def passes(self, seconds: float) -> None:
        self.elapsed_s += seconds
        if self.elapsed_s >= self.update_s:
            for folder, watts in self.watts.items():
                self.true_uj[folder] += watts * self.elapsed_s * 1e6
                self._write(folder)
            self.elapsed_s = 0.0


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path / "powercap")


@pytest.fixture
def opened() -> Any:
    meters: list[PowerMeter] = []
    yield meters
    for meter in meters:
        meter.close()
        meter.close()


def rapl(sysfs: Sysfs, opened: list[PowerMeter], clock: HandClock | None = None) -> Any:
    meter = open_rapl(sysfs.root, clock or HandClock(sysfs.passes))
    opened.append(meter)
    return meter


def test_packages_and_memory_are_counted_once(sysfs: Sysfs, opened: list[PowerMeter]) -> None:
    sysfs.add("intel-rapl:0", "package-0", 10.0)
    sysfs.add("intel-rapl:0:0", "core", 7.0)
    sysfs.add("intel-rapl:0:1", "uncore", 1.0)
    sysfs.add("intel-rapl:0:2", "dram", 2.0)
    sysfs.add("intel-rapl:1", "package-1", 20.0)
    sysfs.add("intel-rapl:2", "psys", 90.0)
    sysfs.add("intel-rapl-mmio:0", "package-0", 10.0)
    clock = HandClock(sysfs.passes)
    meter = rapl(sysfs, opened, clock)
    before = meter.joules()
    for _ in range(100):
        clock.sleep(0.02)
        meter.joules()
    assert meter.joules() - before == pytest.approx(32.0 * 2.0, abs=0.1)
    assert meter.details == "RAPL counters of package-0, dram of intel-rapl:0, package-1"


@pytest.mark.parametrize("start_uj", [0, RANGE_UJ - 1, RANGE_UJ - 5_000])
def test_a_wrapped_counter_goes_on(sysfs: Sysfs, opened: list[PowerMeter], start_uj: int) -> None:
    """It wraps while the meter is being made, or between two of its readings; the power is as it was."""
    sysfs.add("intel-rapl:0", "package-0", 8.0, start_uj)
    clock = HandClock(sysfs.passes)
    meter = rapl(sysfs, opened, clock)
    before = meter.joules()
    total = before
    for _ in range(50):
        clock.sleep(0.1)  # 0.8 J of a range of 1 J
        total, earlier = meter.joules(), total
        assert total - earlier == pytest.approx(0.8, abs=2e-3)
    assert total - before == pytest.approx(40.0, abs=0.02)


def test_only_the_package_that_wraps_is_carried_on(sysfs: Sysfs, opened: list[PowerMeter]) -> None:
    sysfs.add("intel-rapl:0", "package-0", 1.0, RANGE_UJ - 50_000)
    sysfs.add("intel-rapl:1", "package-1", 1.0, 0)
    clock = HandClock(sysfs.passes)
    meter = rapl(sysfs, opened, clock)
    before = meter.joules()
    clock.sleep(0.1)
    assert meter.joules() - before == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize(("update_s", "window_s"), [(0.001, SHORTEST_WINDOW_S), (0.1, UPDATES_IN_WINDOW * 0.1)])
def test_the_window_comes_from_how_often_the_counter_moves(
    sysfs: Sysfs, opened: list[PowerMeter], update_s: float, window_s: float
) -> None:
    sysfs.update_s = update_s
    sysfs.add("intel-rapl:0", "package-0", 3.0)
    assert rapl(sysfs, opened).window_s == pytest.approx(window_s, rel=0.02)


def test_a_counter_that_stands_still_is_no_meter(sysfs: Sysfs) -> None:
    sysfs.add("intel-rapl:0", "package-0", 0.0)
    with pytest.raises(MeasurementError, match="stands still, as in a virtual machine"):
        open_rapl(sysfs.root, HandClock(sysfs.passes))


def test_a_counter_that_moved_once_has_the_longest_interval() -> None:
    values = iter([1.0] * 10 + [2.0] * 100_000)
    assert update_interval_s(lambda: next(values), HandClock()) == 3.0


def test_a_machine_without_counters_says_what_it_needs(tmp_path: Path, sysfs: Sysfs) -> None:
    with pytest.raises(MeasurementError, match=r"no RAPL package counter.*modprobe"):
        open_rapl(tmp_path / "nowhere", HandClock())
    sysfs.add("intel-rapl:0", "psys", 90.0)
    with pytest.raises(MeasurementError, match="no RAPL package counter"):
        open_rapl(sysfs.root, HandClock(sysfs.passes))


def test_counters_that_only_root_reads_are_told_how_to_open(sysfs: Sysfs, monkeypatch: pytest.MonkeyPatch) -> None:
    sysfs.add("intel-rapl:0", "package-0", 10.0)
    real = Path.read_text

    def guarded(self: Path, *args: Any, **kwargs: Any) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", guarded)
    with pytest.raises(MeasurementError, match=r"only root may read it; .*sudo chmod a\+r .*intel-rapl:\*/energy_uj"):
        open_rapl(sysfs.root, HandClock(sysfs.passes))


def test_a_counter_that_is_no_number_is_named(sysfs: Sysfs) -> None:
    sysfs.add("intel-rapl:0", "package-0", 10.0)
    (sysfs.root / "intel-rapl:0" / "energy_uj").write_text("soon\n")
    with pytest.raises(MeasurementError, match=r"intel-rapl:0/energy_uj: found no whole number"):
        open_rapl(sysfs.root, HandClock(sysfs.passes))


def test_a_counter_that_disappears_is_a_failed_measurement(sysfs: Sysfs, opened: list[PowerMeter]) -> None:
    sysfs.add("intel-rapl:0", "package-0", 10.0)
    meter = rapl(sysfs, opened)
    os.unlink(sysfs.root / "intel-rapl:0" / "energy_uj")
    with pytest.raises(MeasurementError, match="energy_uj: cannot be read"):
        meter.joules()


class FakeNvml:
    """As much of pynvml as the meters use."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, gpus: int = 1, counts: bool = True, tells_power: bool = True) -> None:
        self.gpus, self.counts, self.tells_power = gpus, counts, tells_power
        self.energy_mj, self.power_mw = 7_000_000.0, 100_000.0
        self.users = 0
        self.broken = False
        self.update_s, self.elapsed_s = 0.02, 0.0

    def passes(self, seconds: float) -> None:
        self.elapsed_s += seconds
        if self.elapsed_s >= self.update_s:
            self.energy_mj += self.power_mw * self.elapsed_s
            self.elapsed_s = 0.0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.broken:
            raise self.NVMLError("Driver Not Loaded")
        self.users += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.users -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        if uuid != "GPU-1":
            raise self.NVMLError("Not Found")
        return 0

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return b"Testla T1"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        if not self.counts:
            raise self.NVMLError("Not Supported")
        return int(self.energy_mj)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        if not self.tells_power:
            raise self.NVMLError("Not Supported")
        return int(self.power_mw)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_gpu_that_counts_is_asked_for_its_counter(nvml: FakeNvml) -> None:
    clock = HandClock(nvml.passes)
    meter = open_nvml(0, clock)
    assert meter.source == "nvml"
    assert meter.window_s == pytest.approx(UPDATES_IN_WINDOW * 0.02, rel=0.15)
    before = meter.joules()
    clock.sleep(3.0)
    assert meter.joules() - before == pytest.approx(300.0, abs=3.0)
    assert "energy counter of Testla T1" in meter.details
    meter.close()
    meter.close()
    assert nvml.users == 0


def test_a_counter_that_falls_is_a_failed_measurement(nvml: FakeNvml) -> None:
    meter = open_nvml(0, HandClock(nvml.passes))
    nvml.energy_mj = 1.0
    with pytest.raises(MeasurementError, match="counter fell"):
        meter.joules()
    meter.close()


def test_power_is_integrated_where_nothing_counts(nvml: FakeNvml) -> None:
    """0 to 200 W in a ramp over 2 s is 200 J; two readings see it exactly."""
    nvml.power_mw = 0.0
    clock = HandClock()
    meter = NvmlSampledMeter(nvml, 0, "Testla T1", clock, in_background=False)
    clock.sleep(2.0)
    nvml.power_mw = 200_000.0
    assert meter.joules() == pytest.approx(200.0)
    clock.sleep(1.0)
    assert meter.joules() == pytest.approx(400.0)
    assert meter.longest_gap_s == pytest.approx(2.0)
    assert "read every 50 ms and integrated (longest pause 2e+03 ms); it has no energy counter" in meter.details


def test_power_is_read_in_the_background(nvml: FakeNvml) -> None:
    nvml.counts = False
    meter = open_nvml("GPU-1", SystemTime())
    assert isinstance(meter, NvmlSampledMeter)
    assert meter.window_s == pytest.approx(1.0)
    meter.close()
    assert nvml.users == 0


@pytest.mark.parametrize(
    ("device", "text"), [(3, "found no GPU 3; GPUs 0 to 0 are there"), ("GPU-9", "GPU GPU-9: not found")]
)
def test_a_gpu_that_is_not_there_is_named(nvml: FakeNvml, device: int | str, text: str) -> None:
    with pytest.raises(MeasurementError, match=text):
        open_nvml(device, HandClock())
    assert nvml.users == 0


def test_a_gpu_that_tells_nothing_is_no_meter(nvml: FakeNvml) -> None:
    nvml.counts = nvml.tells_power = False
    with pytest.raises(MeasurementError, match="tells neither energy nor power"):
        open_nvml(0, HandClock())
    assert nvml.users == 0


def test_auto_passes_over_what_is_missing_and_says_why(nvml: FakeNvml, sysfs: Sysfs, opened: list[PowerMeter]) -> None:
    nvml.broken = True
    said: list[str] = []
    assert find_meter("auto", powercap=sysfs.root, clock=HandClock(), on_absent=said.append) is None
    assert said[0].startswith("NVML: driver not loaded")
    assert "no RAPL package counter" in said[1]
    sysfs.add("intel-rapl:0", "package-0", 10.0)
    found = find_meter("auto", powercap=sysfs.root, clock=HandClock(sysfs.passes))
    assert found is not None
    opened.append(found)
    assert found.source == "rapl"


def test_auto_for_the_processor_leaves_gpus_out(nvml: FakeNvml, sysfs: Sysfs) -> None:
    assert find_meter("auto", None, powercap=sysfs.root, clock=HandClock(nvml.passes)) is None
    gpu = find_meter("auto", 0, powercap=sysfs.root, clock=HandClock(nvml.passes))
    assert gpu is not None
    assert gpu.source == "nvml"
    gpu.close()


def test_none_is_no_meter_and_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_meter("none") is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeasurementError, match=r"install dsd-plan\[nvidia\]"):
        find_meter("nvml")


@pytest.mark.hardware
def test_a_real_meter_counts_upwards() -> None:
    absent: list[str] = []
    meter = find_meter("auto", on_absent=absent.append)
    if meter is None:
        pytest.skip("; ".join(absent))
    clock = SystemTime()
    before = meter.joules()
    clock.sleep(meter.window_s)
    watts = (meter.joules() - before) / meter.window_s
    meter.close()
    assert 0.1 < watts < 10_000
