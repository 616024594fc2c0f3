"""A deployed plan in, a `Performance` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Performance,
    Quantiles,
    RoundParts,
    WorkloadPerformance,
)
from dsd_plan.domain.wire import TOKEN_ID_BYTES
from dsd_plan.domain.workload import Budgets
from dsd_plan.model.ahead import drafting_seen
from dsd_plan.model.devices import DeviceUse, device_uses
from dsd_plan.model.latency import Latency, Moment, latency_of, moment_of
from dsd_plan.model.link_queue import with_link_queues
from dsd_plan.model.notes import notes_of
from dsd_plan.model.origins import origins
from dsd_plan.model.saturation import check_stable
from dsd_plan.model.solution import Solution, solve
from dsd_plan.model.traffic import MS_PER_S, Demand, demands_of
from dsd_plan.queueing.distributions import Mixture, cdf, mean_of, normal, quantiles, together

Array = NDArray[np.float64]


def predict(deployed: Deployed) -> Performance:
    """Latency in ms, rates a second, energy in J a token and load of a plan, in closed form.

    Raises UnstableError naming the device that open requests saturate, or whose memory cannot hold their sessions;
    closed users slow down instead. Assumptions, sources and measured errors: docs/method.md.
    """
    demands = with_link_queues(deployed, demands_of(deployed))
    check_stable(deployed, demands)
    solution = solve(deployed, demands)
    uses = device_uses(deployed, demands, solution)
    mean_batch = {use.performance.name: use.performance.mean_batch for use in uses}
    answers = _answers(solution)
    by_name: dict[str, list[Demand]] = {}
    for demand in demands:
        by_name.setdefault(demand.stream.workload.name, []).append(demand)
    use_of = {use.performance.name: use for use in uses}
    workloads = [
        _workload(deployed, name, mine, solution, answers, use_of, mean_batch) for name, mine in by_name.items()
    ]
    devices = tuple(use.performance for use in uses)
    return Performance(
        source="model",
        workloads=tuple(workloads),
        devices=devices,
        fleet=fleet_totals(deployed, workloads, devices),
        notes=notes_of(deployed, demands, solution, workloads, uses),
    )


def fleet_totals(
    deployed: Deployed, workloads: Sequence[WorkloadPerformance], devices: Sequence[DevicePerformance]
) -> FleetPerformance:
    """What workloads and devices add up to: tokens a second, power in W (unknown if one device's is), cost an hour."""
    tokens_per_s = sum(w.tokens_per_s or 0.0 for w in workloads)
    power_w = _total([device.power_w for device in devices])
    return FleetPerformance(
        tokens_per_s=tokens_per_s,
        goodput_per_s=sum(w.goodput_per_s or 0.0 for w in workloads),
        power_w=power_w,
        energy_j_per_token=None if power_w is None else power_w / tokens_per_s,
        cost_per_hour=deployed.cost_per_hour,
        cost_per_million_tokens=deployed.cost_per_hour / (tokens_per_s * 3600.0) * 1e6,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What the solution says of one stream."""

    moment: Moment
    latency: Latency


def _answers(solution: Solution) -> dict[int, _Answer]:
    """By stream; each has one target pool."""
    found = {}
    for pool in solution.pools:
        for k, demand in enumerate(pool.demands if pool is not None else ()):
            assert pool is not None
            moment = moment_of(pool, k)
            found[demand.index] = _Answer(moment, latency_of(pool, k, solution.states[demand.index], moment))
    return found


def _workload(
    deployed: Deployed,
    name: str,
    demands: Sequence[Demand],
    solution: Solution,
    answers: dict[int, _Answer],
    use_of: dict[str, DeviceUse],
    mean_batch: dict[str, float | None],
) -> WorkloadPerformance:
    rates = [solution.states[demand.index].rate * MS_PER_S for demand in demands]
    mine = [answers[demand.index].latency for demand in demands]
    requests_per_s = sum(rates)
    tokens_per_s = sum(rate * demand.lengths.output for rate, demand in zip(rates, demands, strict=True))
    budgets = demands[0].stream.workload.budgets
    kept = sum(rate * _attained(budgets, law) for rate, law in zip(rates, mine, strict=True))
    speculating = [(r, d) for r, d in zip(rates, demands, strict=True) if d.window > 0 and d.rounds.count.mean > 0]
    jobs = sum(rate * demand.rounds.count.mean for rate, demand in speculating)
    proposed = sum(rate * demand.rounds.count.mean * demand.window for rate, demand in speculating)
    watts = _stream_watts(demands, use_of, deployed)
    payload = sum(rate * _payload_bytes(demand) for rate, demand in zip(rates, demands, strict=True))
    return WorkloadPerformance(
        name=name,
        requests=None,
        ttft_ms=_quantiles([(rate, law.ttft) for rate, law in zip(rates, mine, strict=True)]),
        tpot_ms=_quantiles([(rate, law.tpot) for rate, law in zip(rates, mine, strict=True)]),
        itl_ms=_quantiles([(rate * law.gaps, law.itl) for rate, law in zip(rates, mine, strict=True)]),
        e2e_ms=_quantiles([(rate, law.e2e) for rate, law in zip(rates, mine, strict=True)]),
        requests_per_s=requests_per_s,
        tokens_per_s=tokens_per_s,
        goodput_per_s=kept,
        slo_attainment=kept / requests_per_s,
        tokens_per_round=sum(r * (d.lengths.output - 1.0) for r, d in speculating) / jobs if jobs > 0 else None,
        acceptance_rate=(
            sum(r * d.rounds.count.mean * d.window * d.rounds.accepted for r, d in speculating) / proposed
            if proposed > 0
            else None
        ),
        rounds_per_request=jobs / sum(r for r, _ in speculating) if speculating else None,
        energy_j_per_token=None if watts is None else watts / tokens_per_s,
        bytes_per_token=payload / tokens_per_s,
        round_parts=_round_parts(solution, demands, answers, rates),
        origin=origins(deployed, demands, mean_batch),
    )


def _quantiles(laws: Sequence[tuple[float, Mixture | None]]) -> Quantiles:
    """Of several streams together; nulls where no stream has such a time."""
    known = [law.scaled(rate) for rate, law in laws if law is not None]
    if not known:
        return Quantiles()
    law = known[0] if len(known) == 1 else together(known)
    p50, p95, p99 = quantiles(law, (0.50, 0.95, 0.99))
    # A law of three moments may reach below zero where they are far from any gamma's.
    return Quantiles(mean=mean_of(law), p50=max(p50, 0.0), p95=max(p95, 0.0), p99=max(p99, 0.0))


def _attained(budgets: Budgets, latency: Latency) -> float:
    """Share of a stream's requests that keep every budget.

    A request's decode times rise and fall together, so of TPOT, ITL and E2E the worst counts; TTFT is independent.
    A limit on ITL must hold for the share of the request's own gaps that its statistic names.
    """
    first, decode = 1.0, 1.0
    laws = {"ttft": latency.ttft, "tpot": latency.tpot, "itl": latency.itl, "e2e": latency.e2e}
    for metric, statistic, limit_ms in budgets.limits():
        law = laws[metric]
        if law is None:
            continue
        kept = float(cdf(law, np.array([limit_ms]))[0])
        if metric == "ttft":
            first = min(first, kept)
            continue
        if metric == "itl":
            allowed, late = 1.0 - int(statistic.removeprefix("p")) / 100.0, 1.0 - kept
            spread = sqrt(max(latency.gaps * late * kept, 1e-12))
            z = (np.floor(allowed * latency.gaps + 1e-9) + 0.5 - latency.gaps * late) / spread
            kept = float(normal(np.array([z]))[0][0])
        decode = min(decode, kept)
    return first * decode


def _payload_bytes(demand: Demand) -> float:
    """What a request sends up and down."""
    messages, lengths = demand.stream.messages, demand.lengths
    total = TOKEN_ID_BYTES * lengths.prompt + messages.first_down
    if demand.stream.draft is not None:
        return total + demand.rounds.count.mean * (messages.round_up + messages.round_down)
    return total + (lengths.output - 1.0) * messages.round_down


def _round_parts(
    solution: Solution, demands: Sequence[Demand], answers: dict[int, _Answer], rates: Sequence[float]
) -> RoundParts | None:
    """Mean over all rounds of the streams."""
    total, rounds = [0.0] * 5, 0.0
    for demand, rate in zip(demands, rates, strict=True):
        moment, state = answers[demand.index].moment, solution.states[demand.index]
        up = down = draft = 0.0
        verify = moment.own
        if demand.stream.draft is not None:
            up, down = demand.round_up.mean, demand.round_down.mean
            draft = drafting_seen(demand, state.wait, state.turn)
        elif demand.stream.mode == "fused":
            # Draft steps are a fused session's own; to everybody else in the iteration they are part of the step.
            draft, verify = moment.draft, max(moment.own - moment.draft, 0.0)
        verify = min(verify, max(state.round - draft - up - down, 0.0))
        wait = max(state.round - draft - up - down - verify, 0.0)
        many = rate * demand.rounds.count.mean
        total = [part + many * ms for part, ms in zip(total, (draft, up, wait, verify, down), strict=True)]
        rounds += many
    if rounds <= 0.0:
        return None
    draft_ms, up_ms, wait_ms, verify_ms, down_ms = (part / rounds for part in total)
    return RoundParts(draft_ms=draft_ms, uplink_ms=up_ms, wait_ms=wait_ms, verify_ms=verify_ms, downlink_ms=down_ms)


def _stream_watts(demands: Sequence[Demand], use_of: dict[str, DeviceUse], deployed: Deployed) -> float | None:
    """Power that the streams are answerable for, on every device they use; None where one is not known."""
    total = 0.0
    for demand in demands:
        used = {deployed.targets[demand.stream.target].device.name}
        if demand.stream.draft is not None:
            used.add(deployed.drafts[demand.stream.draft].device.name)
        for stream_w in (use_of[name].stream_w for name in sorted(used)):
            if stream_w is None:
                return None
            total += stream_w.get(demand.index, 0.0)
    return total


def _total(values: Sequence[float | None]) -> float | None:
    """The sum, unknown if a part is."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
