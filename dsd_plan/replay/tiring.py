"""How far the devices of a run have slowed down by their work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.sustained import slowing
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.recording import Mark

Reals = NDArray[np.float64]


def slowing_notes(deployed: Deployed, opened: Sequence[Mark], closed: Sequence[Mark]) -> Iterator[str]:
    """A sentence for each profile that slows its device down, with how long the busiest one had worked.

    `opened` and `closed` are the marks between which each replication was measured.
    """
    for device, profile in deployed.profiles():
        slows = slowing(device, profile)
        if slows is None:
            continue
        before, after = (
            max(_most_worked_s(deployed, device, m.step_ms + m.draft_ms, m.device_ms) for m in marks)
            for marks in (opened, closed)
        )
        yield (
            f"{slows} (`sustained`); all began fresh: the busiest had worked {before:.0f} s when measuring began, "
            f"{after:.0f} s at its end"
        )


def slowed_notes(deployed: Deployed, target_ms: Reals, draft_ms: Reals) -> Iterator[str]:
    """The same of one run to its end: work by replica and by draft device, in ms."""
    for device, profile in deployed.profiles():
        slows = slowing(device, profile)
        if slows is not None:
            worked_s = _most_worked_s(deployed, device, target_ms, draft_ms)
            yield f"{slows} (`sustained`); all began fresh: the busiest had worked {worked_s:.0f} s at the end"


def _most_worked_s(deployed: Deployed, device: str, target_ms: Reals, draft_ms: Reals) -> float:
    first = 0
    for target in deployed.targets:
        if target.device.name == device:
            return float(np.max(target_ms[first : first + target.replicas])) / MS_PER_S
        first += target.replicas
    first = 0
    for draft in deployed.drafts:
        if draft.device.name == device:
            return float(np.max(draft_ms[first : first + draft.count])) / MS_PER_S
        first += draft.count
    raise LookupError(f"{device} is not deployed")
