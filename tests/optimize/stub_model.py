"""A small analytic model with the real one's signature: fast, smooth, and monotone in replicas, RTT and load.

It stands in for the real model where a test is about choosing, not about predicting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsd_plan.domain.acceptance import tokens_per_round
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.network import mean_delay_ms
from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Performance,
    Quantiles,
    RoundParts,
    WorkloadPerformance,
)
from dsd_plan.domain.step_time import decode_ms, prefill_ms
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace
from dsd_plan.errors import UnstableError


@dataclass
class _Rates:
    per_s: float
    output: float
    prompt: float


def predict(deployed: Deployed) -> Performance:
    """Every stream's numbers, by a fixed point over the rates of closed users."""
    rates = [_rates(stream) for stream in deployed.streams]
    for _ in range(40):
        workloads, devices = _at(deployed, rates)
        for stream, rate, workload in zip(deployed.streams, rates, workloads, strict=True):
            if isinstance(stream.requests, ClosedRequests):
                cycle_s = stream.requests.think_s + (workload.e2e_ms.mean or 0.0) / 1000.0
                rate.per_s = 0.5 * rate.per_s + 0.5 * stream.requests.users / cycle_s
        if not any(isinstance(stream.requests, ClosedRequests) for stream in deployed.streams):
            break
    workloads = _pooled(workloads)
    tokens = sum(rate.per_s * rate.output for rate in rates)
    powers = [device.power_w for device in devices]
    power = None if any(p is None for p in powers) else sum(p for p in powers if p is not None)
    return Performance(
        source="model",
        workloads=tuple(workloads),
        devices=tuple(devices),
        fleet=FleetPerformance(
            tokens_per_s=tokens,
            goodput_per_s=sum(w.goodput_per_s or 0.0 for w in workloads),
            power_w=power,
            energy_j_per_token=None if power is None else power / tokens,
            cost_per_hour=deployed.cost_per_hour,
            cost_per_million_tokens=deployed.cost_per_hour / 3600.0 / tokens * 1e6,
        ),
    )


def _rates(stream: Stream) -> _Rates:
    requests = stream.requests
    if isinstance(requests, PoissonRequests):
        return _Rates(requests.rate_per_s, requests.output_tokens, requests.prompt_tokens)
    if isinstance(requests, RequestTrace):
        return _Rates(requests.rate_per_s, float(requests.output_tokens.mean()), float(requests.prompt_tokens.mean()))
    return _Rates(requests.users / (requests.think_s + 1.0), requests.output_tokens, requests.prompt_tokens)


def _at(deployed: Deployed, rates: list[_Rates]) -> tuple[list[WorkloadPerformance], list[DevicePerformance]]:
    closed = all(isinstance(stream.requests, ClosedRequests) for stream in deployed.streams)
    steps = []
    for stream, rate in zip(deployed.streams, rates, strict=True):
        gained = 1.0 if stream.acceptance is None else tokens_per_round(stream.acceptance, stream.window)
        steps.append(max(rate.output - 1.0, 0.0) / gained)
    iteration, draft_wait, devices = [], [], []
    for index, target in enumerate(deployed.targets):
        jobs = work = 0.0
        fused = 0
        for stream, rate, rounds in zip(deployed.streams, rates, steps, strict=True):
            if stream.target != index:
                continue
            law = target.surface.law
            per_s = rate.per_s / target.replicas
            jobs += per_s * (rounds + 1.0)
            work += per_s * (rounds * law[1] * (stream.window + 1) + rate.prompt * law[2])
            if stream.mode == "fused":
                fused = max(fused, stream.window)
        intercept = float(target.surface.law[0])
        if fused and target.fused_surface is not None:
            intercept += fused * decode_ms(target.fused_surface, 1.0, 1.0, 0.0)
        jobs_per_ms, work_share = jobs / 1000.0, work / 1000.0
        saturation = work_share + jobs_per_ms * intercept / target.batch_cap
        if saturation >= 1.0 and not closed:
            raise UnstableError(target.device.name, saturation, "deploy more replicas")
        step = intercept / (1.0 - min(work_share, 0.97)) / (1.0 - min(saturation, 0.97) ** 6)
        iteration.append(step)
        busy = min(1.0, jobs_per_ms * step)
        power = None
        if target.profile.active_w is not None:
            idle = target.device.idle_w or 0.0
            power = target.replicas * (idle + busy * (target.profile.active_w - idle))
        devices.append(
            DevicePerformance(
                name=target.device.name,
                saturation=saturation,
                busy=busy,
                mean_batch=jobs_per_ms * step,
                power_w=power,
                deployed=target.replicas,
            )
        )
    for index, draft in enumerate(deployed.drafts):
        busy = 0.0
        for stream, rate, rounds in zip(deployed.streams, rates, steps, strict=True):
            if stream.draft == index:
                job = stream.window * decode_ms(draft.surface, 1.0, 1.0, 0.0)
                job *= 1.5 if stream.mode == "pipelined" else 1.0
                busy += rate.per_s / 1000.0 / draft.count * (rounds * job + prefill_ms(draft.surface, 1.0, rate.prompt))
        if busy >= 1.0 and not closed:
            raise UnstableError(draft.device.name, busy, "deploy more devices")
        draft_wait.append(1.0 / (1.0 - min(busy, 0.97)))
        power = None
        if draft.profile.active_w is not None:
            idle = draft.device.idle_w or 0.0
            power = draft.count * (idle + min(busy, 1.0) * (draft.profile.active_w - idle))
        devices.append(
            DevicePerformance(
                name=draft.device.name,
                saturation=busy,
                busy=busy,
                mean_batch=1.0,
                power_w=power,
                deployed=draft.count,
            )
        )
    return [
        _workload(deployed, stream, rate, rounds, iteration, draft_wait)
        for stream, rate, rounds in zip(deployed.streams, rates, steps, strict=True)
    ], devices


def _pooled(parts: list[WorkloadPerformance]) -> list[WorkloadPerformance]:
    """One a workload: means by requests, a quantile is that of its slowest part."""
    by_name: dict[str, list[WorkloadPerformance]] = {}
    for part in parts:
        by_name.setdefault(part.name, []).append(part)
    return [mine[0] if len(mine) == 1 else _together(mine) for mine in by_name.values()]


def _together(parts: list[WorkloadPerformance]) -> WorkloadPerformance:
    rates = [part.requests_per_s or 0.0 for part in parts]
    total = sum(rates)

    def quantiles(metric: str) -> Quantiles:
        found = [getattr(part, metric) for part in parts]
        mean = sum(rate * q.mean for rate, q in zip(rates, found, strict=True)) / total
        worst = {name: max(getattr(q, name) for q in found) for name in ("p50", "p95", "p99")}
        return Quantiles(mean=mean, **worst)

    first = next((part for part in parts if part.tokens_per_round is not None), parts[0])
    good = sum(part.goodput_per_s or 0.0 for part in parts)
    return replace(
        first,
        ttft_ms=quantiles("ttft_ms"),
        tpot_ms=quantiles("tpot_ms"),
        itl_ms=quantiles("itl_ms"),
        e2e_ms=quantiles("e2e_ms"),
        requests_per_s=total,
        tokens_per_s=sum(part.tokens_per_s or 0.0 for part in parts),
        goodput_per_s=good,
        slo_attainment=good / total,
    )


def _workload(
    deployed: Deployed, stream: Stream, rate: _Rates, rounds: float, iteration: list[float], draft_wait: list[float]
) -> WorkloadPerformance:
    step = iteration[stream.target]
    up = mean_delay_ms(stream.up, stream.messages.round_up)
    down = mean_delay_ms(stream.down, stream.messages.round_down)
    draft = 0.0
    if stream.draft is not None:
        surface = deployed.drafts[stream.draft].surface
        draft = stream.window * decode_ms(surface, 1.0, 1.0, 0.0) * draft_wait[stream.draft]
        away = up + 1.5 * step + down
        # What goes on ahead hides half of the shorter part.
        cycle = draft + away - (0.5 * min(draft, away) if stream.mode == "pipelined" else 0.0)
    else:
        cycle = step
    tpot = rounds * cycle / max(rate.output - 1.0, 1.0)
    ttft = mean_delay_ms(stream.up, stream.messages.prompt_up) + 1.5 * step + down
    e2e = ttft + tpot * (rate.output - 1.0)
    limits = stream.workload.budgets.limits()
    spread = {"p50": 0.98, "p95": 1.25, "p99": 1.5}
    means = {"ttft": ttft, "tpot": tpot, "itl": cycle, "e2e": e2e}
    met = min((min(1.0, limit / (means[m] * spread[s])) for m, s, limit in limits), default=1.0)

    def quantiles(mean: float) -> Quantiles:
        return Quantiles(mean=mean, p50=0.98 * mean, p95=1.25 * mean, p99=1.5 * mean)

    speculates = stream.acceptance is not None
    return WorkloadPerformance(
        name=stream.workload.name,
        requests=None,
        ttft_ms=quantiles(ttft),
        tpot_ms=quantiles(tpot),
        itl_ms=quantiles(cycle),
        e2e_ms=quantiles(e2e),
        requests_per_s=rate.per_s,
        tokens_per_s=rate.per_s * rate.output,
        goodput_per_s=rate.per_s * met,
        slo_attainment=met,
        tokens_per_round=(rate.output - 1.0) / rounds if speculates and rounds else None,
        acceptance_rate=0.7 if speculates else None,
        rounds_per_request=rounds if speculates else None,
        energy_j_per_token=None,
        bytes_per_token=4.0,
        round_parts=RoundParts(draft_ms=draft, uplink_ms=up, wait_ms=0.5 * step, verify_ms=step, downlink_ms=down),
    )
