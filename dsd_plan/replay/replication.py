"""One replication from its first request to the last one that is measured, read while it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from dsd_plan.domain.deployed import Deployed
from dsd_plan.replay.collecting import Chunk, Collector
from dsd_plan.replay.engine import BACKGROUND, Run, features_of, horizon_of, keys_of, load_kernel
from dsd_plan.replay.inputs import Tables
from dsd_plan.replay.layout import NONE, Rows
from dsd_plan.replay.recording import Horizon, Mark, Ran
from dsd_plan.replay.tallies import Tallies

SLOTS = 1 << 12
"""Rows of sessions to begin with; more where more are live at once."""

Watch = Callable[[int, int], None]
"""Told (replication, requests started so far) every now and then; what it raises ends the replication."""
OnChunk = Callable[[int, Chunk], None]
"""Given (replication, its next chunk)."""


@dataclass(frozen=True, slots=True, eq=False)
class Replication:
    """One replication: what it added up to, between its marks and over time."""

    number: int
    ran: Ran
    tallies: Tallies


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What all replications of a plan have in common."""

    deployed: Deployed
    fixed: Tables
    users: Rows
    seed: int
    requests: int
    keep_rounds: bool = False
    keep_bills: bool = False
    on_chunk: OnChunk | None = None
    watch: Watch | None = None
    keep_series: bool = True


@dataclass(frozen=True, slots=True)
class Replicate:
    """`replicate` of a task, by number; `load` it once before several threads call it."""

    task: Task

    def load(self) -> None:
        """Have the kernel ready, which may have to be compiled."""
        load_kernel(features_of(self.task.fixed, self.task.keep_bills))

    def __call__(self, replication: int) -> Replication:
        """The replication of this number."""
        return replicate(self.task, replication)


def replicate(task: Task, replication: int) -> Replication:
    """Run one replication; its random numbers follow from seed and number alone."""
    horizon = horizon_of(task.deployed, task.requests)
    tallies = Tallies(task.deployed, len(horizon.warm) + 1, task.keep_series)

    def take(chunk: Chunk) -> None:
        tallies.take(chunk)
        if task.on_chunk is not None:
            task.on_chunk(replication, chunk)

    def watch(run: Run) -> None:
        if task.watch is not None:
            task.watch(replication, int(run.worlds["started"][0]))

    keys = keys_of(task.deployed, task.seed, replication)
    most = most_sessions(horizon, task.users)
    rounds, bills = task.keep_rounds, task.keep_bills
    run = Run(task.fixed, keys, task.users, most, slots=SLOTS, keep_rounds=rounds, keep_bills=bills)
    watch(run)
    ran = play(run, horizon, take, lambda mark: tallies.mark(mark.started, mark.at_ms), watch)
    return Replication(replication, ran, tallies)


def most_sessions(horizon: Horizon, users: Rows) -> int:
    """Requests that a run may start at most: enough that those measured end while others still arrive."""
    return 2 * (horizon.requests + users.size) + BACKGROUND


def play(
    run: Run,
    horizon: Horizon,
    take: Callable[[Chunk], None],
    on_mark: Callable[[Mark], None],
    watch: Callable[[Run], None] = lambda run: None,
) -> Ran:
    """Run until every session that started between the first and the last mark has its last token."""
    collector = Collector(take)
    marks = []

    def make_room(full: Run, status: int) -> None:
        watch(full)
        collector.make_room(full, status)

    for at_ms, started in (*((horizon.warm_ms, warm) for warm in horizon.warm), (horizon.end_ms, horizon.requests)):
        run.mark_at(at_ms, started)
        run.advance(make_room)
        marks.append(run.mark())
        on_mark(marks[-1])
    run.mark_at(inf, NONE)
    run.watch(marks[0].started, marks[-1].started)
    run.advance(make_room)
    collector.finish(run)
    return Ran(tuple(marks), int(run.worlds["refused"][0]), run.tables["replicas"]["memory_waits"].copy())
