"""What each request costs its servers: its share of their time, working and idle. Kept only where somebody asks.

A step that several share is shared out: what it would take with nothing in it in equal parts, and besides, in
proportion to what each job adds by the fitted law. While a server stands idle its time belongs in equal parts to the
sessions that are live on it, and to nobody where there are none: a clock of idle time per live session is read when a
session comes and when it goes, so that nothing has to be done in between. Rules: docs/invariants.md.
"""

from __future__ import annotations

from dsd_plan.domain.step_time import prompts_in_knots
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import CHUNKED, ENGINE
from dsd_plan.replay.layout import (
    BILL,
    CLOCK,
    DEVICE,
    FUSED,
    NONE,
    REPLICA,
    SEAT,
    SESSION,
    STREAM,
    TARGET,
    TIED,
    Row,
    World,
)
from dsd_plan.replay.memory import Array, row
from dsd_plan.replay.surfaces import surface_at
from dsd_plan.replay.token_budget import is_prefill

compiled(prompts_in_knots)


@compiled
def tick_replica(world: World, i: int) -> Row:
    """A replica's idle clock, brought up to now: before every change of its live sessions."""
    replica = row(world.replicas, REPLICA, i)
    clock = row(world.replica_clocks, CLOCK, i)
    worked_ms = replica.draft_ms + replica.step_ms
    if replica.stepping == 1:
        worked_ms -= replica.ends_ms - world.now_ms
    tick(clock, world.now_ms - worked_ms, int(replica.live))
    return clock


@compiled
def tick_device(world: World, d: int) -> Row:
    """A draft device's idle clock, brought up to now: before every change of its live sessions."""
    device = row(world.devices, DEVICE, d)
    clock = row(world.device_clocks, CLOCK, d)
    worked_ms = device.busy_ms - max(device.free_ms - world.now_ms, 0.0)
    if device.stepping == 1:
        worked_ms += world.now_ms - device.began_ms
    tick(clock, world.now_ms - worked_ms, int(device.live))
    return clock


@compiled
def tick(clock: Row, idle_ms: float, live: int) -> None:
    """Its server, with so many live sessions, has stood idle for so long since the run began."""
    passed_ms = idle_ms - clock.idle_ms
    clock.idle_ms = idle_ms
    if live > 0:
        clock.per_live_ms += passed_ms / live
    else:
        clock.nobody_ms += passed_ms


@compiled
def comes_to_replica(world: World, r: int, i: int) -> None:
    """A session is about to count on a replica."""
    row(world.bills, BILL, r).since_ms = tick_replica(world, i).per_live_ms


@compiled
def goes_from_replica(world: World, r: int, i: int) -> None:
    """A session is about to count on a replica no more."""
    bill = row(world.bills, BILL, r)
    bill.idle_ms += tick_replica(world, i).per_live_ms - bill.since_ms


@compiled
def comes_to_device(world: World, r: int, part: int, d: int) -> None:
    """A session is about to count on its `part`-th draft device."""
    row(world.tied, TIED, r * world.most_tied + part).since_ms = tick_device(world, d).per_live_ms


@compiled
def goes_from_device(world: World, r: int, part: int, d: int) -> None:
    """A session is about to count on its `part`-th draft device no more."""
    since_ms = row(world.tied, TIED, r * world.most_tied + part).since_ms
    row(world.bills, BILL, r).edge_idle_ms += tick_device(world, d).per_live_ms - since_ms


@compiled
def drafted(world: World, r: int, d: int, job_ms: float) -> None:
    """A draft device works so long for a session; for nobody any more where that has ended."""
    if r == NONE:
        row(world.device_clocks, CLOCK, d).left_ms += job_ms
    else:
        row(world.bills, BILL, r).edge_ms += job_ms


@compiled
def share_out(world: World, replica: Row, longest: int, draft_ms: float, step_ms: float) -> None:
    """Charge an iteration that begins to its members, the draft's part of it, of `longest` steps, to those drafting."""
    target = row(world.targets, TARGET, replica.target)
    steps = max(longest, 1)
    added_ms = draft_added_ms = 0.0
    drafting = 0
    r = first_of(replica, target)
    for _ in range(replica.batch):
        bill = row(world.bills, BILL, r)
        bill.adds_ms, bill.draft_adds_ms = adds_ms(world, r, target, steps)
        added_ms += bill.adds_ms
        if bill.draft_adds_ms >= 0.0:
            draft_added_ms += bill.draft_adds_ms
            drafting += 1
        r = next_of(world, r, target)
    each_ms = surface_at(world, target.surface).law[0] / replica.batch
    whole_ms = surface_at(world, target.surface).law[0] + added_ms
    draft_each_ms = draft_whole_ms = 0.0
    if drafting > 0:
        constant_ms = steps * surface_at(world, target.fused_surface).law[0]
        draft_each_ms = constant_ms / drafting
        draft_whole_ms = constant_ms + draft_added_ms
    r = first_of(replica, target)
    for _ in range(replica.batch):
        bill = row(world.bills, BILL, r)
        bill.step_ms += share(each_ms + bill.adds_ms, whole_ms, int(replica.batch)) * step_ms
        if bill.draft_adds_ms >= 0.0:
            bill.draft_ms += share(draft_each_ms + bill.draft_adds_ms, draft_whole_ms, drafting) * draft_ms
        r = next_of(world, r, target)


@compiled
def share(mine_ms: float, whole_ms: float, count: int) -> float:
    """Part of the whole; of `count` equal ones where the law says that nothing takes any time."""
    if whole_ms > 0.0:
        return mine_ms / whole_ms
    return 1.0 / count


@compiled
def first_of(replica: Row, target: Row) -> int:
    """The first member of the iteration that begins."""
    if ENGINE and target.engine == 1:
        return int(replica.step_head)
    return int(replica.batch_head)


@compiled
def next_of(world: World, r: int, target: Row) -> int:
    """The next member of the iteration that begins."""
    if ENGINE and target.engine == 1:
        return int(row(world.seats, SEAT, r).member)
    return int(row(world.sessions, SESSION, r).next)


@compiled
def adds_ms(world: World, r: int, target: Row, steps: int) -> tuple[float, float]:
    """What a session's job adds to an iteration by the law, and to its `steps` draft steps: −1 where it has none."""
    session = row(world.sessions, SESSION, r)
    paths = row(world.streams, STREAM, session.stream).candidates
    context = session.prompt + session.emitted
    computed = 0
    if ENGINE and target.engine == 1:
        seat = row(world.seats, SEAT, r)
        computed, tokens = int(seat.computed), int(seat.takes)
        prefills = computed == 0 or computed < context - 1
        drafts = session.mode == FUSED and session.emitted > 0
    else:
        prefills = is_prefill(world, r, session)
        tokens = int(paths * session.window + 1)
        drafts = session.mode == FUSED and session.window > 0
        if prefills:
            tokens = int(session.prefill)
            if CHUNKED and target.capped == 1:
                computed, tokens = int(row(world.seats, SEAT, r).computed), int(row(world.seats, SEAT, r).takes)
    law = surface_at(world, target.surface).law
    if prefills:
        draft_adds = -1.0
        if session.mode == FUSED:
            draft_adds = prompt_adds_ms(surface_at(world, target.fused_surface).law, computed, tokens)
        return prompt_adds_ms(law, computed, tokens), draft_adds
    draft_adds = -1.0
    if drafts:
        draft_law = surface_at(world, target.fused_surface).law
        draft_adds = steps * paths * (draft_law[1] + draft_law[3] * context)
    return law[1] * tokens + law[3] * context, draft_adds


@compiled
def prompt_adds_ms(law: Array, computed: int, tokens: int) -> float:
    """What so many tokens of a prompt add behind those that were computed before."""
    slope = law[1] if prompts_in_knots(law) else law[2]
    return slope * tokens + law[4] * tokens * (2 * computed + tokens)  # type: ignore[no-any-return]
