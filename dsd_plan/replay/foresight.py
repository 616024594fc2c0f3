"""One event a round where nothing contends.

Where a session has its draft device to itself, its next job is known when its verdict is sent, and one event a round
will do: the arrival of that job (`foresee`). A session that comes to the device before the verdict does makes it void,
and the round goes on event by event. What the device and the session have done is noted when the time has come
(`settle`), so nothing that looks at them sees the future.
"""

from __future__ import annotations

from dsd_plan.replay.bills import drafted
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import BILLED
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    DEVICE,
    DRAFT,
    FORESEEN,
    JOB_ARRIVES,
    SESSION,
    VERDICT_ARRIVES,
    VOID,
    WORK,
    Row,
    World,
)
from dsd_plan.replay.links import came_up
from dsd_plan.replay.memory import row
from dsd_plan.replay.messages import delay_ms
from dsd_plan.replay.random_numbers import UP_JITTER
from dsd_plan.replay.replica import join
from dsd_plan.replay.surfaces import decode_at
from dsd_plan.replay.sustained import freshness


@compiled
def verdict_sent(world: World, r: int, session: Row, stream: Row) -> None:
    """A verdict is on its way, and its arrival is the session's `last_ms`."""
    if stream.foreseeable == 1 and row(world.devices, DEVICE, session.device).live == 1:
        foresee(world, r, session, stream)
    else:
        push(world, session.last_ms, VERDICT_ARRIVES, r)


@compiled
def window_ms(world: World, stream: Row, session: Row) -> float:
    """How long the session's device takes to draft its next window, all of its paths together."""
    surface = row(world.drafts, DRAFT, stream.draft).surface
    context = float(session.prompt + session.emitted)
    job_ms = session.window * decode_at(world, surface, float(stream.candidates), 1.0, context)
    return job_ms * freshness(world, surface, row(world.devices, DEVICE, session.device).busy_ms)  # type: ignore[no-any-return]


@compiled
def foresee(world: World, r: int, session: Row, stream: Row) -> None:
    """Compute the next job of a session that is alone on its device, as if its verdict had arrived."""
    device = row(world.devices, DEVICE, session.device)
    device.job_ms = window_ms(world, stream, session)
    device.ends_ms = max(device.free_ms, session.last_ms) + device.job_ms
    device.up_ms = delay_ms(world, stream.up, stream.up_end, session.key, int(session.rounds) + 1, UP_JITTER)
    device.foreseen = r + 1
    session.ahead = FORESEEN
    push(world, device.ends_ms + device.up_ms, JOB_ARRIVES, r)


@compiled
def settle(world: World, device: Row) -> None:
    """What was foreseen has come to pass: the verdict has arrived, and the device has had its job since."""
    session = row(world.sessions, SESSION, device.foreseen - 1)
    device.free_ms = device.ends_ms
    device.busy_ms += device.job_ms
    row(world.work, WORK, session.stream).draft_ms += device.job_ms
    if BILLED and world.keep_bills == 1:
        drafted(world, int(device.foreseen - 1), int(session.device), device.job_ms)
    session.sum_draft_ms += device.ends_ms - session.last_ms
    came_up(session, JOB_ARRIVES, device.up_ms)
    session.ahead = 0
    device.foreseen = 0


@compiled
def shared(world: World, device: Row) -> None:
    """Another session comes to the device: its owner's next job is settled, or foreseen no more."""
    if device.foreseen == 0:
        return
    r = device.foreseen - 1
    session = row(world.sessions, SESSION, r)
    if session.last_ms <= world.now_ms:
        settle(world, device)
    else:
        session.ahead = VOID
        device.foreseen = 0
        push(world, session.last_ms, VERDICT_ARRIVES, r)


@compiled
def settle_until(world: World, at_ms: float) -> None:
    """Settle what has come to pass before `at_ms`, for someone who looks at the sums."""
    for d in range(world.device_count):
        device = row(world.devices, DEVICE, d)
        if device.foreseen > 0 and row(world.sessions, SESSION, device.foreseen - 1).last_ms < at_ms:
            settle(world, device)


@compiled
def job_arrives(world: World, r: int) -> None:
    """A window has come to the target; one whose arrival is void comes later, by another event."""
    session = row(world.sessions, SESSION, r)
    if session.ahead == VOID:
        session.ahead = 0
        return
    if session.ahead == FORESEEN:
        settle(world, row(world.devices, DEVICE, session.device))
    join(world, r)
