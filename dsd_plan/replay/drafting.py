"""The draft's side of a round: choose the window, draft it on the session's device, send it up."""

from __future__ import annotations

from dsd_plan.control import policy
from dsd_plan.control.policy import Observation, Policy, PolicyState, decide
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import DEVICE, DRAFT, JOB_ARRIVES, SESSION, STREAM, WORK, Row, World
from dsd_plan.replay.links import send_up
from dsd_plan.replay.memory import row
from dsd_plan.replay.surfaces import surface_at

compiled(policy.static)
compiled(decide)


@compiled
def verdict_arrives(world: World, r: int) -> None:
    """First token or verdict at the site (distributed): choose the window, draft it, send it up."""
    session = row(world.sessions, SESSION, r)
    stream = row(world.streams, STREAM, session.stream)
    choose_window(stream, session)
    context = session.prompt + session.emitted
    surface = surface_at(world, row(world.drafts, DRAFT, stream.draft).surface)
    job_ms = session.window * decode_ms(surface, 1.0, 1.0, float(context))
    drafted_ms = occupy(world, int(session.device), int(session.stream), job_ms)
    session.sum_draft_ms += drafted_ms - world.now_ms
    send_up(world, r, drafted_ms, stream.round_up, int(session.rounds) + 1, JOB_ARRIVES)


@compiled
def choose_window(stream: Row, session: Row) -> None:
    """Ask the policy, with what the session knows."""
    observation = Observation(
        int(session.last_accepted),
        int(session.last_proposed),
        session.network_ms,
        session.wait_ms,
        session.iteration_ms,
        int(session.batch),
        int(session.queued),
    )
    # The window in force is all the state there is, and the session holds it.
    _, decision = decide(Policy(stream.policy, stream.window), PolicyState(int(session.window)), observation)
    session.window = decision.window


@compiled
def occupy(world: World, d: int, s: int, job_ms: float) -> float:
    """Put a job at the end of a draft device's queue; returns when it ends."""
    device = row(world.devices, DEVICE, d)
    ends_ms = max(device.free_ms, world.now_ms) + job_ms
    device.free_ms = ends_ms
    device.busy_ms += job_ms
    row(world.work, WORK, s).draft_ms += job_ms
    return ends_ms  # type: ignore[no-any-return]
