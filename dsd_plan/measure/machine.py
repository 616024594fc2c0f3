"""The machine that measures: its clocks, its load, its processor, its BLAS threads."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from dsd_plan import __version__


class Clock(Protocol):
    """What a measurement reads of its surroundings; a test puts its own in place."""

    def wall_s(self) -> float:
        """Seconds that only go forward."""
        ...

    def cpu_s(self) -> float:
        """Processor seconds that this process has used, all threads together."""
        ...

    def load(self) -> float | None:
        """Runnable processes, averaged over the last minute; None where the system does not tell."""
        ...

    def others_cpu_s(self) -> float | None:
        """Processor seconds that everybody else has used on this process's cores; None where nobody counts them."""
        ...

    def frequency_mhz(self) -> float | None:
        """Clock frequency of this process's cores now; None where the system does not tell."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def now(self) -> str:
        """Date and time, ISO 8601, UTC."""
        ...


class SystemClock:
    """The running machine's."""

    def wall_s(self) -> float:
        """``time.perf_counter``."""
        return time.perf_counter()

    def cpu_s(self) -> float:
        """``time.process_time``."""
        return time.process_time()

    def load(self) -> float | None:
        """``os.getloadavg``, first figure."""
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    def others_cpu_s(self) -> float | None:
        """``/proc/stat``, less what this process and its children used; time stolen by a hypervisor counts."""
        stat = Path("/proc/stat")
        if not stat.is_file():
            return None
        busy_s = busy_seconds(stat.read_text(encoding="ascii", errors="replace"), allowed_cores())
        if busy_s is None:
            return None
        own = os.times()
        return busy_s - own.user - own.system - own.children_user - own.children_system

    def frequency_mhz(self) -> float | None:
        """Mean of ``scaling_cur_freq``, else of ``/proc/cpuinfo``."""
        return frequency_mhz()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)

    def now(self) -> str:
        """To the second."""
        return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Blas:
    """The linear algebra library in use, while its threads are pinned."""

    name: str
    threads: int | None
    """None where no library could be told how many to use."""


@contextmanager
def pinned_threads(threads: int) -> Iterator[Blas]:
    """Hold every BLAS library of this process to ``threads`` threads."""
    from threadpoolctl import threadpool_info, threadpool_limits

    with threadpool_limits(limits=threads, user_api="blas"):
        found = [library for library in threadpool_info() if library["user_api"] == "blas"]
        names = sorted(
            f"{library['internal_api']} {library['version']} ({library.get('architecture', 'unknown kernel')})"
            for library in found
        )
        yield Blas(
            name=", ".join(dict.fromkeys(names)) or "unknown",
            threads=max((int(library["num_threads"]) for library in found), default=None),
        )


def allowed_cores() -> frozenset[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cores() -> int:
    """Cores that this process may use."""
    return len(allowed_cores())


def busy_seconds(stat: str, counted: frozenset[int]) -> float | None:
    """Seconds that these cores were not idle, from the text of ``/proc/stat``; None where it counts nothing.

    Its columns are user, nice, system, idle, iowait, irq, softirq, steal, guest and guest_nice, the last two
    already in the first two (proc(5)).
    """
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    busy = found = 0
    for line in stat.splitlines():
        name, _, rest = line.partition(" ")
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in counted:
            ticks = [int(value) for value in rest.split()[:8]]
            busy += sum(ticks) - ticks[3] - (ticks[4] if len(ticks) > 4 else 0)
            found += sum(ticks)
    return busy / ticks_per_s if found else None


def frequency_mhz() -> float | None:
    """Clock frequency of this process's cores now, on average; None where the system does not tell."""
    rates_khz = []
    for core in sorted(allowed_cores()):
        path = Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
        if path.is_file():
            rates_khz.append(float(path.read_text(encoding="ascii")))
    if not rates_khz:
        info = Path("/proc/cpuinfo")
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
        rates_khz = [1000.0 * float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return round(sum(rates_khz) / len(rates_khz) / 1000.0, 1) if rates_khz else None


def available_memory_bytes() -> int | None:
    """Memory that new work may take without swapping; None where the system does not tell."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def cpu_model() -> str:
    """The processor in words."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def software(blas: Blas) -> dict[str, str]:
    """Names and versions of what a measured number depends on."""
    import numpy as np

    return {
        "dsd-plan": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas.name,
        "os": f"{platform.system()} {platform.release()}",
    }
