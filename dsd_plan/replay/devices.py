"""Load and power of the devices, from the sums of work between the marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsd_plan.domain.deployed import Deployed, DraftPool
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.performance import DevicePerformance, LinkPerformance
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.load import at_window, draft_saturation, lanes_of, link_name, open_rate_per_s, target_saturation
from dsd_plan.replay.samples import Sample


def rates_per_s(deployed: Deployed, samples: Sequence[Sample]) -> list[float]:
    """Requests a second of each stream: as offered, or as many as closed users were seen to finish."""
    seconds = sum(sample.span_ms for sample in samples) / MS_PER_S
    finished = sum((sample.finished for sample in samples), np.zeros(len(deployed.streams)))
    rates = []
    for stream, count in zip(deployed.streams, finished, strict=True):
        offered = open_rate_per_s(stream)
        rates.append(offered if offered is not None else float(count) / seconds if seconds > 0 else 0.0)
    return rates


def saturations(deployed: Deployed, rates: Sequence[float]) -> dict[str, float]:
    """By device type, at these request rates of the streams."""
    targets = {pool.device.name: target_saturation(deployed, i, rates) for i, pool in enumerate(deployed.targets)}
    drafts = {pool.device.name: draft_saturation(deployed, i, rates) for i, pool in enumerate(deployed.drafts)}
    return targets | drafts


def least_saturations(deployed: Deployed, rates: Sequence[float]) -> dict[str, float]:
    """As `saturations`, at the windows that ask least of each device type where policies choose them."""
    streams = [stream for stream in deployed.streams if stream.adapts]
    windows = {w for s in streams for w in range(s.assignment.policy.smallest, s.largest_window + 1)}
    found = [saturations(at_window(deployed, window), rates) for window in sorted(windows) or (0,)]
    return {name: min(one[name] for one in found) for name in found[0]}


def link_uses(deployed: Deployed, samples: Sequence[Sample]) -> tuple[LinkPerformance, ...]:
    """Links of limited bandwidth: how long each direction sends, and how much."""
    lanes = lanes_of(deployed)
    span_ms = sum(sample.span_ms for sample in samples)

    def way(link: int, outward: bool) -> tuple[float, float]:
        if (link, outward) not in lanes or span_ms <= 0:
            return 0.0, 0.0
        first, copies = lanes[link, outward]
        mine = slice(first, first + copies)
        busy_ms = sum(float(sample.sent_ms[mine].sum()) for sample in samples)
        sent_bytes = sum(float(sample.sent_bytes[mine].sum()) for sample in samples)
        return busy_ms / (span_ms * copies), sent_bytes / (span_ms / MS_PER_S)

    rows = []
    for link in dict.fromkeys(link for link, _ in lanes):
        (up_busy, up_bytes), (down_busy, down_bytes) = way(link, True), way(link, False)
        rows.append(
            LinkPerformance(
                name=link_name(deployed, link),
                up_busy=up_busy,
                down_busy=down_busy,
                up_bytes_per_s=up_bytes,
                down_bytes_per_s=down_bytes,
            )
        )
    return tuple(rows)


def unmeasured(deployed: Deployed, saturation: dict[str, float]) -> tuple[DevicePerformance, ...]:
    """Rows of a plan without a steady state: what is offered is known, what would happen is not."""
    return tuple(
        DevicePerformance(
            name=name, saturation=saturation.get(name, 0.0), busy=None, mean_batch=None, power_w=None, deployed=count
        )
        for name, count in deployed.replicas_used().items()
    )


def device_uses(deployed: Deployed, samples: Sequence[Sample]) -> tuple[DevicePerformance, ...]:
    """Every deployed device type, in the plan's order."""
    saturation = saturations(deployed, rates_per_s(deployed, samples))
    span_ms = sum(sample.span_ms for sample in samples)
    uses = []
    for name, deployed_count in deployed.replicas_used().items():
        targets = [i for i, pool in enumerate(deployed.targets) if pool.device.name == name]
        drafts = [i for i, pool in enumerate(deployed.drafts) if pool.device.name == name]
        all_ms = deployed_count * span_ms
        if targets:
            uses.append(_target(deployed, targets[0], samples, saturation[name], all_ms))
        elif drafts:
            uses.append(_draft(deployed, drafts[0], samples, saturation[name], all_ms))
        else:
            idle_w = deployed.scenario.device(name).idle_w
            power_w = None if idle_w is None else idle_w * deployed_count
            row = DevicePerformance(
                name=name, saturation=0.0, busy=0.0, mean_batch=None, power_w=power_w, deployed=deployed_count
            )
            uses.append(row)
    return tuple(uses)


def _target(
    deployed: Deployed, index: int, samples: Sequence[Sample], saturation: float, all_ms: float
) -> DevicePerformance:
    pool = deployed.targets[index]
    first = sum(other.replicas for other in deployed.targets[:index])
    replicas = slice(first, first + pool.replicas)
    step_ms = sum(float(sample.step_ms[replicas].sum()) for sample in samples)
    draft_ms = sum(float(sample.draft_ms[replicas].sum()) for sample in samples)
    jobs = sum(int(sample.jobs[replicas].sum()) for sample in samples)
    iterations = sum(int(sample.iterations[replicas].sum()) for sample in samples)
    work = [(pool.profile, step_ms)]
    if pool.fused_profile is not None:
        work.append((pool.fused_profile, draft_ms))
    return _use(
        deployed,
        pool.device,
        pool.profile,
        work,
        all_ms,
        saturation,
        jobs / iterations if iterations > 0 else None,
    )


def _draft(
    deployed: Deployed, index: int, samples: Sequence[Sample], saturation: float, all_ms: float
) -> DevicePerformance:
    pool: DraftPool = deployed.drafts[index]
    first = sum(other.count for other in deployed.drafts[:index])
    busy_ms = sum(float(sample.device_ms[first : first + pool.count].sum()) for sample in samples)
    mine = np.array([stream.draft == index for stream in deployed.streams])
    jobs, batches, wasted_ms = (
        sum(float(sample.work[field][mine].sum()) for sample in samples)
        for field in ("draft_jobs", "draft_batches", "wasted_ms")
    )
    batch = None if busy_ms <= 0 else jobs / batches if batches > 0 else 1.0
    use = _use(deployed, pool.device, pool.profile, [(pool.profile, busy_ms)], all_ms, saturation, batch)
    return use if busy_ms <= 0 else replace(use, wasted=wasted_ms / busy_ms)


def _use(
    deployed: Deployed,
    device: Device,
    profile: LatencyProfile,
    work: Sequence[tuple[LatencyProfile, float]],
    all_ms: float,
    saturation: float,
    mean_batch: float | None,
) -> DevicePerformance:
    """`work` is (who steps, for how long over all replicas); `all_ms` the time of all deployed replicas."""
    busy_ms = sum(ms for _, ms in work)
    watts = [who.active_w for who, ms in work if ms > 0]
    idle_w = device.idle_w if device.idle_w is not None else profile.idle_w
    if all_ms <= 0 or idle_w is None or any(active_w is None for active_w in watts):
        power_w = None
    else:
        total_j = ((all_ms - busy_ms) * idle_w + sum(ms * (who.active_w or 0.0) for who, ms in work)) / MS_PER_S
        power_w = total_j / (all_ms / MS_PER_S) * deployed.replicas_used()[device.name]
    return DevicePerformance(
        name=device.name,
        saturation=saturation,
        busy=busy_ms / all_ms if all_ms > 0 else None,
        mean_batch=mean_batch,
        power_w=power_w,
        deployed=deployed.replicas_used()[device.name],
    )
