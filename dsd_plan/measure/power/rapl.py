"""The processor's energy counters (RAPL) as Linux shows them in `powercap`; Intel and AMD have the same tree."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.power.meter import Repeater, Time, update_interval_s, window_from

_PACKAGE = re.compile(r"intel-rapl:\d+")
_PART = re.compile(r"intel-rapl:\d+:\d+")

MOST_WATTS = 2_000.0
"""No socket draws more: a counter is read often enough that it cannot wrap twice unseen."""


@dataclass(slots=True)
class _Counter:
    """One `energy_uj` file: its last value, and what it has counted since the start, wraps included."""

    name: str
    path: Path
    range_uj: int
    last_uj: int
    counted_uj: int = 0

    def advance(self) -> int:
        found = _number(self.path)
        moved = found - self.last_uj
        if moved < 0:
            moved += self.range_uj
        if moved < 0:
            raise MeasurementError(
                f"{self.path}: fell from {self.last_uj} to {found}, more than its range of {self.range_uj}; "
                "the counter was reset while it was measured: measure again"
            )
        self.counted_uj += moved
        self.last_uj = found
        return self.counted_uj


class RaplMeter:
    """Energy of every processor package, and of its memory where that is counted beside it.

    Cores and graphics are inside their package and are not added again; a platform counter (`psys`) covers the rest of
    the machine and is left out.
    """

    source: Literal["rapl"] = "rapl"

    def __init__(self, counters: list[_Counter], clock: Time) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self.details = "RAPL counters of " + ", ".join(counter.name for counter in counters)
        interval_s = update_interval_s(self.joules, clock)
        if interval_s is None:
            raise MeasurementError(
                f"{counters[0].path}: stands still, as in a virtual machine; measure on the host, or declare the watts"
            )
        self.window_s = window_from(interval_s)
        soonest_wrap_s = min(counter.range_uj for counter in counters) * 1e-6 / MOST_WATTS
        self._watch = Repeater(self.joules, soonest_wrap_s / 2, "rapl")

    def joules(self) -> float:
        """Since the meter was made."""
        with self._lock:
            return sum(counter.advance() for counter in self._counters) * 1e-6

    def close(self) -> None:
        """Stop watching for wraps."""
        self._watch.stop()


def open_rapl(powercap: Path, clock: Time) -> RaplMeter:
    """The meter of this machine's processors. Raises MeasurementError saying what is missing."""
    folders = sorted(powercap.glob("intel-rapl:*")) if powercap.is_dir() else []
    counters = []
    for folder in folders:
        name = _text(folder / "name") if _PACKAGE.fullmatch(folder.name) or _PART.fullmatch(folder.name) else ""
        package = _PACKAGE.fullmatch(folder.name) is not None and name.startswith("package")
        # A package's counter leaves its memory out; every other part is inside.
        memory = _PART.fullmatch(folder.name) is not None and name == "dram"
        if package or memory:
            energy = folder / "energy_uj"
            label = name if package else f"{name} of {folder.name.rpartition(':')[0]}"
            counters.append(_Counter(label, energy, _number(folder / "max_energy_range_uj"), _number(energy)))
    if not any(counter.name.startswith("package") for counter in counters):
        raise MeasurementError(
            f"{powercap}: no RAPL package counter; it needs Linux on the bare machine, an Intel processor since 2011 "
            "or an AMD one since 2017, and the module intel_rapl_msr (`sudo modprobe intel_rapl_msr`)"
        )
    return RaplMeter(counters, clock)


def _number(path: Path) -> int:
    try:
        value = int(_text(path))
    except ValueError:
        raise MeasurementError(f"{path}: found no whole number") from None
    if value < 0:
        raise MeasurementError(f"{path}: found {value}, expected 0 or more")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except PermissionError:
        raise MeasurementError(
            f"{path}: only root may read it; allow it until the next start with "
            f"`sudo chmod a+r {path.parent.parent}/intel-rapl:*/energy_uj`"
        ) from None
    except (OSError, UnicodeDecodeError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        raise MeasurementError(f"{path}: cannot be read: {reason.lower()}") from None
