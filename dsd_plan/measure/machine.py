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


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
