"""How far the devices of a run have slowed down by their work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.sustained import slowing
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.recording import Mark


def slowing_notes(deployed: Deployed, opened: Sequence[Mark], closed: Sequence[Mark]) -> Iterator[str]:
    """A sentence for each profile that slows its device down, with how long the busiest one had worked.

    `opened` and `closed` are the marks between which each replication was measured.
    """
    for device, profile in deployed.profiles():
        slows = slowing(device, profile)
        if slows is None:
            continue
        before, after = (max(_most_worked_s(deployed, device, mark) for mark in marks) for marks in (opened, closed))
        yield (
            f"{slows} (`sustained`); all began fresh: the busiest had worked {before:.0f} s when measuring began, "
            f"{after:.0f} s at its end"
        )


def _most_worked_s(deployed: Deployed, device: str, mark: Mark) -> float:
    worked_ms, first = mark.step_ms + mark.draft_ms, 0
    for target in deployed.targets:
        if target.device.name == device:
            return float(np.max(worked_ms[first : first + target.replicas])) / MS_PER_S
        first += target.replicas
    first = 0
    for draft in deployed.drafts:
        if draft.device.name == device:
            return float(np.max(mark.device_ms[first : first + draft.count])) / MS_PER_S
        first += draft.count
    raise LookupError(f"{device} is not deployed")
