"""Was the machine free for what was measured? What others used of it, and what its own steps show."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.machine import Clock

WATCH_S = 1.0
"""How long others are watched before anything is measured."""
MOST_OTHERS = 0.15
"""Share of all cores that others may use."""
LEAST_CPU_SHARE = 0.9
"""Processor seconds per wall second of a busy thread, below which something else was running instead."""
MOST_DRIFT = 0.25


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else ran: cores that others kept busy, and runnable processes over the last minute; None: not known."""

    others_cores: float | None
    load: float | None

    @property
    def judged_by(self) -> str:
        """What `crowded` goes by."""
        if self.others_cores is not None:
            return "processor time of others"
        return "nothing: this system tells neither" if self.load is None else "load average"


def surroundings(clock: Clock, watch_s: float = WATCH_S) -> Surroundings:
    """What others use now, watched for ``watch_s``."""
    before_s, began_s = clock.others_cpu_s(), clock.wall_s()
    if before_s is None:
        return Surroundings(None, clock.load())
    clock.sleep(watch_s)
    return Surroundings(others_cores(clock, before_s, began_s), clock.load())


def others_cores(clock: Clock, before_s: float | None, began_s: float) -> float | None:
    """Cores that others have kept busy on average since then."""
    now_s, elapsed_s = clock.others_cpu_s(), clock.wall_s() - began_s
    if before_s is None or now_s is None or elapsed_s <= 0.0:
        return None
    return max(0.0, (now_s - before_s) / elapsed_s)


def crowded(found: Surroundings, cores: int, when: str = "now") -> str | None:
    """Whether others use more than their share; the load average counts only where nothing else is known."""
    if found.others_cores is not None:
        if found.others_cores <= MOST_OTHERS * cores:
            return None
        return f"others keep {found.others_cores:.2f} of {cores} cores busy {when}"
    if found.load is None or found.load <= cores:
        return None
    return f"load average {found.load:.1f} on {cores} cores"


def starved(cpu_share: float, cpu_bound: bool) -> str | None:
    """Whether steps that should keep a core busy were kept from one."""
    if not cpu_bound or cpu_share >= LEAST_CPU_SHARE:
        return None
    return f"timed steps had a core for only {cpu_share:.0%} of their time"


def drifted(drift: float) -> str | None:
    """Whether the same step took another time at the end."""
    if abs(drift) <= MOST_DRIFT:
        return None
    return f"the same step took {drift:+.0%} at the end of the measurement"


def refuse(trouble: str | None, model: str, allow_contention: bool) -> None:
    """Raise ``MeasurementError`` for a trouble, unless it is allowed."""
    if trouble is not None and not allow_contention:
        raise MeasurementError(
            f"{model}: the machine is not free: {trouble}; stop what else runs and measure again, "
            "or allow contention and have the profile say so"
        )
