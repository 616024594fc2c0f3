"""A finite recording played from its first request to its last token: what this very run would have seen.

A recording may offer more than a server can do; it has an end all the same. There is no steady state to speak of,
and no mean over one: only these requests, one by one, and how long the whole took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dsd_plan.domain.deployed import Deployed, TargetPool
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.step_time import surface_of
from dsd_plan.domain.whole_run import WholeRun
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.errors import PlanError, Problem
from dsd_plan.replay.assumptions import assumptions
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.layout import FATES, MS_PER_S
from dsd_plan.replay.listing import request_columns
from dsd_plan.replay.notes import extrapolation_notes, fault_notes, memory_notes, repetition_notes
from dsd_plan.replay.origin import origins
from dsd_plan.replay.refusals import refuse_unsupported
from dsd_plan.replay.tallies import kept_budgets
from dsd_plan.replay.tiring import slowed_notes

if TYPE_CHECKING:
    from dsd_plan.replay.engine import Run


def whole_run(deployed: Deployed, *, seed: int = 0, charged: bool = False) -> WholeRun:
    """Replay recorded requests to the end of the last one. Raises PlanError where requests are not a recording.

    Raises ScenarioError or PlanError for what cannot be replayed. `seed` matters only where chance does: acceptance,
    jitter, routing. `charged`: requests have their shares of energy and cost in their table.
    """
    refuse_unsupported(deployed)
    problems = [
        Problem(
            f"assignments[{index}].workload",
            f"{stream.workload.name!r} is not a recording, and never ends; give its requests as `trace`",
        )
        for index, stream in enumerate(deployed.streams)
        if not isinstance(stream.requests, RequestTrace)
    ]
    if problems:
        raise PlanError(f"plan for {deployed.scenario.name}", problems)
    count = sum(s.requests.arrival_s.size for s in deployed.streams if isinstance(s.requests, RequestTrace))
    # The compiled kernel is loaded here, so that importing this room costs nothing.
    from dsd_plan.replay.collecting import Chunk
    from dsd_plan.replay.engine import Run, keys_of, users_of

    run = Run(tables_of(deployed), keys_of(deployed, seed, 0), users_of(deployed), count, keep_bills=charged)
    run.advance()
    sessions, groups = run.rows(np.arange(count)), run.tables["groups"][: int(run.worlds["logged"][0])]
    chunk = Chunk(0, sessions, groups, groups[:0])
    gaps = groups[groups["gap_ms"] > 0.0]
    replicas = run.tables["replicas"]
    engines = run.tables["targets"]["engine"][replicas["target"]] == 1
    alike, plain = replicas[engines], replicas[~engines]
    first_ms, last_ms = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(first_ms, groups["session"], groups["arrival_ms"])
    np.maximum.at(last_ms, groups["session"], groups["arrival_ms"])
    whole = WholeRun(
        arrival_ms=sessions["started_ms"].copy(),
        stream=sessions["stream"].astype(np.int64),
        prompt_tokens=sessions["prompt"].astype(np.int64),
        output_tokens=sessions["output"].astype(np.int64),
        first_ms=first_ms,
        last_ms=last_ms,
        preemptions=int(alike["preempted"].sum()) if alike.size else None,
        running_mean=_ratio(alike["running_ms"].sum(), (alike["draft_ms"] + alike["step_ms"]).sum()),
        mean_batch=_ratio(plain["jobs"].sum(), plain["iterations"].sum()),
        met_budgets=kept_budgets(deployed, chunk),
        gap_ms=gaps["gap_ms"].copy(),
        gap_stream=sessions["stream"][gaps["session"]].astype(np.int64),
        columns=request_columns(deployed, 0, chunk),
    )
    return replace(whole, notes=tuple(_notes(deployed, run, whole)))


def _notes(deployed: Deployed, run: Run, whole: WholeRun) -> Iterator[str]:
    sessions, replicas = run.tables["sessions"][: whole.stream.size], run.tables["replicas"]
    end_s = float(whole.last_ms.max()) / MS_PER_S
    if deployed.scenario.faults:
        fates = [int(np.count_nonzero(sessions["fate"] & bit)) for bit in FATES.values()]
        yield from fault_notes(deployed, whole.stream.size, fates, [end_s], whole=True)
    yield from slowed_notes(deployed, replicas["draft_ms"] + replicas["step_ms"], run.tables["devices"]["busy_ms"])
    mean_batch: dict[str, float | None] = {}
    for index, pool in enumerate(deployed.targets):
        mine = replicas[replicas["target"] == index]
        mean_batch[pool.device.name] = _ratio(mine["jobs"].sum(), mine["iterations"].sum())
    for name, origin in origins(deployed, mean_batch).items():
        yield from extrapolation_notes(name, origin)
    yield from assumptions(deployed)
    yield from repetition_notes(deployed, end_s)
    prompts = np.bincount(sessions["replica"], minlength=replicas.size)
    yield from memory_notes(deployed, replicas["memory_waits"].tolist(), prompts.tolist())


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def with_target_law(deployed: Deployed, law: StepLaw) -> Deployed:
    """The same system with every target's step times by `law` alone: what a law is fitted with."""

    def lawful(pool: TargetPool) -> TargetPool:
        profile = declared_profile(pool.device.name, pool.model, law)
        return replace(pool, profile=profile, surface=surface_of(profile))

    return replace(deployed, targets=tuple(lawful(pool) for pool in deployed.targets))
