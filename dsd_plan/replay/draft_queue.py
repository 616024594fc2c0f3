"""A draft device whose jobs stand in a queue: first come, first served, up to `batch_cap` of them in a batch.

A device whose jobs are never dropped and never share a batch needs none of this: `drafting.occupy`.
"""

from __future__ import annotations

from dsd_plan.domain.step_time import StepSurface, decode_ms, mixed_kv_ms, prefill_ms
from dsd_plan.replay.bills import drafted
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import BILLED, FAULTY
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    BATCH_ENDS,
    DEVICE,
    DRAFT,
    DRAFTED,
    DROPPED,
    JOB,
    NONE,
    PREFILL,
    QUEUED,
    RUNNING,
    SESSION,
    TIED,
    WAKE,
    WINDOW,
    WORK,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.spells import factor_at
from dsd_plan.replay.surfaces import surface_at
from dsd_plan.replay.sustained import freshness

BATCH_BITS = 32
"""The event that ends batch number n of device i carries (n << BATCH_BITS) + i: a batch that was stopped has no end."""


@compiled
def take_job(world: World) -> int:
    """A row for a job. There is one (see `kernel.advance`)."""
    world.spare_jobs -= 1
    if world.left_job != NONE:
        j = world.left_job
        world.left_job = row(world.draft_jobs, JOB, j).next
        return j  # type: ignore[no-any-return]
    world.fresh_job += 1
    return world.fresh_job - 1  # type: ignore[no-any-return]


@compiled
def leave_job(world: World, j: int) -> None:
    """Nobody needs the row any more."""
    row(world.draft_jobs, JOB, j).next = world.left_job
    world.left_job = j
    world.spare_jobs += 1


@compiled
def tied(world: World, r: int, part: int) -> Row:
    """The session's `part`-th device."""
    return row(world.tied, TIED, r * world.most_tied + part)


@compiled
def queue_job(world: World, part: int, s: int, r: int, kind: int, steps: int, rows: int, context: int) -> int:
    """A session's job at the end of its `part`-th device's queue; returns its row. Prefills have no steps."""
    j = take_job(world)
    job = row(world.draft_jobs, JOB, j)
    d = int(tied(world, r, part).device)
    job.device = d
    job.part = part
    job.stream = s
    job.session = r
    job.number = row(world.sessions, SESSION, r).number
    job.kind = kind
    job.state = QUEUED
    job.steps = steps
    job.rows = rows
    job.context = context
    job.next = NONE
    job.spent_ms = 0.0
    job.came_ms = world.now_ms
    device = row(world.devices, DEVICE, d)
    job.previous = NONE
    if device.queued == 0:
        device.head = j
    else:
        job.previous = device.tail
        row(world.draft_jobs, JOB, device.tail).next = j
    device.tail = j
    device.queued += 1
    if device.stepping == 0:
        wake_device(world, d)
    return j


@compiled
def wake_device(world: World, d: int) -> None:
    """List an idle device, in order of index, among those to look at when this instant is over."""
    device = row(world.devices, DEVICE, d)
    if device.woken == 1:
        return
    device.woken = 1
    at = world.waking_devices
    world.waking_devices = at + 1
    while at > 0 and row(world.woken_devices, WAKE, at - 1).server > d:
        row(world.woken_devices, WAKE, at).server = row(world.woken_devices, WAKE, at - 1).server
        at -= 1
    row(world.woken_devices, WAKE, at).server = d


@compiled
def start_woken_devices(world: World) -> None:
    """All events of the instant are done: idle devices that have jobs begin a batch."""
    for at in range(world.waking_devices):
        d = row(world.woken_devices, WAKE, at).server
        device = row(world.devices, DEVICE, d)
        device.woken = 0
        if device.queued > 0 and device.stepping == 0:
            start_batch(world, d, device)
    world.waking_devices = 0


@compiled
def start_batch(world: World, d: int, device: Row) -> None:
    """Take jobs, but none whose session's own prefill is among them, and step as long as the longest needs."""
    pool = row(world.drafts, DRAFT, device.pool)
    count = rows = contexts = longest = prefills = prompts = 0
    j = device.head
    device.batch_head = j
    while j != NONE and count < pool.batch_cap:
        job = row(world.draft_jobs, JOB, j)
        if job.kind == WINDOW and tied(world, int(job.session), int(job.part)).prefill != NONE:
            break
        job.state = RUNNING
        count += 1
        if job.kind == PREFILL:
            prefills += 1
            prompts += job.context
        else:
            rows += job.rows
            contexts += job.rows * job.context
            longest = max(longest, job.steps)
        j = job.next
    device.head = j
    if j != NONE:
        row(world.draft_jobs, JOB, j).previous = NONE
    device.queued -= count
    device.batch = count
    device.batches += 1
    device.stepping = 1
    device.began_ms = world.now_ms
    surface = surface_at(world, pool.surface)
    batch_ms = drafting_ms(surface, longest, rows, contexts, prefills, prompts)
    batch_ms *= freshness(world, pool.surface, device.busy_ms)
    if FAULTY and world.faulty == 1:
        batch_ms *= factor_at(world, device.slow, device.slow_end, world.now_ms)
    device.ends_ms = world.now_ms + batch_ms
    push(world, device.ends_ms, BATCH_ENDS, (device.batches << BATCH_BITS) + d)


@compiled
def ended_batch(world: World, index: int) -> int:
    """The device whose batch ends with this event; NONE where the batch was stopped before."""
    d = index & ((1 << BATCH_BITS) - 1)
    device = row(world.devices, DEVICE, d)
    if device.stepping == 0 or device.batches != index >> BATCH_BITS:
        return NONE
    return d


@compiled
def settle_batch(world: World, d: int) -> None:
    """The batch is over: charge what it took in equal parts to its jobs' streams; the device is free."""
    device = row(world.devices, DEVICE, d)
    spent_ms = world.now_ms - device.began_ms
    device.busy_ms += spent_ms
    device.stepping = 0
    j = device.batch_head
    for _ in range(device.batch):
        job = row(world.draft_jobs, JOB, j)
        job.spent_ms = spent_ms / device.batch
        work = row(world.work, WORK, job.stream)
        work.draft_ms += job.spent_ms
        work.draft_jobs += 1
        work.draft_batches += 1.0 / device.batch
        if BILLED and world.keep_bills == 1:
            drafted(world, charged(world, job), d, job.spent_ms)
        if job.state >= DROPPED:
            work.wasted_ms += job.spent_ms
        j = job.next
    if device.queued > 0:
        wake_device(world, d)


@compiled
def charged(world: World, job: Row) -> int:
    """The session that a job was done for; NONE where it has ended, and others may have its row."""
    if job.session != NONE:
        session = row(world.sessions, SESSION, job.session)
        if session.number == job.number and session.done == 0:
            return int(job.session)
    return NONE


@compiled
def drop_job(world: World, j: int) -> None:
    """A guess turned out wrong: out of the queue, or out of the batch, which ends when nobody needs it any more."""
    job = row(world.draft_jobs, JOB, j)
    if job.state == DRAFTED:
        row(world.work, WORK, job.stream).wasted_ms += job.spent_ms
        leave_job(world, j)
        return
    d = int(job.device)
    device = row(world.devices, DEVICE, d)
    if job.state == QUEUED:
        if job.previous == NONE:
            device.head = job.next
        else:
            row(world.draft_jobs, JOB, job.previous).next = job.next
        if job.next == NONE:
            device.tail = job.previous
        else:
            row(world.draft_jobs, JOB, job.next).previous = job.previous
        device.queued -= 1
        leave_job(world, j)
        return
    job.state = DROPPED
    needed = device.batch_head
    for _ in range(device.batch):
        if row(world.draft_jobs, JOB, needed).state == RUNNING:
            return
        needed = row(world.draft_jobs, JOB, needed).next
    settle_batch(world, d)
    needed = device.batch_head
    for _ in range(device.batch):
        behind = row(world.draft_jobs, JOB, needed).next
        leave_job(world, needed)
        needed = behind


@compiled
def drafting_ms(surface: StepSurface, longest: int, rows: int, contexts: int, prefills: int, prompts: int) -> float:
    """`longest` draft steps for all rows together, and what the prefills among them add."""
    total = 0.0
    if rows > 0:
        total = longest * decode_ms(surface, float(rows), 1.0, contexts / rows)
    if prefills > 0:
        added = prefill_ms(surface, float(prefills), prompts / prefills)
        if rows > 0:
            added = max(added - surface.law[0], 0.0) + mixed_kv_ms(surface, float(rows), contexts / rows)
        total += added
    return total
