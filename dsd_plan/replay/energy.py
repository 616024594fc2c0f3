"""Where the energy goes: by device, what was drawn idle, stepping, and drafting what was kept or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsd_plan.domain.deployed import Deployed, DraftPool, TargetPool
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.samples import Sample

Part = tuple[str, float, float | None]
"""What for, how long in ms over all devices, at which power in W."""


def energy_parts(deployed: Deployed, samples: Sequence[Sample]) -> tuple[dict[str, Any], ...]:
    """A row a device type and part: J per token that arrived, and the part's share of the fleet's energy.

    Drafting is split as its proposals were accepted or rejected, besides what was drafted ahead and thrown away. The
    energy is null where a power is not known, the share where any is not.
    """
    span_ms = sum(sample.span_ms for sample in samples)
    tokens = sum(workload.arrived_tokens for sample in samples for workload in sample.workloads.values())
    rows: list[tuple[str, str, float | None]] = []
    for name, count in deployed.replicas_used().items():
        targets = [i for i, pool in enumerate(deployed.targets) if pool.device.name == name]
        drafts = [i for i, pool in enumerate(deployed.drafts) if pool.device.name == name]
        idle_w = deployed.scenario.device(name).idle_w
        parts: list[Part] = []
        if targets:
            parts, profile = _of_target(deployed, targets[0], samples), deployed.targets[targets[0]].profile
            idle_w = profile.idle_w if idle_w is None else idle_w
        elif drafts:
            parts, profile = _of_draft(deployed, drafts[0], samples), deployed.drafts[drafts[0]].profile
            idle_w = profile.idle_w if idle_w is None else idle_w
        idle_ms = count * span_ms - sum(ms for _, ms, _ in parts)
        for what, ms, power_w in (*parts, ("idle", idle_ms, idle_w)):
            if ms > 0.0:
                rows.append((name, what, None if power_w is None else ms * power_w / MS_PER_S))
    known = [energy_j for _, _, energy_j in rows if energy_j is not None]
    total_j = sum(known) if len(known) == len(rows) else None
    return tuple(
        {
            "device": name,
            "part": what,
            "energy_j_per_token": energy_j / tokens if energy_j is not None and tokens > 0 else None,
            "share": energy_j / total_j if energy_j is not None and total_j else None,
        }
        for name, what, energy_j in rows
    )


def _of_target(deployed: Deployed, index: int, samples: Sequence[Sample]) -> list[Part]:
    pool: TargetPool = deployed.targets[index]
    first = sum(other.replicas for other in deployed.targets[:index])
    mine = slice(first, first + pool.replicas)
    parts: list[Part] = [("steps", sum(float(s.step_ms[mine].sum()) for s in samples), pool.profile.active_w)]
    if pool.fused_profile is not None:
        streams = [i for i, stream in enumerate(deployed.streams) if stream.target == index and stream.mode == "fused"]
        draft_ms = sum(float(sample.draft_ms[mine].sum()) for sample in samples)
        weights = [sum(float(sample.work["draft_steps"][i]) for sample in samples) for i in streams]
        parts += _drafting(deployed, samples, streams, weights, draft_ms, pool.fused_profile.active_w)
    return parts


def _of_draft(deployed: Deployed, index: int, samples: Sequence[Sample]) -> list[Part]:
    pool: DraftPool = deployed.drafts[index]
    first = sum(other.count for other in deployed.drafts[:index])
    mine = slice(first, first + pool.count)
    streams = [i for i, stream in enumerate(deployed.streams) if stream.draft == index]
    busy_ms = sum(float(sample.device_ms[mine].sum()) for sample in samples)
    wasted_ms = sum(float(sample.work["wasted_ms"][i]) for sample in samples for i in streams)
    weights = [sum(float(sample.work["draft_ms"][i]) for sample in samples) for i in streams]
    active_w = pool.profile.active_w
    parts = _drafting(deployed, samples, streams, weights, max(busy_ms - wasted_ms, 0.0), active_w)
    return [*parts, ("drafts thrown away", min(wasted_ms, busy_ms), active_w)]


def _drafting(
    deployed: Deployed,
    samples: Sequence[Sample],
    streams: Sequence[int],
    weights: Sequence[float],
    draft_ms: float,
    active_w: float | None,
) -> list[Part]:
    """Time that streams spent drafting, as their workloads' proposals were accepted or not."""
    total = sum(weights)
    if total <= 0.0:
        return [("drafting", draft_ms, active_w)]
    kept_ms = 0.0
    for index, weight in zip(streams, weights, strict=True):
        mine = [sample.workloads[deployed.streams[index].workload.name] for sample in samples]
        proposed = sum(one.proposed for one in mine)
        kept_ms += draft_ms * weight / total * (sum(one.accepted for one in mine) / proposed if proposed else 0.0)
    return [("drafts accepted", kept_ms, active_w), ("drafts rejected", draft_ms - kept_ms, active_w)]
