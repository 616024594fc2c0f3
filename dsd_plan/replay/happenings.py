"""What faults do at known instants: to replicas, to what cut-off sessions hold, to draft devices with queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.faults import outages
from dsd_plan.replay.layout import DEVICE_FAILS, HOLD_ENDS, MS_PER_S, REPLICA_BACK, REPLICA_FAILS
from dsd_plan.replay.load import detours_of


def happenings(deployed: Deployed, queued: Sequence[bool]) -> list[dict[str, Any]]:
    """In order of time. `queued`: by draft pool, whether its devices' jobs stand in a queue."""
    rows: list[dict[str, Any]] = []
    first = 0
    for pool in deployed.targets:
        for i in range(pool.replicas):
            for spell in outages(deployed.scenario, pool.device.name, i):
                rows.append({"at_ms": spell.from_s * MS_PER_S, "kind": REPLICA_FAILS, "index": first + i})
                rows.append({"at_ms": spell.until_s * MS_PER_S, "kind": REPLICA_BACK, "index": first + i})
        first += pool.replicas
    for index, stream in enumerate(deployed.streams):
        let_go = [d for d in detours_of(deployed, stream) if d.ways is None and d.hold_until_s < d.until_s]
        rows += [{"at_ms": d.hold_until_s * MS_PER_S, "kind": HOLD_ENDS, "index": index} for d in let_go]
    first = 0
    for index, draft in enumerate(deployed.drafts):
        per_copy = draft.count // deployed.scenario.site(draft.device.site).count
        for i in range(draft.count if queued[index] else 0):
            for spell in outages(deployed.scenario, draft.device.name, i % per_copy):
                rows.append({"at_ms": spell.from_s * MS_PER_S, "kind": DEVICE_FAILS, "index": first + i})
        first += draft.count
    return sorted(rows, key=lambda row: row["at_ms"])
