"""Steps of an engine-like target: planned under one token budget, begun, and how long they take."""

from __future__ import annotations

from dsd_plan.domain.step_time import engine_step_ms
from dsd_plan.replay.bills import share_out
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.draft_queue import drafting_ms
from dsd_plan.replay.engine_like import (
    blocks_of,
    earlier_turns,
    hold,
    leave_chain,
    preempt_newest,
    run_last,
    sequence,
    still_cached,
    wanted,
)
from dsd_plan.replay.features import BILLED, FAULTY
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    FUSED,
    ITERATION_ENDS,
    NONE,
    SEAT,
    SESSION,
    STREAM,
    TARGET,
    WORK,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.spells import endured_ms, next_spell_ms
from dsd_plan.replay.surfaces import surface_at
from dsd_plan.replay.sustained import freshness


@compiled
def start_step(world: World, i: int, replica: Row) -> None:
    """Begin the step that is planned, or plan one now; with planning ahead, plan the next at once."""
    if replica.down == 1:
        return
    if replica.plan == 0 and plan_step(world, replica) and replica.plan == 0:
        # The only session that had a job was preempted itself, and may be admitted again.
        plan_step(world, replica)
    if replica.plan == 0:
        return
    begin_step(world, i, replica)
    if row(world.targets, TARGET, replica.target).ahead == 1:
        plan_step(world, replica)


@compiled
def plan_step(world: World, replica: Row) -> bool:
    """Sessions that run take tokens in order of admission, then those that wait. Whether one was preempted."""
    target = row(world.targets, TARGET, replica.target)
    budget = int(target.token_cap)
    before = replica.preempted
    r = int(replica.running_head)
    while r != NONE and budget > 0:
        seat = row(world.seats, SEAT, r)
        takes = min(wanted(world, r), budget)
        if takes > 0:
            needed = blocks_of(world, replica, int(seat.computed + seat.takes + takes)) - seat.held
            last = NONE
            while needed > replica.blocks and last != r:
                last = int(replica.running_tail)
                preempt_newest(world, replica)
            if last == r:
                break
            if needed > 0:
                hold(replica, seat, int(seat.held + needed))
            budget -= takes
            plan_member(world, replica, r, takes)
        r = int(seat.next)
    if replica.preempted > before:
        return True
    admit(world, replica, target, budget)
    return False


@compiled
def admit(world: World, replica: Row, target: Row, budget: int) -> None:
    """Those that wait begin, in order, while the whole sequence of the first fits into blocks that are free."""
    while replica.waiting_head != NONE and budget > 0 and replica.running < target.batch_cap:
        r = int(replica.waiting_head)
        seat = row(world.seats, SEAT, r)
        session = row(world.sessions, SESSION, r)
        whole = sequence(session, seat)
        if seat.takes > 0 or blocks_of(world, replica, whole) > replica.blocks:
            return
        leave_chain(world, replica, r)
        run_last(world, replica, r)
        if target.prefix_cache == 1:
            seat.computed = still_cached(world, replica, seat, whole)
            if session.emitted == 0:
                seat.computed = max(seat.computed, session.prompt - session.prefill)
                seat.computed = max(seat.computed, earlier_turns(world, replica, session, seat))
        takes = min(whole - seat.computed, budget)
        hold(replica, seat, blocks_of(world, replica, int(seat.computed + takes)))
        budget -= takes
        plan_member(world, replica, r, takes)


@compiled
def plan_member(world: World, replica: Row, r: int, takes: int) -> None:
    """The session takes part in the step that is being planned."""
    seat = row(world.seats, SEAT, r)
    seat.plan_takes = takes
    seat.planned = NONE
    if replica.plan == 0:
        replica.plan_head = r
    else:
        row(world.seats, SEAT, replica.plan_tail).planned = r
    replica.plan_tail = r
    replica.plan += 1


@compiled
def begin_step(world: World, i: int, replica: Row) -> None:
    """What was planned is computed, in one step of all members."""
    target = row(world.targets, TARGET, replica.target)
    decodes = new_tokens = contexts = chunks = chunk_tokens = chunk_squares = 0
    drafts = draft_contexts = longest = draft_chunks = draft_tokens = 0
    replica.step_head = replica.plan_head
    replica.batch = replica.plan
    r = int(replica.plan_head)
    while r != NONE:
        seat = row(world.seats, SEAT, r)
        session = row(world.sessions, SESSION, r)
        work = row(world.work, WORK, session.stream)
        seat.member = seat.planned
        takes = int(seat.plan_takes)
        seat.takes = takes
        seat.plan_takes = 0
        computed = int(seat.computed)
        seat.emits = computed + takes == sequence(session, seat)
        work.jobs += 1
        if computed > 0 and computed >= session.prompt + session.emitted - 1:
            context = int(session.prompt + session.emitted)
            decodes += 1
            new_tokens += takes
            contexts += context
            work.new_tokens += takes
            work.kv_tokens += context
            if session.mode == FUSED and session.emitted > 0:
                paths = row(world.streams, STREAM, session.stream).candidates
                drafts += paths
                draft_contexts += paths * context
                longest = max(longest, session.window)
                work.draft_steps += paths * session.window
                work.draft_kv_tokens += paths * session.window * context
        else:
            chunks += 1
            chunk_tokens += takes
            square = takes * (2 * computed + takes)
            chunk_squares += square
            work.prompt_tokens += takes
            work.prompt_squares += square
            if session.mode == FUSED:
                draft_chunks += 1
                draft_tokens += takes
        session.wait_ms = world.now_ms - session.joined_ms
        session.queued = replica.running
        r = int(seat.member)
    replica.plan = 0
    replica.plan_head = replica.plan_tail = NONE

    worked_ms = replica.draft_ms + replica.step_ms
    draft_ms = 0.0
    if drafts > 0 or draft_chunks > 0:
        surface = surface_at(world, target.fused_surface)
        draft_ms = drafting_ms(surface, longest, drafts, draft_contexts, draft_chunks, draft_tokens)
        draft_ms *= freshness(world, target.fused_surface, worked_ms)
    step_ms = engine_step_ms(
        surface_at(world, target.surface),
        float(decodes),
        new_tokens / max(decodes, 1),
        contexts / max(decodes, 1),
        float(chunks),
        float(chunk_tokens),
        float(chunk_squares),
    )
    step_ms *= freshness(world, target.surface, worked_ms)
    if FAULTY and world.faulty == 1:
        draft_ms, step_ms = endured_ms(world, replica, draft_ms, step_ms)
    replica.stepping = 1
    replica.batch_draft_ms = draft_ms
    replica.batch_step_ms = step_ms
    replica.draft_ms += draft_ms
    replica.step_ms += step_ms
    replica.iterations += 1
    replica.jobs += replica.batch
    replica.running_ms += (draft_ms + step_ms) * replica.batch
    replica.ends_ms = world.now_ms + (draft_ms + step_ms)
    if FAULTY and replica.lost == 1:  # to the bit, whatever its parts add up to
        replica.ends_ms = next_spell_ms(world, replica.fails, replica.fails_end, world.now_ms)
    if BILLED and world.keep_bills == 1:
        share_out(world, replica, int(longest), draft_ms, step_ms)
    push(world, replica.ends_ms, ITERATION_ENDS, i)
