"""What a power meter is, and what its kinds share: how often a counter moves, and work in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from dsd_plan.errors import MeasurementError

UPDATES_IN_WINDOW = 20
"""A window is off by less than one update at each end: 2 % (one sigma), 5 % at worst."""

SHORTEST_WINDOW_S = 0.1
"""Even with a counter that moves every millisecond: reading it takes time too."""

UPDATES_WATCHED = 6
LONGEST_WATCH_S = 3.0
POLL_S = 0.0005


class PowerMeter(Protocol):
    """Counts the energy of a device from the moment that the meter is made."""

    @property
    def source(self) -> Literal["nvml", "rapl"]:
        """What counts."""
        ...

    @property
    def window_s(self) -> float:
        """Shortest interval whose energy is worth trusting, from how often the counter was seen to move."""
        ...

    @property
    def details(self) -> str:
        """What exactly is counted, in words, for a profile's `method`."""
        ...

    def joules(self) -> float:
        """Energy drawn since the meter was made; never falls. Raises MeasurementError where it cannot be read."""
        ...

    def close(self) -> None:
        """Stop what runs in the background. Twice does no harm."""
        ...


class Time(Protocol):
    """The clock that a meter watches its counter by; a test puts its own in place."""

    def wall_s(self) -> float:
        """Seconds that only go forward."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        ...


class SystemTime:
    """The running machine's."""

    def wall_s(self) -> float:
        """``time.perf_counter``."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)


def update_interval_s(read: Callable[[], float], clock: Time, poll_s: float = POLL_S) -> float | None:
    """Longest of a few intervals between two moves of a counter; None for one that stands still."""
    started_s = last_move_s = clock.wall_s()
    value, moves, longest_s = read(), 0, 0.0
    while moves < UPDATES_WATCHED and clock.wall_s() - started_s < LONGEST_WATCH_S:
        clock.sleep(poll_s)
        now_s, found = clock.wall_s(), read()
        if found == value:
            continue
        if moves:  # The first move ends an interval whose start was not seen.
            longest_s = max(longest_s, now_s - last_move_s)
        value, last_move_s, moves = found, now_s, moves + 1
    if moves >= 2:
        return longest_s
    return LONGEST_WATCH_S if moves else None


def window_from(interval_s: float) -> float:
    """Shortest interval worth trusting, for a counter that moves every `interval_s`."""
    return max(SHORTEST_WINDOW_S, UPDATES_IN_WINDOW * interval_s)


class Repeater:
    """Calls `work` every `interval_s` in a daemon thread, until it is stopped or `work` raises."""

    def __init__(self, work: Callable[[], object], interval_s: float, name: str) -> None:
        self._stop = threading.Event()
        self._work = work
        self._interval_s = interval_s
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self._work()
            except MeasurementError:
                # Whoever asks the meter next meets the same failure, and is told.
                return

    def stop(self) -> None:
        """Let the work in progress end; then nothing is called any more."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)
