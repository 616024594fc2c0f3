"""The draft's side under faults: devices that fail or slow down, sessions that go on without their draft."""

from __future__ import annotations

from dsd_plan.domain.step_time import prefill_ms
from dsd_plan.domain.wire import TOKEN_ID_BYTES
from dsd_plan.replay.bills import drafted
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.draft_queue import drop_job, leave_job, settle_batch
from dsd_plan.replay.features import BILLED, DRAFTS_QUEUE
from dsd_plan.replay.layout import (
    AHEAD,
    ALONE,
    DETOUR,
    DEVICE,
    DRAFT,
    DRAFTED,
    DROPPED,
    JOB,
    JOB_ARRIVES,
    LOST,
    NONE,
    PREFILL,
    RUNNING,
    SESSION,
    SPECULATION,
    SPELL,
    STREAM,
    TARGET_ONLY,
    TIED,
    TRAVEL,
    WINDOW,
    WORK,
    Row,
    World,
)
from dsd_plan.replay.links import send_up
from dsd_plan.replay.memory import row
from dsd_plan.replay.spells import detour_at, factor_at, next_spell_ms, past
from dsd_plan.replay.surfaces import surface_at
from dsd_plan.replay.sustained import freshness


@compiled
def away(world: World, d: int) -> bool:
    """Whether a draft device is down now."""
    device = row(world.devices, DEVICE, d)
    return past(world, device.fails, device.fails_end, world.now_ms) > world.now_ms  # type: ignore[no-any-return]


@compiled
def any_away(world: World, r: int, session: Row, stream: Row) -> bool:
    """Whether one of a session's draft devices is down now."""
    if not DRAFTS_QUEUE or stream.tied == 1:
        return away(world, int(session.device))
    for part in range(stream.tied):
        if away(world, int(row(world.tied, TIED, r * world.most_tied + part).device)):
            return True
    return False


@compiled
def away_since(world: World, d: int, since_ms: float) -> bool:
    """Whether a draft device went down after an instant and before this one."""
    device = row(world.devices, DEVICE, d)
    for i in range(device.fails, device.fails_end):
        if since_ms < row(world.spells, SPELL, i).from_ms < world.now_ms:
            return True
    return False


@compiled
def standing_device(world: World, pool: Row, d: int) -> int:
    """The device itself, or the next of its pool that is not away; the device itself if all are."""
    for step in range(pool.count):
        other = pool.first + (d - pool.first + step) % pool.count
        if not away(world, other):
            return other  # type: ignore[no-any-return]
    return d


@compiled
def prefill_while_it_stands(world: World, r: int, session: Row, job_ms: float) -> None:
    """A new session's prompt on its draft device."""
    travel = row(world.travels, TRAVEL, r)
    travel.seen_ms = -1.0
    if not away(world, int(session.device)):
        travel.seen_ms = world.now_ms
        work_until(world, r, session, job_ms)


@compiled
def work_until(world: World, r: int, session: Row, job_ms: float) -> tuple[bool, float]:
    """A job at the end of the session's device's queue: (whether it is done, when that is known)."""
    device = row(world.devices, DEVICE, session.device)
    begins_ms = max(device.free_ms, world.now_ms)
    job_ms *= factor_at(world, device.slow, device.slow_end, begins_ms)
    ends_ms = begins_ms + job_ms
    fails_ms = next_spell_ms(world, device.fails, device.fails_end, world.now_ms)
    done = ends_ms <= fails_ms
    if not done:
        job_ms = fails_ms - begins_ms
        ends_ms = fails_ms
    device.free_ms = ends_ms
    device.busy_ms += job_ms
    row(world.work, WORK, session.stream).draft_ms += job_ms
    if BILLED and world.keep_bills == 1:
        drafted(world, r, int(session.device), job_ms)
    return done, ends_ms


@compiled
def goes_alone(world: World, r: int, session: Row, stream: Row) -> bool:
    """Without its device, or where only a detour leads to the target, the session asks that to go on as target_only."""
    d = detour_at(world, stream, world.now_ms)
    if not (any_away(world, r, session, stream) or (d != NONE and row(world.detours, DETOUR, d).open == 1)):
        return False
    ask_target(world, r, session, world.now_ms)
    return True


@compiled
def ask_target(world: World, r: int, session: Row, leaves_ms: float) -> None:
    """Send no proposals, but word that the target goes on alone."""
    session.mode = TARGET_ONLY
    session.window = 0
    session.fate |= ALONE
    session.sum_draft_ms += leaves_ms - world.now_ms
    send_up(world, r, leaves_ms, float(TOKEN_ID_BYTES), int(session.rounds) + 1, JOB_ARRIVES)


@compiled
def draft_while_it_stands(world: World, r: int, session: Row, stream: Row, job_ms: float) -> None:
    """Draft a window; again from the prompt on if the device was away since; without it if that fails before."""
    travel = row(world.travels, TRAVEL, r)
    device = row(world.devices, DEVICE, session.device)
    if away_since(world, int(session.device), travel.seen_ms):
        surface = row(world.drafts, DRAFT, stream.draft).surface
        again_ms = prefill_ms(surface_at(world, surface), 1.0, float(session.prompt + session.emitted))
        job_ms += again_ms * freshness(world, surface, device.busy_ms)
    travel.seen_ms = world.now_ms
    done, at_ms = work_until(world, r, session, job_ms)
    if not done:
        ask_target(world, r, session, at_ms)
        return
    row(world.tied, TIED, r * world.most_tied).took_ms = at_ms - world.now_ms
    session.sum_draft_ms += at_ms - world.now_ms
    send_up(world, r, at_ms, stream.proposal_up * session.window, int(session.rounds) + 1, JOB_ARRIVES)


@compiled
def device_fails(world: World, d: int) -> None:
    """A draft device goes down with its batch and its queue: sessions that waited for a window go on alone."""
    device = row(world.devices, DEVICE, d)
    queued, waiting = int(device.head), int(device.queued)
    device.queued = 0
    if device.stepping == 1:
        j = int(device.batch_head)
        for _ in range(device.batch):
            job = row(world.draft_jobs, JOB, j)
            if job.state == RUNNING:
                job.state = LOST
            j = int(job.next)
        settle_batch(world, d)
        lose_jobs(world, int(device.batch_head), int(device.batch))
    lose_jobs(world, queued, waiting)


@compiled
def lose_jobs(world: World, j: int, count: int) -> None:
    """So many jobs of a chain are lost with their device."""
    for _ in range(count):
        behind = int(row(world.draft_jobs, JOB, j).next)
        lose_job(world, j)
        j = behind


@compiled
def lose_job(world: World, j: int) -> None:
    """A job is lost with its device: see to what waited for it."""
    job = row(world.draft_jobs, JOB, j)
    r, kind = int(job.session), int(job.kind)
    if job.state == DROPPED:
        leave_job(world, j)
        return
    if kind == AHEAD and r == NONE:
        # It is dropped when its session's last verdict arrives; what was settled by now is not counted again then.
        job.state = DRAFTED
        job.spent_ms = 0.0
        return
    leave_job(world, j)
    if r == NONE:
        return
    session = row(world.sessions, SESSION, r)
    speculation = row(world.speculations, SPECULATION, r)
    if kind == PREFILL:
        row(world.tied, TIED, r * world.most_tied + int(job.part)).prefill = NONE
        return
    if kind == AHEAD:
        speculation.ahead = NONE
        if speculation.confirmed == 0:
            return
        speculation.confirmed = 0
    else:
        drop_other_parts(world, r, row(world.streams, STREAM, session.stream), int(job.part))
    session.sum_draft_ms += world.now_ms - session.last_ms
    ask_target(world, r, session, world.now_ms)


@compiled
def drop_other_parts(world: World, r: int, stream: Row, lost: int) -> None:
    """One part of a session's window is lost: nobody waits for the others."""
    for part in range(stream.tied):
        its = row(world.tied, TIED, r * world.most_tied + part)
        its.took_ms = 0.0
        if part != lost:
            device = row(world.devices, DEVICE, its.device)
            j = NONE
            if device.stepping == 1:
                j = window_among(world, r, int(device.batch_head), int(device.batch))
            if j == NONE:
                j = window_among(world, r, int(device.head), int(device.queued))
            if j != NONE:
                drop_job(world, j)


@compiled
def window_among(world: World, r: int, j: int, count: int) -> int:
    """The job of a session's window among so many of a chain; NONE where it is not, or dropped."""
    for _ in range(count):
        job = row(world.draft_jobs, JOB, j)
        if job.session == r and job.kind == WINDOW and job.state != DROPPED:
            return j
        j = int(job.next)
    return NONE
