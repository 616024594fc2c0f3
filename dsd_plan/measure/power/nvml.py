"""A GPU's energy, through NVIDIA's management library (extra `[nvidia]`)."""

from __future__ import annotations

import importlib
import threading
from typing import Any, Literal

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.power.meter import Repeater, Time, update_interval_s, window_from

SAMPLE_S = 0.05
"""Interval of power readings where the GPU has no energy counter."""

POLL_S = 0.002
"""NVML answers more slowly than a file is read."""


class NvmlCounterMeter:
    """A GPU that counts its own energy (`nvmlDeviceGetTotalEnergyConsumption`; Volta and later)."""

    source: Literal["nvml"] = "nvml"

    def __init__(self, nvml: Any, handle: Any, name: str, clock: Time) -> None:
        self._nvml, self._handle = nvml, handle
        self._name = name
        self._open = True
        self._lock = threading.Lock()
        self._last_mj = self._read_mj()
        self._counted_mj = 0
        interval_s = update_interval_s(self.joules, clock, POLL_S)
        if interval_s is None:
            raise MeasurementError(f"{name}: its energy counter stands still; declare the watts")
        self.window_s = window_from(interval_s)
        self.details = f"energy counter of {name}, seen to move every {interval_s * 1000:.3g} ms"

    def _read_mj(self) -> int:
        return int(_asked(self._nvml, self._name, self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._handle))

    def joules(self) -> float:
        """Since the meter was made."""
        with self._lock:
            found_mj = self._read_mj()
            if found_mj < self._last_mj:
                raise MeasurementError(
                    f"{self._name}: its energy counter fell; the driver was loaded again: measure again"
                )
            self._counted_mj += found_mj - self._last_mj
            self._last_mj = found_mj
            return self._counted_mj * 1e-3

    def close(self) -> None:
        """Let go of the library."""
        if self._open:
            self._open = False
            self._nvml.nvmlShutdown()


class NvmlSampledMeter:
    """A GPU that tells its power but counts no energy: power, read 20 times a second and integrated."""

    source: Literal["nvml"] = "nvml"

    def __init__(self, nvml: Any, handle: Any, name: str, clock: Time, *, in_background: bool = True) -> None:
        self._nvml, self._handle = nvml, handle
        self._name = name
        self._clock = clock
        self._open = True
        self._lock = threading.Lock()
        self._last_w = self._read_w()
        self._last_s = clock.wall_s()
        self._joules = 0.0
        self.longest_gap_s = 0.0
        self.window_s = window_from(SAMPLE_S)
        self._samples = Repeater(self.joules, SAMPLE_S, "nvml") if in_background else None

    @property
    def details(self) -> str:
        """With the longest pause between two readings so far: a starved thread misses peaks."""
        return (
            f"power of {self._name}, read every {SAMPLE_S * 1000:.3g} ms and integrated "
            f"(longest pause {self.longest_gap_s * 1000:.3g} ms); it has no energy counter"
        )

    def _read_w(self) -> float:
        return float(_asked(self._nvml, self._name, self._nvml.nvmlDeviceGetPowerUsage, self._handle)) * 1e-3

    def joules(self) -> float:
        """Since the meter was made, by the trapezoidal rule."""
        with self._lock:
            power_w, now_s = self._read_w(), self._clock.wall_s()
            gap_s = now_s - self._last_s
            self._joules += 0.5 * (self._last_w + power_w) * gap_s
            self.longest_gap_s = max(self.longest_gap_s, gap_s)
            self._last_w, self._last_s = power_w, now_s
            return self._joules

    def close(self) -> None:
        """Stop reading, and let go of the library."""
        if self._open:
            self._open = False
            if self._samples is not None:
                self._samples.stop()
            self._nvml.nvmlShutdown()


def open_nvml(device: int | str, clock: Time) -> NvmlCounterMeter | NvmlSampledMeter:
    """The meter of one GPU, by NVML's index or by UUID. Raises MeasurementError saying what is missing."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        raise MeasurementError(
            "NVML: the library's Python bindings are not installed; install dsd-plan[nvidia]"
        ) from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as failure:
        raise MeasurementError(f"NVML: {_reason(failure)}; it needs an NVIDIA GPU and its driver") from None
    try:
        handle, name = _gpu(nvml, device)
        if _answers(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle):
            return NvmlCounterMeter(nvml, handle, name, clock)
        if _answers(nvml, nvml.nvmlDeviceGetPowerUsage, handle):
            return NvmlSampledMeter(nvml, handle, name, clock)
        raise MeasurementError(f"{name}: tells neither energy nor power; declare the watts")
    except BaseException:
        nvml.nvmlShutdown()
        raise


def _gpu(nvml: Any, device: int | str) -> tuple[Any, str]:
    try:
        if isinstance(device, str):
            handle = nvml.nvmlDeviceGetHandleByUUID(device)
        else:
            count = int(nvml.nvmlDeviceGetCount())
            if not 0 <= device < count:
                there = f"GPUs 0 to {count - 1} are there" if count else "no GPU is there"
                raise MeasurementError(f"NVML: found no GPU {device}; {there}")
            handle = nvml.nvmlDeviceGetHandleByIndex(device)
        name = nvml.nvmlDeviceGetName(handle)
    except nvml.NVMLError as failure:
        raise MeasurementError(f"NVML: GPU {device}: {_reason(failure)}") from None
    return handle, name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _answers(nvml: Any, ask: Any, handle: Any) -> bool:
    try:
        ask(handle)
    except nvml.NVMLError:
        return False
    return True


def _asked(nvml: Any, name: str, ask: Any, handle: Any) -> Any:
    try:
        return ask(handle)
    except nvml.NVMLError as failure:
        raise MeasurementError(f"{name}: {_reason(failure)}") from None


def _reason(failure: Exception) -> str:
    return str(failure).strip().rstrip(".").lower() or type(failure).__name__
