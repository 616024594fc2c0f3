"""A target replica: memory for its sessions, a queue, one iteration at a time."""

from __future__ import annotations

from dsd_plan.domain.step_time import chunks_over_context_ms, iteration_ms
from dsd_plan.replay.bills import goes_from_replica, share_out
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.draft_queue import drafting_ms
from dsd_plan.replay.engine_like import arrives, has_job, leaves
from dsd_plan.replay.engine_step import start_step
from dsd_plan.replay.features import BILLED, CHUNKED, ENGINE, FAULTY, ORDERED
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    FUSED,
    ITERATION_ENDS,
    KV_LOST,
    KV_REFILLS,
    NONE,
    REFILLED,
    REPLICA,
    SEAT,
    SESSION,
    STREAM,
    TARGET,
    TRAVEL,
    WAKE,
    WORK,
    Row,
    World,
)
from dsd_plan.replay.like_sizes import take_alike
from dsd_plan.replay.memory import row
from dsd_plan.replay.ranking import queue_by_priority, wait_by_priority
from dsd_plan.replay.spells import endured_ms, next_spell_ms
from dsd_plan.replay.surfaces import surface_at
from dsd_plan.replay.sustained import freshness
from dsd_plan.replay.token_budget import is_prefill, take_within


@compiled
def prompt_arrives(world: World, r: int) -> None:
    """The prompt waits for memory, in order of arrival; then its prefill joins the queue."""
    session = row(world.sessions, SESSION, r)
    replica = row(world.replicas, REPLICA, session.replica)
    if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
        session.joined_ms = world.now_ms
        arrives(world, r)
        if replica.stepping == 0:
            wake(world, int(session.replica))
        return
    if replica.down == 0 and replica.memory_head == NONE and admitted(world, replica, r, session):
        join(world, r)
        return
    # While it is down, nobody knows yet whom memory will hold up: see `faults.stands_again`.
    replica.memory_waits += 1 - replica.down
    if ORDERED and row(world.targets, TARGET, replica.target).ranked == 1:
        if wait_by_priority(world, replica, r):
            admit(world, replica)
            replica.memory_waits -= replica.memory_head != r
        return
    session.next = NONE
    if replica.memory_head == NONE:
        replica.memory_head = r
    else:
        row(world.sessions, SESSION, replica.memory_tail).next = r
    replica.memory_tail = r


@compiled
def admitted(world: World, replica: Row, r: int, session: Row) -> bool:
    """Reserve the session's whole KV, if it fits now."""
    reserved = replica.kv_tokens + session.prompt + session.output
    target = row(world.targets, TARGET, replica.target)
    if reserved > target.kv_tokens:
        return False
    replica.kv_tokens = reserved
    if FAULTY and world.faulty == 1 and row(world.travels, TRAVEL, r).again == KV_LOST:
        row(world.travels, TRAVEL, r).again = KV_REFILLS
        session.fate |= REFILLED
        session.prefill = session.prompt + session.emitted
    if CHUNKED and target.capped == 1:
        row(world.seats, SEAT, r).computed = 0
    return True


@compiled
def release(world: World, r: int, session: Row) -> None:
    """The target is done with a session: its memory goes to the prompts that wait for it."""
    replica = row(world.replicas, REPLICA, session.replica)
    if BILLED and world.keep_bills == 1:
        goes_from_replica(world, r, int(session.replica))
    replica.live -= 1
    if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
        leaves(world, r)
        if replica.stepping == 0:
            wake(world, int(session.replica))
        return
    replica.kv_tokens -= session.prompt + session.output
    admit(world, replica)


@compiled
def admit(world: World, replica: Row) -> None:
    """Memory goes to the prompts that wait for it, in order."""
    if replica.down == 1:
        return
    while replica.memory_head != NONE:
        first = replica.memory_head
        waiting = row(world.sessions, SESSION, first)
        if not admitted(world, replica, int(first), waiting):
            return
        replica.memory_head = waiting.next
        join(world, first)


@compiled
def join(world: World, r: int) -> None:
    """The session's next job joins its replica's queue."""
    session = row(world.sessions, SESSION, r)
    session.joined_ms = world.now_ms
    session.next = NONE
    replica = row(world.replicas, REPLICA, session.replica)
    target = row(world.targets, TARGET, replica.target)
    if ENGINE and target.engine == 1:
        has_job(world, r)
        if replica.stepping == 0:
            wake(world, int(session.replica))
        return
    if ORDERED and target.ranked == 1:
        queue_by_priority(world, replica, r, False)
    else:
        if replica.queued == 0:
            replica.head = r
        else:
            row(world.sessions, SESSION, replica.tail).next = r
        replica.tail = r
        replica.queued += 1
    if replica.stepping == 0:
        wake(world, int(session.replica))


@compiled
def wake(world: World, i: int) -> None:
    """List an idle replica, in order of index, among those to look at when this instant is over."""
    replica = row(world.replicas, REPLICA, i)
    if replica.woken == 1:
        return
    replica.woken = 1
    at = world.waking
    world.waking = at + 1
    while at > 0 and row(world.woken, WAKE, at - 1).server > i:
        row(world.woken, WAKE, at).server = row(world.woken, WAKE, at - 1).server
        at -= 1
    row(world.woken, WAKE, at).server = i


@compiled
def start_woken(world: World) -> None:
    """All events of the instant are done: idle replicas that have jobs begin an iteration."""
    for at in range(world.waking):
        i = row(world.woken, WAKE, at).server
        replica = row(world.replicas, REPLICA, i)
        replica.woken = 0
        if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
            start_step(world, i, replica)
        elif replica.queued > 0:
            start_iteration(world, i, replica)
    world.waking = 0


@compiled
def start_iteration(world: World, i: int, replica: Row) -> None:
    """Take up to `batch_cap` jobs and step once for all of them."""
    target = row(world.targets, TARGET, replica.target)
    count = min(target.batch_cap, replica.queued)
    capped = target.capped == 1
    if CHUNKED and capped:
        count = take_within(world, replica, count, int(target.token_cap))
    elif ORDERED and target.like_sizes == 1:
        count = take_alike(world, replica, count)
    decodes = new_tokens = contexts = prefills = prompts = over_context = 0
    drafts = draft_contexts = longest = draft_prefills = draft_prompts = 0
    r = replica.head
    replica.batch_head = r
    replica.batch = count
    replica.queued -= count
    for _ in range(count):
        session = row(world.sessions, SESSION, r)
        work = row(world.work, WORK, session.stream)
        work.jobs += 1
        if is_prefill(world, r, session):
            tokens = int(session.prefill)
            if CHUNKED and capped:
                seat = row(world.seats, SEAT, r)
                tokens = int(seat.takes)
                over_context += 2 * seat.computed * tokens
                work.prompt_squares += 2 * seat.computed * tokens
            prefills += 1
            prompts += tokens
            work.prompt_tokens += tokens
            work.prompt_squares += tokens * tokens
            if session.mode == FUSED:
                draft_prefills += 1
                draft_prompts += tokens
        else:
            context = session.prompt + session.emitted
            decodes += 1
            paths = row(world.streams, STREAM, session.stream).candidates
            verified = paths * session.window + 1
            new_tokens += verified
            contexts += context
            work.new_tokens += verified
            work.kv_tokens += context
            if session.mode == FUSED and session.window > 0:
                drafts += paths
                draft_contexts += paths * context
                longest = max(longest, session.window)
                work.draft_steps += paths * session.window
                work.draft_kv_tokens += paths * session.window * context
        session.wait_ms = world.now_ms - session.joined_ms
        session.queued = replica.queued
        r = int(session.next)
    replica.head = r

    worked_ms = replica.draft_ms + replica.step_ms
    draft_ms = 0.0
    if drafts > 0 or draft_prefills > 0:
        surface = surface_at(world, target.fused_surface)
        draft_ms = drafting_ms(surface, longest, drafts, draft_contexts, draft_prefills, draft_prompts)
        draft_ms *= freshness(world, target.fused_surface, worked_ms)
    step_ms = iteration_ms(
        surface_at(world, target.surface),
        float(decodes),
        new_tokens / max(decodes, 1),
        contexts / max(decodes, 1),
        float(prefills),
        prompts / max(prefills, 1),
    )
    if CHUNKED and over_context > 0:
        step_ms += chunks_over_context_ms(surface_at(world, target.surface), float(over_context))
    step_ms *= freshness(world, target.surface, worked_ms)
    if FAULTY and world.faulty == 1:
        draft_ms, step_ms = endured_ms(world, replica, draft_ms, step_ms)
    replica.stepping = 1
    replica.batch_draft_ms = draft_ms
    replica.batch_step_ms = step_ms
    replica.draft_ms += draft_ms
    replica.step_ms += step_ms
    replica.iterations += 1
    replica.jobs += count
    replica.ends_ms = world.now_ms + (draft_ms + step_ms)
    if FAULTY and replica.lost == 1:  # to the bit, whatever its parts add up to
        replica.ends_ms = next_spell_ms(world, replica.fails, replica.fails_end, world.now_ms)
    if BILLED and world.keep_bills == 1:
        share_out(world, replica, longest, draft_ms, step_ms)
    push(world, replica.ends_ms, ITERATION_ENDS, i)
