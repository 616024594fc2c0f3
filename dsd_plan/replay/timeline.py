"""A stretch of a run as trace events, which Perfetto and Chrome's tracing draw.

The format: "Trace Event Format" (Google, 2016). Times are in µs since the stretch began. A process is a device pool or
a workload, a thread one of its servers or a session. Slices of a thread never overlap: complete events ("X") must nest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.replay.layout import DISTRIBUTED, NONE, Rows
from dsd_plan.replay.refusals import refuse_unsupported

if TYPE_CHECKING:
    from dsd_plan.replay.stretch import Stretch

Event = dict[str, Any]
Array = NDArray[np.float64]

SESSIONS = 40
US_PER_MS = 1000.0


def timeline(
    deployed: Deployed,
    *,
    seed: int = 0,
    requests: int = 4000,
    sessions: int = SESSIONS,
    seconds: float | None = None,
    replication: int = 0,
) -> tuple[Event, ...]:
    """Iterations, draft jobs and messages of a stretch behind the warm-up of one replication, and counters of queues.

    It lasts until `sessions` that began in it have ended, or `seconds`; what happens to others is there as work of
    the devices. Raises ScenarioError or PlanError for what cannot be replayed yet, ValueError for an empty stretch.
    """
    if sessions < 1 or (seconds is not None and not seconds > 0):
        raise ValueError(f"a timeline of {sessions} sessions, {seconds} s; at least one of both is needed")
    refuse_unsupported(deployed)
    # The compiled kernel is loaded here, so that importing this room costs nothing.
    from dsd_plan.replay.stretch import played

    stretch = played(deployed, seed, requests, replication=replication, sessions=sessions, seconds=seconds)
    draw = _Drawing(deployed, stretch)
    return (*draw.names(), *draw.iterations(), *draw.drafts(), *draw.rounds(), *draw.queues(), *draw.live())


class _Drawing:
    """Events of one stretch. Processes: target pools, draft pools, workloads, numbered from 1 in this order."""

    def __init__(self, deployed: Deployed, stretch: Stretch) -> None:
        self._deployed = deployed
        self._stretch = stretch
        self._workloads = list(dict.fromkeys(stream.workload.name for stream in deployed.streams))
        self._targets = 1
        self._drafts = self._targets + len(deployed.targets)
        self._requests = self._drafts + len(deployed.drafts)
        self._by_number = {int(number): row for row, number in enumerate(stretch.sessions["number"])}
        owners = np.array([self._by_number[int(number)] for number in stretch.rounds["session"]], dtype=np.int64)
        self._owners = owners
        self._context = self._contexts()
        self._followed = [
            session for session in stretch.sessions if stretch.first <= int(session["number"]) < stretch.end
        ]

    def _contexts(self) -> NDArray[np.int64]:
        """KV tokens under each round's job."""
        stretch = self._stretch
        emitted = np.zeros(stretch.sessions.size, dtype=np.int64)
        contexts = np.zeros(stretch.rounds.size, dtype=np.int64)
        for row, (owner, tokens) in enumerate(
            zip(self._owners.tolist(), stretch.groups["tokens"].tolist(), strict=True)
        ):
            contexts[row] = emitted[owner] + stretch.sessions["prompt"][owner]
            emitted[owner] += tokens
        return contexts

    def names(self) -> Iterator[Event]:
        """What processes and threads are called, and in which order they stand."""
        pools = [(f"{p.device.name}: {p.model}", p.replicas, "replica") for p in self._deployed.targets]
        pools += [(f"{p.device.name}: {p.model}", p.count, "draft device") for p in self._deployed.drafts]
        for pid, (name, count, what) in enumerate(pools, start=self._targets):
            yield from _process(pid, name)
            for tid in range(count):
                yield _meta("thread_name", pid, tid, name=f"{what} {tid}")
        for pid, name in enumerate(self._workloads, start=self._requests):
            yield from _process(pid, f"requests: {name}")
        for session in self._followed:
            pid, number = self._workload_of(session), int(session["number"])
            yield _meta("thread_name", pid, number, name=f"request {number}")

    def iterations(self) -> Iterator[Event]:
        """A slice an iteration of a replica: its jobs, and what they verify and prefill."""
        rounds = self._stretch.rounds
        order = np.lexsort((rounds["began_ms"], rounds["replica"]))
        keys = rounds[["replica", "began_ms"]][order]
        starts = np.flatnonzero(np.concatenate([np.ones(min(keys.size, 1), dtype=bool), keys[1:] != keys[:-1]]))
        for first, end in zip(starts, [*starts[1:], keys.size], strict=True):
            mine = order[first:end]
            one = rounds[mine[0]]
            prefills = mine[rounds["round"][mine] == 0]
            decodes = mine[rounds["round"][mine] > 0]
            pid, tid = self._place(int(one["replica"]), [pool.replicas for pool in self._deployed.targets])
            yield from self._slice(
                self._targets + pid,
                tid,
                _iteration_name(prefills.size, rounds["window"][decodes]),
                "iteration",
                float(one["began_ms"]),
                float(one["ended_ms"]),
                jobs=int(mine.size),
                new_tokens=int((rounds["window"][decodes] + 1).sum()),
                prompt_tokens=int(self._stretch.sessions["prefill"][self._owners[prefills]].sum()),
                emitted_tokens=int(self._stretch.groups["tokens"][mine].sum()),
                draft_ms=round(float(one["drafted_ms"] - one["began_ms"]), 6),
            )

    def drafts(self) -> Iterator[Event]:
        """A slice a draft job of an edge device, by how long its window takes there; it ends when it is sent."""
        rounds = self._stretch.rounds
        jobs = np.flatnonzero((rounds["device"] != NONE) & (rounds["round"] > 0))
        free_ms: dict[int, float] = {}
        for row in jobs[np.argsort(rounds["sent_ms"][jobs], kind="stable")].tolist():
            one = rounds[row]
            draft = self._deployed.streams[int(self._stretch.sessions["stream"][self._owners[row]])].draft
            surface = self._deployed.drafts[draft or 0].surface
            lasted_ms = int(one["window"]) * decode_ms(surface, 1.0, 1.0, float(self._context[row]))
            device = int(one["device"])
            began_ms = max(float(one["sent_ms"]) - lasted_ms, float(one["asked_ms"]), free_ms.get(device, 0.0))
            free_ms[device] = float(one["sent_ms"])
            pid, tid = self._place(device, [pool.count for pool in self._deployed.drafts])
            words = {"request": int(one["session"]), "round": int(one["round"]), "window": int(one["window"])}
            yield from self._slice(
                self._drafts + pid, tid, f"draft {one['window']}", "draft", began_ms, float(one["sent_ms"]), **words
            )

    def rounds(self) -> Iterator[Event]:
        """Where the followed sessions' time goes: draft (and its queue), way up, queue, step, way down."""
        stretch = self._stretch
        busy_ms: dict[int, float] = {}
        for row in range(stretch.rounds.size):
            one, group = stretch.rounds[row], stretch.groups[row]
            number = int(one["session"])
            if not stretch.first <= number < stretch.end:
                continue
            session = stretch.sessions[self._owners[row]]
            drafts = session["mode"] >= DISTRIBUTED and one["round"] > 0
            at = [float(one[f"{name}_ms"]) for name in ("asked", "sent", "joined", "began", "ended")]
            at.append(float(group["arrival_ms"]))
            step = "prefill" if one["round"] == 0 else "verify" if one["window"] > 0 else "decode"
            # Where tokens are streamed, only the prompt is sent up, and the way down delays the next step by nothing.
            down = drafts or one["round"] == 0
            for name, category, begin, end in (
                ("draft", "draft", at[0], at[1]),
                ("up", "message", at[1], at[2]),
                ("wait", "queue", at[2], at[3]),
                (step, "step", at[3], at[4]),
                ("down", "message", at[4], at[5] if down else at[4]),
            ):
                begin_ms = max(begin, busy_ms.get(number, 0.0))
                if end > begin_ms:
                    busy_ms[number] = end
                    words = {"round": int(one["round"])}
                    if name == step:
                        words |= {name: int(one[name]) for name in ("window", "accepted", "batch")}
                        words["tokens"] = int(group["tokens"])
                    yield from self._slice(self._workload_of(session), number, name, category, begin_ms, end, **words)

    def queues(self) -> Iterator[Event]:
        """A counter a replica: jobs that wait for its next iteration."""
        rounds = self._stretch.rounds
        first = 0
        for pid, pool in enumerate(self._deployed.targets, start=self._targets):
            for tid in range(pool.replicas):
                mine = rounds[rounds["replica"] == first + tid]
                yield from self._counter(pid, f"queue {tid}", "jobs", mine["joined_ms"], mine["began_ms"])
            first += pool.replicas

    def live(self) -> Iterator[Event]:
        """A counter a workload: requests under way."""
        sessions = self._stretch.sessions
        of = np.array([self._workload_of(session) for session in sessions])
        for pid in range(self._requests, self._requests + len(self._workloads)):
            mine = sessions[of == pid]
            gone_ms = np.where(mine["done"] == 1, mine["last_ms"], np.inf)
            yield from self._counter(pid, "live sessions", "sessions", mine["started_ms"], gone_ms)

    def _workload_of(self, session: Rows) -> int:
        stream = self._deployed.streams[int(session["stream"])]
        return self._requests + self._workloads.index(stream.workload.name)

    def _place(self, index: int, counts: Sequence[int]) -> tuple[int, int]:
        pool = 0
        while index >= counts[pool]:
            index -= counts[pool]
            pool += 1
        return pool, index

    def _slice(
        self, pid: int, tid: int, name: str, category: str, begin_ms: float, end_ms: float, **args: Any
    ) -> Iterator[Event]:
        """A complete event, clipped to the stretch; none outside it."""
        start, end = self._us(begin_ms), self._us(end_ms)
        if end > start:
            yield {
                "name": name,
                "cat": category,
                "ph": "X",
                "pid": pid,
                "tid": tid,
                "ts": start,
                "dur": round(end - start, 3),
                "args": args,
            }

    def _counter(self, pid: int, name: str, of: str, up_ms: Array, down_ms: Array) -> Iterator[Event]:
        """How many there are, at the stretch's beginning and wherever that changes."""
        times = np.concatenate([up_ms, down_ms])
        steps = np.concatenate([np.ones(up_ms.size), -np.ones(down_ms.size)])
        inside = (times > self._stretch.start_ms) & (times <= self._stretch.end_ms)
        value = int(steps[times <= self._stretch.start_ms].sum())
        at_ms, where = np.unique(times[inside], return_inverse=True)
        changes = np.bincount(where, steps[inside], minlength=at_ms.size)
        for ms, change in ((self._stretch.start_ms, 0.0), *zip(at_ms.tolist(), changes.tolist(), strict=True)):
            value += int(change)
            if change or ms == self._stretch.start_ms:
                yield {"name": name, "ph": "C", "pid": pid, "tid": 0, "ts": self._us(ms), "args": {of: value}}

    def _us(self, at_ms: float) -> float:
        inside = min(max(at_ms, self._stretch.start_ms), self._stretch.end_ms)
        return round((inside - self._stretch.start_ms) * US_PER_MS, 3)


def _iteration_name(prefills: int, windows: NDArray[np.int64]) -> str:
    verified = int(np.count_nonzero(windows))
    parts = (("prefill", prefills), ("verify", verified), ("decode", windows.size - verified))
    return " + ".join(f"{name} ×{count}" for name, count in parts if count)


def _process(pid: int, name: str) -> Iterator[Event]:
    yield _meta("process_name", pid, 0, name=name)
    yield _meta("process_sort_index", pid, 0, sort_index=pid)


def _meta(kind: str, pid: int, tid: int, **args: Any) -> Event:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "ts": 0, "args": args}
