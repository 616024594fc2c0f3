"""A deployed plan in, a `Performance` out: replications, their statistics, and whether they mean anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dsd_plan.domain.attribution import (
    AttributedPart,
    EnergyPart,
    WorkloadPrice,
    attribution,
    energy_parts,
    workload_prices,
)
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.replay.attribution import device_times, token_rates
from dsd_plan.replay.devices import device_uses, least_saturations, unmeasured
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.layout import FATES, MS_PER_S
from dsd_plan.replay.listing import Columns, series_columns
from dsd_plan.replay.load import link_saturations, open_rate_per_s
from dsd_plan.replay.notes import fault_notes, fullest, memory_notes, overfull_devices, overfull_links
from dsd_plan.replay.outcome import measured_performance, nothing_measured, unsettled
from dsd_plan.replay.recording import Mark
from dsd_plan.replay.recordings import played_part
from dsd_plan.replay.refusals import refuse_unsupported
from dsd_plan.replay.samples import Sample, common_cut, sample_of
from dsd_plan.replay.tiring import slowing_notes
from dsd_plan.replay.warm_up import Cut

if TYPE_CHECKING:
    from dsd_plan.replay.replication import OnChunk, Replication, Watch

RunAll = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]
"""Like `map`, and in its order; an executor's `map` runs the replications in parallel, for the kernel needs no GIL."""


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What the replications say together, and what each of them says alone."""

    pooled: Performance
    each: tuple[Performance, ...]
    """With the same beginning left out; empty where nothing was replayed."""
    measured: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """By replication that has ended: its requests first … end − 1 are measured."""
    series: tuple[Columns, ...] = ()
    """By replication, over time: see `listing.series_columns`."""
    energy_parts: tuple[EnergyPart, ...] = ()
    """Where the energy went; empty where there is no steady state, like the next."""
    attribution: tuple[AttributedPart, ...] = ()
    """Who pays for which part of which device."""
    prices: tuple[WorkloadPrice, ...] = ()
    """What each workload's service costs, by part."""


def replay(
    deployed: Deployed, *, seed: int = 0, requests: int = 4000, replications: int = 8, run_all: RunAll = map
) -> Performance:
    """`replayed`, all replications together."""
    return replayed(deployed, seed=seed, requests=requests, replications=replications, run_all=run_all).pooled


def replayed(
    deployed: Deployed,
    *,
    seed: int = 0,
    requests: int = 4000,
    replications: int = 8,
    run_all: RunAll = map,
    watch: Watch | None = None,
    on_chunk: OnChunk | None = None,
    keep_rounds: bool = False,
    keep_bills: bool = False,
    keep_series: bool = True,
) -> Replayed:
    """Replay a plan event by event.

    `requests` start in each replication before measuring ends (a recorded stream may end sooner); the first
    share of them is warm-up. The same seed gives the same result, whatever order replications run in.
    An open stream that offers more than a device can do, or a run that has not settled, gives
    `steady = False` and nulls. `on_chunk` is given what ended, with every round, and with each session's shares of its
    servers' time (`bills`), where these are kept; `keep_series` keeps how each workload went over time. `run_all` may
    give fewer replications than it was asked for. Raises ScenarioError or PlanError for what cannot be replayed yet,
    ValueError for fewer than 2 requests or no replication.
    """
    if requests < 2 or replications < 1:
        raise ValueError(f"{requests} requests in {replications} replications; at least 2 in 1 are needed")
    refuse_unsupported(deployed)
    rates = [open_rate_per_s(stream) or 0.0 for stream in deployed.streams]
    offered, sent = least_saturations(deployed, rates), link_saturations(deployed, rates)
    notes = (*overfull_devices(offered, deployed.replicas_used()), *overfull_links(sent))
    if notes:
        if all(isinstance(stream.requests, RequestTrace) for stream in deployed.streams):
            notes = (
                *notes,
                "a recording has an end all the same: `replay --whole` plays it to its last request",
            )
        return Replayed(nothing_measured(deployed, unmeasured(deployed, offered), notes), ())
    # The compiled kernel is loaded here, so that importing this room costs nothing.
    from dsd_plan.replay.engine import users_of
    from dsd_plan.replay.replication import Replicate, Task

    fixed, users = tables_of(deployed), users_of(deployed)
    task = Task(deployed, fixed, users, seed, requests, keep_rounds, keep_bills, on_chunk, watch, keep_series)
    ran = list(run_all(Replicate(task), range(replications)))
    # What faults leave behind is no warm-up.
    cut = Cut(0) if deployed.scenario.faults else common_cut(ran)
    samples = [sample_of(one, cut.place) for one in ran]
    notes = (warm_up_note(cut, ran[0].ran.marks, requests),) if cut.place > 0 else ()
    if len(ran) < replications:
        notes = (f"interrupted: {len(ran)} of {replications} replications stand behind the numbers", *notes)
    opened = [one.ran.marks[cut.place] for one in ran]
    notes = (*notes, *_fault_notes(deployed, ran), *slowing_notes(deployed, opened, [one.ran.marks[-1] for one in ran]))
    _, share = played_part(deployed, requests)
    if share < 1.0:
        part = f"the first {share:.0%} of the shortest recording was played; ask for more requests to play it whole"
        notes = (*notes, part)
    by_chance = not _nothing_by_chance(deployed, ran)
    if not by_chance:
        # Counted once: eight equal answers are no more certain than one.
        notes = (*notes, f"nothing is left to chance: all {len(ran)} replications are alike, and are counted once")
    counted = samples if by_chance else samples[:1]
    pooled = _performance(deployed, counted, notes)
    times = device_times(deployed, counted) if pooled.steady else ()
    tokens = token_rates(deployed, counted)
    shares = attribution(times, tokens)
    return Replayed(
        pooled,
        tuple(_performance(deployed, [sample], notes) for sample in samples),
        {one.number: (first.started, one.tallies.measured_end) for first, one in zip(opened, ran, strict=True)},
        tuple(
            series_columns(one.number, one.tallies, first.at_ms, one.ran.marks[-1].at_ms)
            for first, one in zip(opened, ran, strict=True)
            if keep_series
        ),
        energy_parts(times, pooled.fleet.tokens_per_s or 0.0),
        shares,
        workload_prices(shares, tokens, {workload.name: workload.bytes_per_token for workload in pooled.workloads}),
    )


def _fault_notes(deployed: Deployed, ran: Sequence[Replication]) -> Iterator[str]:
    ended = sum(one.tallies.ended for one in ran)
    fates = [int(sum(one.tallies.fates[index] for one in ran)) for index in range(len(FATES))]
    return fault_notes(deployed, ended, fates, [one.ran.marks[-1].at_ms / MS_PER_S for one in ran])


def _nothing_by_chance(deployed: Deployed, ran: Sequence[Replication]) -> bool:
    """Whether several replications of recordings came out the same to the bit."""
    if len(ran) < 2 or not all(isinstance(stream.requests, RequestTrace) for stream in deployed.streams):
        return False
    first, *others = (one.tallies for one in ran)
    return all(
        np.array_equal(of_one[name], of_first[name])
        for one in others
        for of_one, of_first in ((one.of_requests, first.of_requests), (one.of_time, first.of_time))
        for name in of_first
    ) and all(one.ran.marks[-1].at_ms == ran[0].ran.marks[-1].at_ms for one in ran)


def warm_up_note(cut: Cut, marks: Sequence[Mark], requests: int) -> str:
    """What was left out besides the usual, and why."""
    usual, now = (marks[index].started / requests for index in (0, cut.place))
    return (
        f"the first {now:.0%} of each replication was left out instead of {usual:.0%}: until then {cut.series} "
        f"lay {abs(cut.excess):.1%} {'above' if cut.excess > 0 else 'below'} what followed (MSER-5)"
    )


def _performance(deployed: Deployed, samples: Sequence[Sample], notes: Sequence[str]) -> Performance:
    reasons = unsettled(deployed, samples)
    devices = device_uses(deployed, samples)
    if reasons:
        waits, prompts = (sum(getattr(sample, of) for sample in samples).tolist() for of in ("memory_waits", "prompts"))
        causes = (*memory_notes(deployed, waits, prompts), *fullest(devices))
        first = f"{reasons[0]} ({'; '.join(causes)})" if causes else reasons[0]
        return nothing_measured(deployed, devices, (first, *reasons[1:], *notes))
    return measured_performance(deployed, samples, devices, notes)
