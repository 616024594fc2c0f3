"""Every way to serve every workload, as arrays: what it asks of each target and of its own draft devices.

A *gear* is a way to serve a workload whatever the target: plain, or a pair with a window, beside the target or on one
of the draft devices of its site. Axes: w workload, s target's site, t target's device type, g gear. Times in ms,
rates per ms. What a target adds is affine around half a batch, as in the model's closed form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import accepted_pmf, for_task, largest_window
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.network import Hop, delay_variance_ms2, mean_delay_ms, route
from dsd_plan.domain.scenario import Mode, Pair, Scenario
from dsd_plan.domain.step_time import decode_ms, surface_of
from dsd_plan.domain.wire import TOKEN_ID_BYTES, round_bytes
from dsd_plan.domain.workload import ClosedRequests, RequestTrace, Workload
from dsd_plan.model.traffic import MS_PER_S, Lengths, lengths_in, rounds_to_emit
from dsd_plan.optimize.wide.targets import Gear, TargetCosts, costs_on, prefill_alone_ms

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

DRAFT_LOADS = (0.45, 0.8)
"""A site deploys as many draft devices as keep them below one of these shares of their time."""
PROBE_BYTES = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """Network between a workload's site and a target's; shape (w, s), round trips with empty messages."""

    there: Flags
    """There is a route, and the text may go that way."""
    first: Array
    """Prompt up and first token down."""
    first_variance: Array
    round: Array
    round_variance: Array
    per_byte_up: Array
    per_byte_down: Array


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A scenario for the wide search."""

    scenario: Scenario
    gears: tuple[Gear, ...]
    targets: tuple[Device, ...]
    target_site: NDArray[np.int64]
    """Index of each target's site on the axis s."""
    rate: Array
    """Open requests over all copies of a site, shape (w,); 0 of closed users."""
    users: Array
    think: Array
    copies: Array
    lengths: tuple[Lengths, ...]
    tokens: Array
    kv: Array
    """KV tokens of a mean request."""
    rounds: Array
    """E[K], shape (w, g); `rounds_variance` its variance."""
    rounds_variance: Array
    allowed: Flags
    """Shape (w, g): the workload has the pair, the window was measured, and its site has the draft device."""
    drafters: tuple[tuple[Device, ...], ...]
    """By workload: the draft devices of its site, as `slot` counts them."""
    draft: Array
    """Time of drafting a window alone, shape (w, g); 0 unless at the edge."""
    draft_request: Array
    """Draft work of a request, prefill included."""
    up_bytes: Array
    """Shape (g,), as `down_bytes`; 0 unless at the edge."""
    down_bytes: Array
    ways: Ways
    costs: tuple[TargetCosts, ...]
    """By target."""

    @property
    def streamed(self) -> Flags:
        """Gears whose tokens are streamed."""
        return np.array([gear.mode != "distributed" for gear in self.gears])


def columns_of(scenario: Scenario, modes: Sequence[Mode]) -> Columns:
    """Arrays for the search among `modes`; what none of them can serve decodes plainly."""
    workloads = scenario.workloads
    wanted = {workload.target for workload in workloads}
    targets = tuple(
        d for d in scenario.devices if d.usable and wanted & set(d.profiles) and scenario.site(d.site).count == 1
    )
    at_site: dict[str, list[Device]] = {}
    for device in scenario.devices:
        at_site.setdefault(device.site, []).append(device)
    drafters = tuple(_drafters(scenario, workload, targets, at_site) for workload in workloads)
    gears = _gears(scenario, modes, max(map(len, drafters), default=0))
    lengths = tuple(lengths_in(workload.requests) for workload in workloads)
    rounds, variance, allowed = _rounds(scenario, gears, drafters)
    if "target_only" not in modes:
        allowed[:, 0] = ~allowed[:, 1:].any(axis=1)
    draft, draft_request = _drafting(scenario, gears, drafters, lengths, rounds)
    sites = tuple(dict.fromkeys(device.site for device in targets))
    up, down = _payloads(scenario, gears)
    requests = [workload.requests for workload in workloads]
    copies = np.array([float(scenario.site(workload.site).count) for workload in workloads])
    closed = [r if isinstance(r, ClosedRequests) else None for r in requests]
    return Columns(
        scenario=scenario,
        gears=gears,
        targets=targets,
        target_site=np.array([sites.index(device.site) for device in targets]),
        rate=np.array([_rate_per_s(workload) for workload in workloads]) * copies / MS_PER_S,
        users=np.array([0.0 if r is None else float(r.users) for r in closed]) * copies,
        think=np.array([0.0 if r is None else r.think_s for r in closed]) * MS_PER_S,
        copies=copies,
        lengths=lengths,
        tokens=np.array([length.output for length in lengths]),
        kv=np.array([length.prompt + length.output for length in lengths]),
        rounds=rounds,
        rounds_variance=variance,
        allowed=allowed,
        drafters=drafters,
        draft=draft,
        draft_request=draft_request,
        up_bytes=up,
        down_bytes=down,
        ways=_ways(scenario, sites, lengths),
        costs=tuple(costs_on(scenario, device, gears, lengths) for device in targets),
    )


def _rate_per_s(workload: Workload) -> float:
    requests = workload.requests
    if isinstance(requests, ClosedRequests):
        return 0.0
    if isinstance(requests, RequestTrace) and workload.rate_per_s is not None:
        return workload.rate_per_s
    return float(requests.rate_per_s)


def _drafters(
    scenario: Scenario, workload: Workload, targets: Sequence[Device], at_site: Mapping[str, Sequence[Device]]
) -> tuple[Device, ...]:
    drafts = {pair.draft for pair in scenario.pairs if pair.target == workload.target and pair.kind == "model"}
    verifying = {device.name for device in targets}
    return tuple(
        device
        for device in at_site.get(workload.site, ())
        if device.usable and device.name not in verifying and drafts & set(device.profiles)
    )


def _gears(scenario: Scenario, modes: Sequence[Mode], slots: int) -> tuple[Gear, ...]:
    windows = sorted(set(scenario.search.windows))
    found = [Gear("target_only")]
    for index in range(len(scenario.pairs)):
        if "fused" in modes:
            found += [Gear("fused", index, window) for window in windows]
        if "distributed" in modes:
            found += [
                Gear("distributed", index, window, slot, load)
                for slot in range(slots)
                for load in DRAFT_LOADS
                for window in windows
            ]
    return tuple(found)


def _rounds(
    scenario: Scenario, gears: Sequence[Gear], drafters: Sequence[Sequence[Device]]
) -> tuple[Array, Array, Flags]:
    shape = (len(scenario.workloads), len(gears))
    mean, variance, allowed = np.ones(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    groups: dict[tuple[str, str | None], list[int]] = {}
    for w, workload in enumerate(scenario.workloads):
        groups.setdefault((workload.target, workload.task), []).append(w)
    for (target, task), members in groups.items():
        most = max(_most_tokens(scenario.workloads[w]) for w in members)
        known: dict[tuple[int, int], Array | None] = {}
        for g, gear in enumerate(gears):
            pair = scenario.pairs[gear.pair] if gear.pair >= 0 else None
            if pair is not None and pair.target != target:
                continue
            key = (gear.pair, gear.window)
            if key not in known:
                known[key] = _moments(pair, task, gear.window, most)
            moments = known[key]
            if moments is None:
                continue
            for w in members:
                first, second = _at_lengths(scenario.workloads[w], moments)
                mean[w, g], variance[w, g] = first, max(second - first * first, 0.0)
                drafter = gear.slot < 0 or (
                    pair is not None and gear.slot < len(drafters[w]) and pair.draft in drafters[w][gear.slot].profiles
                )
                allowed[w, g] = drafter
    return mean, variance, allowed


def _moments(pair: Pair | None, task: str | None, window: int, most: int) -> Array | None:
    """E[K] and E[K²] to emit 0 … `most` tokens; None where the pair's acceptance does not reach the window."""
    if pair is None:
        return rounds_to_emit(None, 0, most)
    acceptance = for_task(pair.acceptance, task)
    limit = largest_window(acceptance)
    if limit is not None and window > limit:
        return None
    return rounds_to_emit(acceptance, window, most)


def _most_tokens(workload: Workload) -> int:
    requests = workload.requests
    longest = int(requests.output_tokens.max()) if isinstance(requests, RequestTrace) else requests.output_tokens
    return max(longest - 1, 0)


def _at_lengths(workload: Workload, moments: Array) -> tuple[float, float]:
    requests = workload.requests
    if isinstance(requests, RequestTrace):
        at = requests.output_tokens - 1
        return float(moments[0, at].mean()), float(moments[1, at].mean())
    return float(moments[0, requests.output_tokens - 1]), float(moments[1, requests.output_tokens - 1])


def _drafting(
    scenario: Scenario,
    gears: Sequence[Gear],
    drafters: Sequence[Sequence[Device]],
    lengths: Sequence[Lengths],
    rounds: Array,
) -> tuple[Array, Array]:
    window_ms, request_ms = np.zeros(rounds.shape), np.zeros(rounds.shape)
    for w, length in enumerate(lengths):
        known: dict[tuple[int, int], tuple[float, float] | None] = {}
        for g, gear in enumerate(gears):
            if gear.slot < 0 or gear.slot >= len(drafters[w]):
                continue
            key = (gear.pair, gear.slot)
            if key not in known:
                profile = drafters[w][gear.slot].profiles.get(scenario.pairs[gear.pair].draft)
                surface = None if profile is None else surface_of(profile)
                known[key] = surface and (
                    decode_ms(surface, 1.0, 1.0, length.context),
                    prefill_alone_ms(surface, 1.0, length),
                )
            times = known[key]
            if times is not None:
                window_ms[w, g] = gear.window * times[0]
                request_ms[w, g] = rounds[w, g] * gear.window * times[0] + times[1]
    return window_ms, request_ms


def _payloads(scenario: Scenario, gears: Sequence[Gear]) -> tuple[Array, Array]:
    up, down = np.zeros(len(gears)), np.zeros(len(gears))
    for g, gear in enumerate(gears):
        if gear.slot < 0:
            continue
        pair = scenario.pairs[gear.pair]
        limit = largest_window(pair.acceptance)
        if limit is not None and gear.window > limit:
            continue
        sent = round_bytes(scenario, pair, gear.window)
        full = float(accepted_pmf(for_task(pair.acceptance, None), gear.window)[gear.window])
        up[g], down[g] = sent.up, full * sent.accepted_down + (1.0 - full) * sent.rejected_down
    return up, down


def _ways(scenario: Scenario, sites: Sequence[str], lengths: Sequence[Lengths]) -> Ways:
    shape = (len(scenario.workloads), len(sites))
    there = np.zeros(shape, dtype=bool)
    first, first_variance, round_ms, variance, up_rate, down_rate = (np.zeros(shape) for _ in range(6))
    for w, workload in enumerate(scenario.workloads):
        for s, site in enumerate(sites):
            hops = route(scenario, workload.site, site)
            if hops is None or (workload.allowed_sites is not None and site not in workload.allowed_sites):
                continue
            up, down = hops
            there[w, s] = True
            round_ms[w, s] = mean_delay_ms(up, 0.0) + mean_delay_ms(down, 0.0)
            variance[w, s] = first_variance[w, s] = delay_variance_ms2(up) + delay_variance_ms2(down)
            up_rate[w, s], down_rate[w, s] = _per_byte(up), _per_byte(down)
            prompt = TOKEN_ID_BYTES * lengths[w].prompt
            first[w, s] = round_ms[w, s] + prompt * up_rate[w, s] + TOKEN_ID_BYTES * down_rate[w, s]
    return Ways(there, first, first_variance, round_ms, variance, up_rate, down_rate)


def _per_byte(hops: tuple[Hop, ...]) -> float:
    return (mean_delay_ms(hops, PROBE_BYTES) - mean_delay_ms(hops, 0.0)) / PROBE_BYTES
