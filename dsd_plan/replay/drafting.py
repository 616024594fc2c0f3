"""The draft's side of a round: choose the window, draft it on the session's devices, send it up."""

from __future__ import annotations

from dsd_plan.domain.step_time import prefill_ms
from dsd_plan.replay.bills import comes_to_device, drafted, goes_from_device
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.draft_faults import (
    away,
    away_since,
    draft_while_it_stands,
    goes_alone,
    prefill_while_it_stands,
    standing_device,
)
from dsd_plan.replay.draft_queue import drop_job, ended_batch, leave_job, queue_job, settle_batch, tied
from dsd_plan.replay.features import BILLED, DRAFTS_QUEUE, FAULTY, ROUTED
from dsd_plan.replay.foresight import shared, window_ms
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    AHEAD,
    DEVICE,
    DRAFT,
    DRAFTED,
    DROPPED,
    JOB,
    JOB_ARRIVES,
    JOB_DROPPED,
    NONE,
    PIPELINED,
    PREFILL,
    SESSION,
    SPECULATION,
    STREAM,
    WINDOW,
    WORK,
    Row,
    World,
)
from dsd_plan.replay.links import send_up
from dsd_plan.replay.memory import row
from dsd_plan.replay.routing import another_device, chosen_device, learn
from dsd_plan.replay.surfaces import surface_at
from dsd_plan.replay.sustained import freshness
from dsd_plan.replay.windows import next_window


@compiled
def tie(world: World, r: int, session: Row, stream: Row) -> None:
    """Choose the session's draft devices, and let them prefill."""
    draft = row(world.drafts, DRAFT, stream.draft)
    session.device = chosen_device(world, draft, stream.draft_routing, session.key)
    if FAULTY and world.faulty == 1:
        session.device = standing_device(world, draft, int(session.device))
    device = row(world.devices, DEVICE, session.device)
    shared(world, device)
    if BILLED and world.keep_bills == 1:
        comes_to_device(world, r, 0, int(session.device))
    device.live += 1
    if ROUTED and draft.learns == 1:
        tied(world, r, 0).device = session.device
        for part in range(stream.tied):
            tied(world, r, part).took_ms = 0.0
    if not DRAFTS_QUEUE or draft.queued == 0:
        job_ms = prefill_ms(surface_at(world, draft.surface), 1.0, float(session.prefill))
        job_ms *= freshness(world, draft.surface, device.busy_ms)
        if FAULTY and world.faulty == 1:
            prefill_while_it_stands(world, r, session, job_ms)
        else:
            occupy(world, r, session, job_ms)
        return
    speculation = row(world.speculations, SPECULATION, r)
    speculation.ahead = NONE
    speculation.hit = 0
    speculation.confirmed = 0
    for part in range(stream.tied):
        its = tied(world, r, part)
        its.device = session.device
        if part > 0:
            its.device = another_device(world, stream, draft, session.key, r, part)
            if BILLED and world.keep_bills == 1:
                comes_to_device(world, r, part, int(its.device))
            row(world.devices, DEVICE, its.device).live += 1
        its.prefill = NONE
        its.seen_ms = -1.0
        if not FAULTY or world.faulty == 0 or not away(world, int(its.device)):
            its.seen_ms = world.now_ms
            its.prefill = queue_job(world, part, int(session.stream), r, PREFILL, 0, 0, int(session.prefill))


@compiled
def verdict_arrives(world: World, r: int) -> None:
    """First token or verdict at the site: send what was drafted ahead, if the guess was right; else draft a window."""
    session = row(world.sessions, SESSION, r)
    stream = row(world.streams, STREAM, session.stream)
    if ROUTED and row(world.drafts, DRAFT, stream.draft).learns == 1:
        devices_learn(world, r, stream)
    if DRAFTS_QUEUE and session.mode == PIPELINED:
        speculation = row(world.speculations, SPECULATION, r)
        j = speculation.ahead
        speculation.next_window = next_window(world, stream, r, session)
        if FAULTY and world.faulty == 1 and goes_alone(world, r, session, stream):
            speculation.ahead = NONE
            if j != NONE:
                drop_job(world, j)
            return
        if j != NONE and speculation.hit == 1 and not (FAULTY and world.faulty == 1 and forgotten(world, j)):
            session.window = speculation.ahead_window
            speculation.confirmed = 1
            if row(world.draft_jobs, JOB, j).state == DRAFTED:
                guess_sent(world, r, session, stream, j)
            return
        if j != NONE:
            speculation.ahead = NONE
            drop_job(world, j)
        session.window = speculation.next_window
    else:
        session.window = next_window(world, stream, r, session)
        if FAULTY and world.faulty == 1 and goes_alone(world, r, session, stream):
            return
    if session.window == 0:
        send(world, r, session, stream, world.now_ms)
        return
    if DRAFTS_QUEUE and row(world.drafts, DRAFT, stream.draft).queued == 1:
        queue_window(world, r, session, stream, int(session.prompt + session.emitted))
        return
    job_ms = window_ms(world, stream, session)
    if FAULTY and world.faulty == 1:
        draft_while_it_stands(world, r, session, stream, job_ms)
    else:
        drafted_ms = occupy(world, r, session, job_ms)
        if ROUTED:
            tied(world, r, 0).took_ms = drafted_ms - world.now_ms
        send(world, r, session, stream, drafted_ms)


@compiled
def devices_learn(world: World, r: int, stream: Row) -> None:
    """A verdict has come back: how long its window took is known, device by device."""
    for part in range(stream.tied):
        its = tied(world, r, part)
        learn(row(world.devices, DEVICE, its.device), its.took_ms)
        its.took_ms = 0.0


@compiled
def occupy(world: World, r: int, session: Row, job_ms: float) -> float:
    """Put a job at the end of the queue of a session's draft device; returns when it ends."""
    device = row(world.devices, DEVICE, session.device)
    ends_ms = max(device.free_ms, world.now_ms) + job_ms
    device.free_ms = ends_ms
    device.busy_ms += job_ms
    row(world.work, WORK, session.stream).draft_ms += job_ms
    if BILLED and world.keep_bills == 1:
        drafted(world, r, int(session.device), job_ms)
    return ends_ms  # type: ignore[no-any-return]


@compiled
def queue_window(world: World, r: int, session: Row, stream: Row, context: int) -> None:
    """The paths of a round go to the session's devices in turn."""
    parts = stream.tied
    row(world.speculations, SPECULATION, r).waits = parts
    for part in range(parts):
        rows = (stream.candidates - part + parts - 1) // parts
        if FAULTY and world.faulty == 1:
            its = tied(world, r, part)
            if away_since(world, int(its.device), its.seen_ms):
                its.prefill = queue_job(world, part, int(session.stream), r, PREFILL, 0, 0, context)
            its.seen_ms = world.now_ms
        queue_job(world, part, int(session.stream), r, WINDOW, int(session.window), rows, context)


@compiled
def forgotten(world: World, j: int) -> bool:
    """Whether a guess is done, and its device was away since."""
    job = row(world.draft_jobs, JOB, j)
    return job.state == DRAFTED and away_since(world, int(job.device), job.came_ms + job.took_ms)


@compiled
def send(world: World, r: int, session: Row, stream: Row, drafted_ms: float) -> None:
    """Proposals that are done at `drafted_ms` go up then."""
    session.sum_draft_ms += drafted_ms - session.last_ms
    send_up(world, r, drafted_ms, stream.proposal_up * session.window, int(session.rounds) + 1, JOB_ARRIVES)


@compiled
def send_and_go_on(world: World, r: int, session: Row, stream: Row) -> None:
    """Send the window that is done; pipelined, the draft guesses the target's next token and goes on at once."""
    send(world, r, session, stream, world.now_ms)
    if DRAFTS_QUEUE and session.mode == PIPELINED:
        speculation = row(world.speculations, SPECULATION, r)
        speculation.confirmed = 0
        speculation.ahead = NONE
        if speculation.next_window > 0:
            context = session.prompt + session.emitted + session.window
            steps = int(speculation.next_window) + 1
            speculation.ahead_window = speculation.next_window
            speculation.ahead = queue_job(world, 0, int(session.stream), r, AHEAD, steps, 1, int(context))


@compiled
def guess_sent(world: World, r: int, session: Row, stream: Row, j: int) -> None:
    """The guess was right and is done: it is the round's window."""
    tied(world, r, 0).took_ms = row(world.draft_jobs, JOB, j).took_ms
    leave_job(world, j)
    send_and_go_on(world, r, session, stream)


@compiled
def batch_ends(world: World, index: int) -> None:
    """A draft device's batch ends: each job's session goes on, in the order of the queue."""
    d = ended_batch(world, index)
    if d == NONE:
        return
    settle_batch(world, d)
    device = row(world.devices, DEVICE, d)
    j = int(device.batch_head)
    for _ in range(device.batch):
        behind = int(row(world.draft_jobs, JOB, j).next)
        job_done(world, j)
        j = behind


@compiled
def job_done(world: World, j: int) -> None:
    """A draft job is done: see to what waits for it."""
    job = row(world.draft_jobs, JOB, j)
    r = int(job.session)
    job.took_ms = world.now_ms - job.came_ms
    if job.kind == PREFILL:
        if r != NONE:
            tied(world, r, int(job.part)).prefill = NONE
        leave_job(world, j)
    elif job.state == DROPPED:
        leave_job(world, j)
    elif r == NONE:
        job.state = DRAFTED
    else:
        session = row(world.sessions, SESSION, r)
        stream = row(world.streams, STREAM, session.stream)
        speculation = row(world.speculations, SPECULATION, r)
        if job.kind == WINDOW:
            tied(world, r, int(job.part)).took_ms = job.took_ms
            leave_job(world, j)
            speculation.waits -= 1
            if speculation.waits == 0:
                send_and_go_on(world, r, session, stream)
        elif speculation.confirmed == 1:
            guess_sent(world, r, session, stream, j)
        else:
            job.state = DRAFTED


@compiled
def untie(world: World, r: int, session: Row) -> None:
    """The target is done with the session: it counts no more on its draft devices."""
    stream = row(world.streams, STREAM, session.stream)
    if not DRAFTS_QUEUE or row(world.drafts, DRAFT, stream.draft).queued == 0:
        leave_device(world, r, 0, int(session.device))
        return
    for part in range(stream.tied):
        leave_device(world, r, part, int(tied(world, r, part).device))


@compiled
def leave_device(world: World, r: int, part: int, d: int) -> None:
    """The session counts no more on its `part`-th draft device."""
    if BILLED and world.keep_bills == 1:
        goes_from_device(world, r, part, d)
    row(world.devices, DEVICE, d).live -= 1


@compiled
def drop_ahead(world: World, r: int, session: Row) -> None:
    """Its devices hear of the session's end with the last token: nobody waits for what they still do for it."""
    stream = row(world.streams, STREAM, session.stream)
    if not DRAFTS_QUEUE or row(world.drafts, DRAFT, stream.draft).queued == 0:
        return
    for part in range(stream.tied):
        prefill = tied(world, r, part).prefill
        if prefill != NONE:
            row(world.draft_jobs, JOB, prefill).session = NONE
    j = row(world.speculations, SPECULATION, r).ahead
    if j != NONE:
        row(world.draft_jobs, JOB, j).session = NONE
        push(world, session.last_ms, JOB_DROPPED, int(j))
