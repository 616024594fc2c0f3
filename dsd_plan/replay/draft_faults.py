"""The draft's side under faults: devices that fail or slow down, sessions that go on without their draft."""

from __future__ import annotations

from dsd_plan.domain.step_time import prefill_ms
from dsd_plan.domain.wire import TOKEN_ID_BYTES
from dsd_plan.replay.bills import drafted
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import BILLED
from dsd_plan.replay.layout import (
    ALONE,
    DETOUR,
    DEVICE,
    DRAFT,
    JOB_ARRIVES,
    NONE,
    SPELL,
    TARGET_ONLY,
    TIED,
    TRAVEL,
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
    if not (away(world, int(session.device)) or (d != NONE and row(world.detours, DETOUR, d).open == 1)):
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
    for i in range(device.fails, device.fails_end):
        if travel.seen_ms < row(world.spells, SPELL, i).from_ms < world.now_ms:
            surface = row(world.drafts, DRAFT, stream.draft).surface
            again_ms = prefill_ms(surface_at(world, surface), 1.0, float(session.prompt + session.emitted))
            job_ms += again_ms * freshness(world, surface, device.busy_ms)
            break
    travel.seen_ms = world.now_ms
    done, at_ms = work_until(world, r, session, job_ms)
    if not done:
        ask_target(world, r, session, at_ms)
        return
    row(world.tied, TIED, r * world.most_tied).took_ms = at_ms - world.now_ms
    session.sum_draft_ms += at_ms - world.now_ms
    send_up(world, r, at_ms, stream.proposal_up * session.window, int(session.rounds) + 1, JOB_ARRIVES)
