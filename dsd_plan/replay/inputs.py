"""A deployed plan as the tables that the kernel reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.control.policy import KINDS
from dsd_plan.domain.acceptance import RoundTrace, TokenTrace, accepted_pmf
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw, round_states
from dsd_plan.domain.deployed import Deployed, Stream, TargetPool
from dsd_plan.domain.faults import Detour, Spell, cuts, outages, slow_devices, slow_links
from dsd_plan.domain.network import Hop
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.step_time import StepSurface
from dsd_plan.domain.sustained import points_of
from dsd_plan.domain.workload import PoissonRequests, RequestTrace
from dsd_plan.replay.conversations import conversations
from dsd_plan.replay.happenings import happenings
from dsd_plan.replay.layout import (
    CLOSED,
    MODES,
    MS_PER_S,
    NONE,
    POISSON,
    ROUTINGS,
    TABLES,
    TRACE,
    Rows,
)
from dsd_plan.replay.load import LanesOf, detours_of, lanes_of

Tables = Mapping[str, Rows]
"""By the names of layout.TABLES; read only."""


def tables_of(deployed: Deployed) -> Tables:
    """Everything that stays the same over replications."""
    made = _Tables()
    traces = [s.requests for s in deployed.streams if isinstance(s.requests, RequestTrace)]
    scenario = deployed.scenario
    origin_s = min((float(trace.arrival_s[0]) for trace in traces), default=0.0)
    lanes = lanes_of(deployed)
    made.add("lanes", [{}] * sum(of_link.copies for of_link in lanes.values()))
    for stream in deployed.streams:
        row = _stream(stream, deployed, made, lanes, origin_s)
        made.add("streams", [row | {"foreseeable": _is_foreseeable(deployed, stream)}])
    replicas = devices = 0
    for index, target in enumerate(deployed.targets):
        pool = {
            "first": replicas,
            "count": target.replicas,
            "batch_cap": target.batch_cap,
            "kv_tokens": np.inf if target.kv_tokens is None else target.kv_tokens,
            "token_cap": target.token_cap or UNLIMITED,
            "ranked": len({s.workload.priority for s in deployed.streams if s.target == index}) > 1,
            "like_sizes": target.batching == "length_aware",
            "capped": target.engine is None and target.token_cap is not None,
            **_engine(target),
            "surface": _surface(target.surface, target.profile, made),
            "fused_surface": NONE,
        }
        if target.fused_surface is not None and target.fused_profile is not None:
            pool["fused_surface"] = _surface(target.fused_surface, target.fused_profile, made)
        made.add("targets", [pool])
        numbers = np.arange(target.replicas)
        spells = _spells_of(scenario, target.device.name, numbers, made)
        learns = any(s.target == index and s.assignment.routing == LEARNING for s in deployed.streams)
        made.add_columns(
            "replicas", target=np.full(numbers.size, index), learns=np.full(numbers.size, learns), **spells
        )
        replicas += target.replicas
    for index, draft in enumerate(deployed.drafts):
        per_copy = draft.count // scenario.site(draft.device.site).count
        spells = _spells_of(scenario, draft.device.name, np.arange(draft.count) % per_copy, made)
        made.add_columns("devices", **spells)
        pool = {
            "first": devices,
            "count": draft.count,
            "batch_cap": draft.batch_cap,
            "surface": _surface(draft.surface, draft.profile, made),
            "queued": is_queued(deployed, index),
            "learns": devices_learn(deployed, index),
        }
        made.add("drafts", [pool])
        devices += draft.count
    queued = [is_queued(deployed, index) for index in range(len(deployed.drafts))]
    made.add("happenings", happenings(deployed, queued))
    return made.joined()


UNLIMITED = 1 << 40
LEARNING = "least_expected_delay"
"""The routing that needs to know how long servers took."""


def _engine(target: TargetPool) -> dict[str, int]:
    engine = target.engine
    if engine is None:
        return {}
    return {
        "engine": 1,
        "block": engine.block_tokens,
        "blocks": UNLIMITED if engine.blocks is None else engine.blocks,
        "ahead": engine.ahead,
        "prefix_cache": engine.prefix_cache,
    }


def is_queued(deployed: Deployed, index: int) -> bool:
    """Whether the end of a pool's job is not known when it is given: others may be dropped, or share its batch."""
    streams = [stream for stream in deployed.streams if stream.draft == index]
    return deployed.drafts[index].batch_cap > 1 or any(
        stream.mode == "pipelined" or stream.assignment.draft_devices_per_session > 1 for stream in streams
    )


def devices_learn(deployed: Deployed, index: int) -> bool:
    """Whether a routing asks how long a pool's draft devices took lately."""
    return any(s.draft == index and s.assignment.draft_routing == LEARNING for s in deployed.streams)


def _is_foreseeable(deployed: Deployed, stream: Stream) -> bool:
    """Whether nothing but its own draft device can come between a verdict and the next job.

    Only with jitter, because then no two events share an instant, and it does not matter which was scheduled first.
    """
    hops = (*stream.up, *stream.down)
    return (
        stream.mode == "distributed"
        and not deployed.scenario.faults
        and stream.draft is not None
        and not is_queued(deployed, stream.draft)
        and not devices_learn(deployed, stream.draft)
        and stream.assignment.policy.kind == "static"
        and not any(map(is_timed, hops))
        and any(hop.jitter_cv > 0.0 and hop.mean_ms > 0.0 for hop in hops)
    )


def _spells_of(
    scenario: Scenario, device: str, numbers: NDArray[np.int64], made: _Tables
) -> dict[str, NDArray[np.int64]]:
    """When devices of a type are away or slow, as columns of their rows; `numbers` within a copy of their site.

    A fleet may have many devices: those that no fault names by its number share their spells.
    """
    named = {fault.index for fault in scenario.faults if fault.device == device and fault.index is not None}
    unnamed = -1
    columns = {name: np.zeros(numbers.size, dtype=np.int64) for name in ("fails", "fails_end", "slow", "slow_end")}
    for number in (unnamed, *sorted(named)):
        mine = ~np.isin(numbers, sorted(named)) if number == unnamed else numbers == number
        fails = _spells(outages(scenario, device, number), made)
        slow = _spells(slow_devices(scenario, device, number), made)
        for name, value in zip(columns, (*fails, *slow), strict=True):
            columns[name][mine] = value
    return columns


def _spells(spells: Sequence[Spell], made: _Tables) -> tuple[int, int]:
    rows = [{"from_ms": s.from_s * MS_PER_S, "until_ms": s.until_s * MS_PER_S, "factor": s.factor} for s in spells]
    first = made.add("spells", rows)
    return first, first + len(rows)


class _Tables:
    """Tables that grow; rows of one point into another by its size so far."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Rows]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, name: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Append rows given by field; fields left out are 0. Returns where they begin."""
        table = np.zeros(len(rows), dtype=TABLES[name])
        for index, fields in enumerate(rows):
            for field, value in fields.items():
                table[field][index] = value
        return self._append(name, table)

    def add_columns(self, name: str, **columns: NDArray[Any]) -> int:
        """Append rows given as parallel arrays. Returns where they begin."""
        table = np.zeros(len(next(iter(columns.values()))), dtype=TABLES[name])
        for field, values in columns.items():
            table[field] = values
        return self._append(name, table)

    def _append(self, name: str, table: Rows) -> int:
        self._parts.setdefault(name, []).append(table)
        first = self._sizes.get(name, 0)
        self._sizes[name] = first + table.size
        return first

    def joined(self) -> dict[str, Rows]:
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}


def _surface(surface: StepSurface, profile: LatencyProfile, made: _Tables) -> int:
    def numbers(values: NDArray[np.float64]) -> int:
        return made.add_columns("numbers", value=values.ravel())

    points = points_of(profile)
    rows = [{"worked_ms": worked_s * MS_PER_S, "share": share} for worked_s, share in points]
    sustained = made.add("sustained", rows)
    row = {
        "sustained": sustained,
        "sustained_end": sustained + len(rows),
        "decode_batch": numbers(surface.decode_batch),
        "decode_new": numbers(surface.decode_new),
        "decode_context": numbers(surface.decode_context),
        "decode": numbers(surface.decode_ms),
        "prefill_batch": numbers(surface.prefill_batch),
        "prefill_prompt": numbers(surface.prefill_prompt),
        "prefill": numbers(surface.prefill_ms),
        "law": numbers(surface.law),
        "batches": surface.decode_batch.size,
        "news": surface.decode_new.size,
        "contexts": surface.decode_context.size,
        "prefills": surface.prefill_batch.size,
        "prompts": surface.prefill_prompt.size,
        "laws": surface.law.size,
    }
    return made.add("surfaces", [row])


def _hop(hop: Hop, made: _Tables, lanes: LanesOf, scenario: Scenario) -> dict[str, Any]:
    row: dict[str, Any] = {"mean_ms": hop.mean_ms, "jitter_cv": hop.jitter_cv, "mbps": hop.mbps}
    row |= {"loss": hop.loss, "rtt_ms": hop.rtt_ms, "lane": NONE, "trace": NONE}
    if hop.trace is not None:
        row |= {"mean_ms": 0.0, "jitter_cv": 0.0}
    if np.isfinite(hop.mbps):
        row |= {"lane": lanes[hop.link, hop.outward].first, "copies": lanes[hop.link, hop.outward].copies}
    cut, slow = _spells(cuts(scenario, hop.link), made), _spells(slow_links(scenario, hop.link), made)
    row |= {"cut": cut[0], "cut_end": cut[1], "slow": slow[0], "slow_end": slow[1]}
    if hop.trace is not None:
        at_ms = np.array(hop.trace.at_s) * MS_PER_S
        first = made.add_columns("round_trips", at_ms=at_ms, rtt_ms=np.array(hop.trace.rtt_ms))
        row |= {"trace": first, "trace_end": first + at_ms.size, "trace_ms": hop.trace.length_s * MS_PER_S}
    return row


def _ways(detour: Detour, made: _Tables, lanes: LanesOf, scenario: Scenario) -> dict[str, Any]:
    if detour.ways is None:
        return {"open": 0}
    up, down = ([_hop(hop, made, lanes, scenario) for hop in way] for way in detour.ways)
    first_up, first_down = made.add("hops", up), made.add("hops", down)
    ends = {"up_end": first_up + len(up), "down_end": first_down + len(down)}
    return {"open": 1, "up": first_up, "down": first_down, **ends}


def is_timed(hop: Hop) -> bool:
    """Whether it matters when a message comes to this hop."""
    return bool(np.isfinite(hop.mbps)) or hop.trace is not None


def _stream(stream: Stream, deployed: Deployed, made: _Tables, lanes: LanesOf, origin_s: float) -> dict[str, Any]:
    assignment, messages, scenario = stream.assignment, stream.messages, deployed.scenario
    draft_devices = 0 if stream.draft is None else deployed.drafts[stream.draft].count
    up = made.add("hops", [_hop(hop, made, lanes, scenario) for hop in stream.up])
    down = made.add("hops", [_hop(hop, made, lanes, scenario) for hop in stream.down])
    copies = scenario.site(stream.workload.site).count
    policy = _policy(stream)
    made.add("policies", [policy])
    detour_rows = [
        {
            "from_ms": detour.from_s * MS_PER_S,
            "until_ms": detour.until_s * MS_PER_S,
            "hold_ms": detour.hold_until_s * MS_PER_S,
            **_ways(detour, made, lanes, scenario),
        }
        for detour in detours_of(deployed, stream)
    ]
    detour_first = made.add("detours", detour_rows)
    return {
        "detour": detour_first,
        "detour_end": detour_first + len(detour_rows),
        "timed": bool(scenario.faults) or any(map(is_timed, (*stream.up, *stream.down))),
        "copies": copies,
        "per_copy": 0 if stream.draft is None else draft_devices // copies,
        "mode": MODES[stream.mode],
        "policy": KINDS[assignment.policy.kind],
        "window": stream.window,
        "candidates": assignment.candidates,
        "tied": assignment.draft_devices_per_session,
        "target": stream.target,
        "draft": NONE if stream.draft is None else stream.draft,
        "routing": ROUTINGS[assignment.routing],
        "priority": stream.workload.priority,
        "draft_routing": ROUTINGS[assignment.draft_routing or "random"],
        "up": up,
        "up_end": up + len(stream.up),
        "down": down,
        "down_end": down + len(stream.down),
        "first_down": messages.first_down,
        "proposal_up": messages.round_up / max(stream.window, 1),
        "round_down": messages.accepted_down,
        "rejected_down": messages.rejected_down,
        **_acceptance(stream, made, policy["largest"]),
        **_requests(deployed.targets[stream.target], stream, made, origin_s),
    }


def _policy(stream: Stream) -> dict[str, Any]:
    policy = stream.assignment.policy
    row: dict[str, Any] = {"smallest": stream.window, "largest": stream.window}
    if policy.kind == "threshold":
        row = {"smallest": policy.smallest, "largest": stream.largest_window}
        row |= {name: getattr(policy, name) for name in ("grow_above", "shrink_below", "smoothing")}
    return row


def _acceptance(stream: Stream, made: _Tables, largest: int) -> dict[str, Any]:
    """`largest`: the largest window that may be asked for."""
    acceptance = stream.acceptance
    if acceptance is None:
        return {}
    if isinstance(acceptance, TokenTrace):
        match, starts = acceptance.match, acceptance.request_starts()
        return {
            "match": made.add_columns("match", hit=match),
            "matches": match.size,
            "start": made.add_columns("starts", place=starts),
            "recorded": starts.size,
        }
    guessed = largest + (stream.mode == "pipelined")
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        states = round_states(acceptance, guessed)
        moves = states.transition_cdf()
        return {
            "cdf": made.add_columns("cdf", p=states.accepted_cdf().ravel()),
            "states": states.start.size,
            "stride": guessed + 1,
            "first_state": made.add_columns("cdf", p=states.start_cdf()),
            "next_state": NONE if moves is None else made.add_columns("cdf", p=moves.ravel()),
        }
    row: dict[str, Any] = {"cdf": made.add_columns("cdf", p=np.cumsum(accepted_pmf(acceptance, guessed)))}
    if isinstance(acceptance, RoundTrace):
        starts = acceptance.request_starts()
        row |= {
            "played_round": made.add_columns("played", proposed=acceptance.proposed, accepted=acceptance.accepted),
            "played": acceptance.proposed.size,
            "start": made.add_columns("starts", place=starts),
            "recorded": starts.size,
        }
    return row


def _requests(pool: TargetPool, stream: Stream, made: _Tables, origin_s: float) -> dict[str, Any]:
    requests = stream.requests
    if isinstance(requests, RequestTrace):
        at_ms = (requests.arrival_s - origin_s) * MS_PER_S
        talks = np.full(at_ms.size, NONE)
        numbers = conversations(pool, stream)
        if numbers is not None:
            talks = numbers + made.add_columns("talks", replica=np.full(numbers.max() + 1, NONE))
        return {
            "requests": TRACE,
            "row": made.add_columns(
                "requests",
                at_ms=at_ms,
                talk=talks,
                number=np.arange(at_ms.size) if stream.rows is None else stream.rows,
                prompt=requests.prompt_tokens,
                prefill=requests.prefill_tokens,
                output=requests.output_tokens,
            ),
            "row_count": at_ms.size,
        }
    lengths = {"prompt": requests.prompt_tokens, "output": requests.output_tokens}
    if isinstance(requests, PoissonRequests):
        return {"requests": POISSON, "gap_ms": MS_PER_S / requests.rate_per_s, **lengths}
    return {"requests": CLOSED, "think_ms": requests.think_s * MS_PER_S, **lengths}
