"""Devices that slow down while they work: how much faster than in the long run a step is now."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import TIRING
from dsd_plan.replay.layout import SURFACE, SUSTAINED, World
from dsd_plan.replay.memory import row


@compiled
def freshness(world: World, surface: int, worked_ms: float) -> float:
    """Factor on a surface's times, which are those of the long run, for a device that has worked so long."""
    if not TIRING:
        return 1.0
    at = row(world.surfaces, SURFACE, surface)
    if at.sustained == at.sustained_end:
        return 1.0
    final = row(world.sustained, SUSTAINED, at.sustained_end - 1)
    if worked_ms >= final.worked_ms:
        return 1.0
    i = at.sustained
    while row(world.sustained, SUSTAINED, i + 1).worked_ms <= worked_ms:
        i += 1
    before, after = row(world.sustained, SUSTAINED, i), row(world.sustained, SUSTAINED, i + 1)
    slope = (after.share - before.share) / (after.worked_ms - before.worked_ms)
    return final.share / (before.share + slope * (worked_ms - before.worked_ms))  # type: ignore[no-any-return]
