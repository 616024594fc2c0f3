"""Waiting for a thin link: each direction of it, at each copy of its site, sends one message after the other.

Messages come about at random, so a lane is an M/G/1 queue (Pollaczek and Khinchine): with offered load ρ and service
times s, E[W] = λ E[s²] / (2 (1 − ρ)) and Var W = E[W]² + λ E[s³] / (3 (1 − ρ)). A message waits for others than those
of its own session, which has one under way at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.network import Hop, serialisation_ms
from dsd_plan.errors import UnstableError
from dsd_plan.model.moments import Time
from dsd_plan.model.traffic import Demand

FULLEST = 0.9
"""Closed users offer a link no more than this: they come back later where they wait."""
Lane = tuple[int, bool]
"""A link and the direction in which it is crossed."""


@dataclass(slots=True)
class _Load:
    """Σ λ s, Σ λ s² and Σ λ s³ of the messages on a lane, per ms."""

    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def add(self, rate: float, service: float) -> None:
        for power in range(3):
            self.sums[power] += rate * service ** (power + 1)


def with_link_queues(deployed: Deployed, demands: Sequence[Demand]) -> tuple[Demand, ...]:
    """The demands with the waits for thin links in their messages' times.

    Raises UnstableError naming a link that open requests offer more than it can send. Closed users are taken to come
    as often as they would on an idle system, and offer no more than nine tenths of a link.
    """
    loads: dict[Lane, dict[int, _Load]] = {}
    for demand in demands:
        copies = deployed.scenario.site(demand.stream.workload.site).count
        for hops, messages in _messages(demand):
            for hop in hops:
                if isfinite(hop.mbps):
                    load = loads.setdefault((hop.link, hop.outward), {}).setdefault(demand.index, _Load())
                    for rate, payload in messages:
                        load.add(rate / copies, serialisation_ms(payload, hop.mbps))
    if not loads:
        return tuple(demands)
    for lane, by_demand in loads.items():
        _check(deployed, lane, [by_demand[d.index] for d in demands if d.index in by_demand and d.users == 0])
    totals = {lane: _total(by_demand.values()) for lane, by_demand in loads.items()}
    return tuple(
        _delayed(
            demand,
            {
                lane: _wait(demand, totals[lane], by_demand.get(demand.index))
                for lane, by_demand in ((lane, loads[lane]) for lane in _lanes(demand) if lane in loads)
            },
        )
        for demand in demands
    )


def _lanes(demand: Demand) -> tuple[Lane, ...]:
    """What its messages cross."""
    return tuple(dict.fromkeys((hop.link, hop.outward) for hop in (*demand.stream.up, *demand.stream.down)))


def _total(loads: Iterable[_Load]) -> tuple[float, float, float]:
    busy = square = cube = 0.0
    for load in loads:
        busy, square, cube = busy + load.sums[0], square + load.sums[1], cube + load.sums[2]
    return busy, square, cube


def _check(deployed: Deployed, lane: Lane, loads: Sequence[_Load]) -> None:
    busy = sum(load.sums[0] for load in loads)
    if busy >= 1.0:
        link = " – ".join(deployed.scenario.links[lane[0]].between)
        raise UnstableError(f"link {link}", busy, "messages are more than it can send: send less, or widen it")


def _messages(demand: Demand) -> tuple[tuple[tuple[Hop, ...], tuple[tuple[float, float], ...]], ...]:
    """(hops, (rate per ms, payload bytes) of each kind of message) upwards and downwards."""
    stream, messages = demand.stream, demand.stream.messages
    rate = demand.rate
    if demand.users > 0:
        alone = demand.rounds.count.mean * (demand.round_up.mean + demand.round_down.mean + demand.draft)
        rate = demand.users / max(demand.away + alone, 1e-9)
    rounds = rate * demand.rounds.count.mean
    up = [(rate, messages.prompt_up)]
    down = [(rate, messages.first_down)]
    if stream.draft is not None:
        up.append((rounds, messages.round_up))
    tokens = 1.0
    if stream.mode == "fused" and demand.rounds.count.mean > 0.0:
        tokens = (demand.lengths.output - 1.0) / demand.rounds.count.mean
    down.append((rounds, messages.round_down * tokens))
    return ((stream.up, tuple(up)), (stream.down, tuple(down)))


def _wait(demand: Demand, total: tuple[float, float, float], own: _Load | None) -> Time:
    """What a message waits for on a lane of this `total`: a closed user never for its `own` session."""
    busy, square, cube = total
    if own is not None and demand.users > 0:
        busy, square, cube = (
            max(whole - part / demand.users, 0.0) for whole, part in zip(total, own.sums, strict=True)
        )
    if busy > FULLEST:
        busy, square, cube = FULLEST, square * FULLEST / busy, cube * FULLEST / busy
    mean = square / (2.0 * (1.0 - busy))
    variance = mean**2 + cube / (3.0 * (1.0 - busy))
    return Time(mean, variance, 2.0 * variance * mean)


def _delayed(demand: Demand, waits: dict[Lane, Time]) -> Demand:
    stream = demand.stream

    def through(hops: tuple[Hop, ...]) -> Time:
        total = Time()
        for hop in hops:
            total = total.plus(waits.get((hop.link, hop.outward), Time()))
        return total

    up, down = through(stream.up), through(stream.down)
    drafts = stream.draft is not None
    return replace(
        demand,
        prompt_up=demand.prompt_up.plus(up),
        first_down=demand.first_down.plus(down),
        round_up=demand.round_up.plus(up) if drafts else demand.round_up,
        round_down=demand.round_down.plus(down),
    )
