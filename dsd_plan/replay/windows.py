"""The window of the next round: the policy asked, with what the session really knows."""

from __future__ import annotations

from dsd_plan.control import policy
from dsd_plan.control.policy import NOTHING_SEEN, STATIC, Observation, Policy, PolicyState, decide
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import POLICY, SPECULATION, Row, World
from dsd_plan.replay.memory import row

for _function in (policy.static, policy.threshold, decide):
    compiled(_function)


@compiled
def begin_policy(world: World, stream: Row, r: int) -> None:
    """What the policy remembers of a session that has not speculated yet."""
    if stream.policy != STATIC:
        speculation = row(world.speculations, SPECULATION, r)
        speculation.decided = stream.window
        speculation.smoothed = NOTHING_SEEN


@compiled
def next_window(world: World, stream: Row, r: int, session: Row) -> int:
    """How much the session proposes next. A window that there is not stops the run (see `kernel.advance`)."""
    told = row(world.policies, POLICY, session.stream)
    kept = PolicyState(stream.window, NOTHING_SEEN)
    if stream.policy != STATIC:
        speculation = row(world.speculations, SPECULATION, r)
        kept = PolicyState(speculation.decided, speculation.smoothed)
    state, decision = decide(
        Policy(
            stream.policy,
            stream.window,
            told.smallest,
            told.largest,
            told.grow_above,
            told.shrink_below,
            told.smoothing,
        ),
        kept,
        Observation(
            int(session.last_accepted),
            int(session.last_proposed),
            session.network_ms,
            session.wait_ms,
            session.iteration_ms,
            int(session.batch),
            int(session.queued),
        ),
    )
    if stream.policy != STATIC:
        speculation = row(world.speculations, SPECULATION, r)
        speculation.decided = state.window
        speculation.smoothed = state.smoothed
    if decision.window < 0 or decision.window > told.largest:
        world.refused_stream = session.stream + 1
        world.refused_window = decision.window
        # The loop looks at nothing more often than at the room for draft jobs.
        world.jobs_an_event = world.spare_jobs + 1
        return 0
    return int(decision.window)
