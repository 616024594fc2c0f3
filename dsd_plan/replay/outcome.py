"""From samples to the `Performance` that the model and the testbed give as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dsd_plan.domain.attribution import workload_powers
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Performance,
    Quantiles,
    RoundParts,
    WorkloadPerformance,
)
from dsd_plan.domain.profile import Origin
from dsd_plan.domain.workload import METRICS, RequestTrace
from dsd_plan.replay.assumptions import assumptions
from dsd_plan.replay.attribution import device_times
from dsd_plan.replay.devices import link_uses
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.notes import extrapolation_notes, memory_notes, repetition_notes
from dsd_plan.replay.origin import origins
from dsd_plan.replay.samples import Sample, WorkloadSample
from dsd_plan.replay.statistics import CHANCE, STATISTICS, drifts, interval, quantiles

MOST_NAMED = 8
"""Workloads that are told of one by one."""
FEW_REQUESTS = 100
"""With fewer than this behind a number its 99th percentile is one request's bad luck."""


def unsettled(deployed: Deployed, samples: Sequence[Sample]) -> tuple[str, ...]:
    """Why the replications have no steady state to tell of; empty if they have.

    Settled means that the number of live sessions and each workload's E2E do not trend from the first half to
    the second. A recorded stream has the trends it was recorded with, faults bring theirs: they are not asked.
    """
    if not any(workload.requests for sample in samples for workload in sample.workloads.values()):
        return ("no request was measured: the beginning and the end of so short a run are left out; replay more",)
    reasons = []
    if any(sample.refused > 0 for sample in samples):
        reasons.append(
            "requests measured were still unfinished when as many again had started: more comes than can be served; "
            "offer less load, or deploy more of what they wait for"
        )
    if deployed.scenario.faults or any(isinstance(stream.requests, RequestTrace) for stream in deployed.streams):
        return tuple(reasons)
    started = min(sum(w.requests for w in sample.workloads.values()) for sample in samples)
    if drifts([sample.live_trend for sample in samples], started // 2):
        reasons.append("the number of live sessions had not settled: replay more requests, or offer less load")
    # Of many workloads some drift by chance: all together seem to no more often than one alone would.
    chance = CHANCE / len(samples[0].workloads)
    for name in samples[0].workloads:
        mine = [sample.workloads[name] for sample in samples]
        behind = min(sample.requests for sample in mine) // 2
        if drifts([sample.e2e_trend for sample in mine], behind, chance=chance):
            reasons.append(f"{name}: E2E had not settled: replay more requests, or offer less load")
    return tuple(reasons)


def nothing_measured(
    deployed: Deployed, devices: tuple[DevicePerformance, ...], reasons: tuple[str, ...]
) -> Performance:
    """No steady state: nulls, and why."""
    names = dict.fromkeys(stream.workload.name for stream in deployed.streams)
    return Performance(
        source="replay",
        workloads=tuple(_unknown(name) for name in names),
        devices=devices,
        fleet=FleetPerformance(
            tokens_per_s=None,
            goodput_per_s=None,
            power_w=None,
            energy_j_per_token=None,
            cost_per_hour=deployed.cost_per_hour,
            cost_per_million_tokens=None,
        ),
        steady=False,
        notes=reasons,
    )


def _unknown(name: str) -> WorkloadPerformance:
    return WorkloadPerformance(
        name=name,
        requests=0,
        ttft_ms=Quantiles(),
        tpot_ms=Quantiles(),
        itl_ms=Quantiles(),
        e2e_ms=Quantiles(),
        requests_per_s=None,
        tokens_per_s=None,
        goodput_per_s=None,
        slo_attainment=None,
        tokens_per_round=None,
        acceptance_rate=None,
        rounds_per_request=None,
        energy_j_per_token=None,
        bytes_per_token=None,
    )


def measured_performance(
    deployed: Deployed, samples: Sequence[Sample], devices: tuple[DevicePerformance, ...], notes: Sequence[str] = ()
) -> Performance:
    """The whole answer of replications that have settled; `notes` come before those that follow from them."""
    mean_batch = {device.name: device.mean_batch for device in devices}
    seconds = sum(sample.span_ms for sample in samples) / MS_PER_S
    power_w, origin = workload_powers(device_times(deployed, samples)), origins(deployed, mean_batch)
    workloads = tuple(
        _workload(name, samples, seconds, power_w.get(name), origin[name]) for name in samples[0].workloads
    )
    return Performance(
        source="replay",
        workloads=workloads,
        devices=devices,
        fleet=_fleet(deployed, workloads, devices),
        links=link_uses(deployed, samples),
        notes=(*notes, *_notes(deployed, samples, workloads)),
    )


def _workload(
    name: str, samples: Sequence[Sample], seconds: float, power_w: float | None, origin: dict[str, Origin]
) -> WorkloadPerformance:
    mine = [sample.workloads[name] for sample in samples]
    requests = _sum(mine, lambda s: s.requests)
    latency = {metric: quantiles([sample.latency_ms[metric] for sample in mine]) for metric in METRICS}
    tokens = _sum(mine, lambda s: s.arrived_tokens)
    tokens_per_s = _ratio(tokens, seconds)
    speculative_rounds = _sum(mine, lambda s: s.speculative_rounds)
    tokens_per_round = _ratio(_sum(mine, lambda s: s.speculative_tokens), speculative_rounds)
    return WorkloadPerformance(
        name=name,
        requests=int(requests),
        ttft_ms=latency["ttft"],
        tpot_ms=latency["tpot"],
        itl_ms=latency["itl"],
        e2e_ms=latency["e2e"],
        requests_per_s=_ratio(_sum(mine, lambda s: s.finished), seconds),
        tokens_per_s=tokens_per_s,
        goodput_per_s=_ratio(_sum(mine, lambda s: s.good), seconds),
        slo_attainment=_ratio(_sum(mine, lambda s: s.met), requests),
        tokens_per_round=tokens_per_round,
        acceptance_rate=_ratio(_sum(mine, lambda s: s.accepted), _sum(mine, lambda s: s.proposed)),
        rounds_per_request=_ratio(speculative_rounds, _sum(mine, lambda s: s.speculative_requests)),
        energy_j_per_token=None if power_w is None or not tokens_per_s else power_w / tokens_per_s,
        bytes_per_token=_ratio(_sum(mine, lambda s: s.payload_bytes), _sum(mine, lambda s: s.tokens)),
        round_parts=_round_parts(mine),
        ci=_intervals(latency, tokens_per_s, tokens_per_round, samples, name),
        origin=origin,
    )


def _sum(mine: Sequence[WorkloadSample], read: Callable[[WorkloadSample], float]) -> float:
    return float(sum(read(sample) for sample in mine))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _round_parts(mine: Sequence[WorkloadSample]) -> RoundParts | None:
    rounds = sum(sample.rounds for sample in mine)
    if rounds == 0:
        return None
    draft, up, wait, verify, down = (float(part) / rounds for part in np.sum([s.parts_ms for s in mine], axis=0))
    return RoundParts(draft_ms=draft, uplink_ms=up, wait_ms=wait, verify_ms=verify, downlink_ms=down)


def _intervals(
    latency: dict[str, Quantiles],
    tokens_per_s: float | None,
    tokens_per_round: float | None,
    samples: Sequence[Sample],
    name: str,
) -> dict[str, tuple[float, float] | None] | None:
    if len(samples) < 2:
        return None
    mine = [sample.workloads[name] for sample in samples]
    found: dict[str, tuple[float, float] | None] = {}
    for metric in METRICS:
        values = [s.latency_ms[metric] for s in mine if s.latency_ms[metric].size > 0]
        for statistic, estimate in STATISTICS.items():
            point = getattr(latency[metric], statistic)
            found[f"{metric}_ms.{statistic}"] = interval(point, [estimate(value) for value in values])
    rates = [_ratio(MS_PER_S * s.workloads[name].arrived_tokens, s.span_ms) for s in samples]
    rounds = [_ratio(s.speculative_tokens, s.speculative_rounds) for s in mine]
    found["tokens_per_s"] = interval(tokens_per_s, [rate for rate in rates if rate is not None])
    found["tokens_per_round"] = interval(tokens_per_round, [tokens for tokens in rounds if tokens is not None])
    return found


def _fleet(
    deployed: Deployed, workloads: Sequence[WorkloadPerformance], devices: Sequence[DevicePerformance]
) -> FleetPerformance:
    tokens_per_s = _total(workload.tokens_per_s for workload in workloads)
    power_w = _total(device.power_w for device in devices)
    return FleetPerformance(
        tokens_per_s=tokens_per_s,
        goodput_per_s=_total(workload.goodput_per_s for workload in workloads),
        power_w=power_w,
        energy_j_per_token=power_w / tokens_per_s if power_w is not None and tokens_per_s else None,
        cost_per_hour=deployed.cost_per_hour,
        cost_per_million_tokens=deployed.cost_per_hour / (tokens_per_s * 3600.0) * 1e6 if tokens_per_s else None,
    )


def _total(values: Iterator[float | None]) -> float | None:
    """The sum, unknown if a part is."""
    known = list(values)
    return None if any(value is None for value in known) else sum(value for value in known if value is not None)


def _notes(deployed: Deployed, samples: Sequence[Sample], workloads: Sequence[WorkloadPerformance]) -> Iterator[str]:
    few = [w for w in workloads if w.requests is not None and 0 < w.requests < FEW_REQUESTS]
    if len(few) > MOST_NAMED:
        least = min(few, key=lambda workload: workload.requests or 0)
        yield (
            f"of {len(few)} workloads fewer than {FEW_REQUESTS} requests were measured, of {least.name} only "
            f"{least.requests}; replay more for their p99"
        )
    for workload in workloads:
        if workload.requests == 0:
            yield f"{workload.name}: no request was measured; replay more requests"
        elif len(few) <= MOST_NAMED and any(workload is one for one in few):
            yield f"{workload.name}: only {workload.requests} requests were measured; replay more for its p99"
        yield from extrapolation_notes(workload.name, workload.origin)
    for name in dict.fromkeys(s.workload.name for s in deployed.streams if isinstance(s.requests, RequestTrace)):
        yield (
            f"{name}: requests are a recording: numbers are averages over it, not of a steady state, and intervals "
            "do not cover the chance in its arrivals"
        )
    yield from assumptions(deployed)
    yield from repetition_notes(deployed, max(sample.end_ms for sample in samples) / MS_PER_S)
    waits = np.sum([sample.memory_waits for sample in samples], axis=0).tolist()
    prompts = np.sum([sample.prompts for sample in samples], axis=0).tolist()
    yield from memory_notes(deployed, waits, prompts)
