"""Energy that a device has drawn, from a counter of its own; no counter, no number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.power.meter import PowerMeter, SystemTime, Time
from dsd_plan.measure.power.nvml import open_nvml
from dsd_plan.measure.power.rapl import open_rapl

__all__ = ["MeterKind", "PowerMeter", "find_meter"]

MeterKind = Literal["auto", "nvml", "rapl", "none"]

POWERCAP = Path("/sys/class/powercap")


def find_meter(
    kind: MeterKind = "auto",
    device_index: int | str | None = 0,
    *,
    on_absent: Callable[[str], None] | None = None,
    powercap: Path = POWERCAP,
    clock: Time | None = None,
) -> PowerMeter | None:
    """A meter of this machine, or None where it has none (`auto`) or none is wanted (`none`).

    `auto` takes NVML where a GPU answers and RAPL elsewhere, and tells `on_absent` why a meter was passed over. Work
    on the processor passes `rapl`, or `device_index=None`, which leaves GPUs out: their energy would not be its own.
    `device_index` is NVML's (not CUDA's, where some GPUs are hidden), or a GPU's UUID, `GPU-…`.
    Raises MeasurementError where a meter that is asked for by name cannot be had.
    """
    clock = clock or SystemTime()
    if kind == "none":
        return None
    if kind == "nvml":
        return open_nvml(0 if device_index is None else device_index, clock)
    if kind == "rapl":
        return open_rapl(powercap, clock)
    makers: list[Callable[[], PowerMeter]] = []
    if device_index is not None:
        gpu = device_index
        makers.append(lambda: open_nvml(gpu, clock))
    makers.append(lambda: open_rapl(powercap, clock))
    for make in makers:
        try:
            return make()
        except MeasurementError as absent:
            if on_absent is not None:
                on_absent(str(absent))
    return None
