"""What is left of the speed in a long run: a step repeated without a pause, window by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsd_plan.measure.machine import Clock

WINDOWS = 60
SHORTEST_WINDOW_S = 1.0
NOISE = 0.02
"""A window whose median is within this share of the start has not slowed down."""

OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Sustained:
    """Speed against seconds of continuous work."""

    rows: tuple[tuple[float, float], ...]
    """(seconds since the start at the window's end, share of the initial speed), the share at most 1."""
    lowest_share: float


def sustained_run(
    step: Callable[[], None],
    first_ms: float,
    duration_s: float,
    clock: Clock,
    on_progress: OnProgress | None = None,
) -> Sustained:
    """Run ``step`` for ``duration_s``; shares are of the speed at which a step takes ``first_ms``.

    A window lasts a sixtieth of the run, at least a second, and is told by the median of its steps; a share within
    2 % of 1 is 1: that is noise, not heat.
    """
    window_s = max(SHORTEST_WINDOW_S, duration_s / WINDOWS)
    began_s = clock.wall_s()
    rows: list[tuple[float, float]] = []
    while True:
        samples_ms = []
        window_began_s = clock.wall_s()
        while (now_s := clock.wall_s()) < window_began_s + window_s:
            step()
            samples_ms.append(1000.0 * (clock.wall_s() - now_s))
        share = first_ms / float(np.median(samples_ms))
        seconds = clock.wall_s() - began_s
        rows.append((round(seconds, 3), 1.0 if share >= 1.0 - NOISE else round(share, 4)))
        if on_progress is not None:
            done = min(100, int(100 * seconds / duration_s))
            on_progress(done, 100, f"sustained {seconds:.0f} of {duration_s:.0f} s: {rows[-1][1]:.0%} of the speed")
        if seconds + 0.5 * window_s >= duration_s:
            return Sustained(tuple(rows), min(share for _, share in rows))
