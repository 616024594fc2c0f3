"""Devices that slow down while they work."""

from __future__ import annotations

from itertools import pairwise

from dsd_plan.domain.profile import LatencyProfile


def freshness(profile: LatencyProfile, worked_ms: float) -> float:
    """Share left in the long run over the share left now: straight between rows, from full speed at no work."""
    rows = list(profile.sustained or [])
    if not rows or worked_ms >= rows[-1][0] * 1000.0:
        return 1.0
    if rows[0][0] > 0.0:
        rows.insert(0, (0.0, 1.0))
    for (begin_s, high), (end_s, low) in pairwise(rows):
        begin, end = begin_s * 1000.0, end_s * 1000.0
        if begin <= worked_ms < end:
            return rows[-1][1] / (high + (low - high) / (end - begin) * (worked_ms - begin))
    raise AssertionError("rows are in order")
