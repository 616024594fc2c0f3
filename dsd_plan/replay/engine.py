"""One replication: the kernel's tables, the marks between which it is measured, and what it recorded."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.errors import PlanError, Problem
from dsd_plan.replay import counting
from dsd_plan.replay.inputs import Tables
from dsd_plan.replay.kernel import (
    AT_MARK,
    BAD_WINDOW,
    FINISHED,
    FLIGHTS_FULL,
    JOBS_FULL,
    LOG_FULL,
    SLOTS_FULL,
    kernel_for,
)
from dsd_plan.replay.layout import BILL, MS_PER_S, NONE, RANDOM, SESSION, TABLES, WORLD, Rows
from dsd_plan.replay.load import unloaded_ms
from dsd_plan.replay.memory import address_of
from dsd_plan.replay.random_numbers import stream_key
from dsd_plan.replay.recording import Horizon, Mark

WARM_UP = 0.2
"""First share of a run that is never measured."""
LATER_CUTS = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Where measuring may begin instead, if that was not enough."""
FILLED = 3.0
"""Times that a lone request takes, after which a recorded stream's system is no longer empty."""
BACKGROUND = 256
"""Requests, besides as many again as are asked for, that may start so that those measured finish under load."""
FIRST_GROUPS = 1 << 16
FIRST_FLIGHTS = 1 << 10
FIXED = ("streams", "targets", "replicas", "hops", "spells", "detours", "happenings", "sustained")
"""Tables that every world has, be they empty."""
FIRST_JOBS = 1 << 10
BILLED_SESSION = np.dtype([*SESSION.descr, *BILL.descr])
ENGINE_CHAINS = ("running_head", "running_tail", "waiting_head", "waiting_tail", "step_head", "plan_head", "plan_tail")


def horizon_of(deployed: Deployed, requests: int) -> Horizon:
    """Where to measure: not the first share, nor before every closed user has asked twice where that can be had."""
    users = sum(s.requests.users for s in deployed.streams if isinstance(s.requests, ClosedRequests))
    warm = min(max(ceil(WARM_UP * requests), min(2 * users, requests // 2)), requests - 1)
    traces = [s.requests for s in deployed.streams if isinstance(s.requests, RequestTrace)]
    if not traces:
        later = {ceil(share * requests) for share in LATER_CUTS}
        return Horizon((warm, *sorted(cut for cut in later if warm < cut < requests)), requests)
    origin_s = min(float(trace.arrival_s[0]) for trace in traces)
    end_ms = min((float(trace.arrival_s[-1]) - origin_s) * MS_PER_S for trace in traces)
    # A recording is wanted whole: only while the first requests fill an empty system it is not measured.
    filled_ms = FILLED * max(unloaded_ms(deployed, stream) for stream in deployed.streams)
    return Horizon((warm,), requests, min(WARM_UP * end_ms, filled_ms), end_ms)


def users_of(deployed: Deployed) -> Rows:
    """Closed users, each stream's staggered evenly over one cycle of thinking and an unloaded request."""
    rows = []
    for index, stream in enumerate(deployed.streams):
        if isinstance(stream.requests, ClosedRequests):
            users = stream.requests.users
            cycle_ms = stream.requests.think_s * MS_PER_S + unloaded_ms(deployed, stream)
            rows += [(index, i, 0, i / users * cycle_ms) for i in range(users)]
    return np.array(rows, dtype=TABLES["users"])


def keys_of(deployed: Deployed, seed: int, replication: int) -> Rows:
    """Keys of each stream's random numbers: by workload, so that plans share their luck.

    Requests of a recording keep their numbers in it, so that all its streams share one key.
    """
    names = [workload.name for workload in deployed.scenario.workloads]
    parts: dict[str, int] = {}
    keys = []
    for stream in deployed.streams:
        name = stream.workload.name
        keys.append((stream_key(seed, replication, names.index(name), parts.get(name, 0)),))
        if not isinstance(stream.requests, RequestTrace):
            parts[name] = parts.get(name, 0) + 1
    return np.array(keys, dtype=TABLES["keys"])


def features_of(fixed: Tables, keep_bills: bool = False) -> frozenset[str]:
    """The kernel's `features` that these tables need."""
    streams = fixed["streams"]
    needed = {
        "ENGINE": fixed["targets"]["engine"].any(),
        "DRAFTS_QUEUE": "drafts" in fixed and fixed["drafts"]["queued"].any(),
        "TIMED": streams["timed"].any(),
        "FAULTY": fixed["spells"].size > 0,
        "CHUNKED": fixed["targets"]["capped"].any(),
        "ORDERED": (fixed["targets"]["ranked"] | fixed["targets"]["like_sizes"]).any(),
        "TIRING": fixed["sustained"].size > 0,
        "ROUTED": (np.maximum(streams["routing"], streams["draft_routing"]) > RANDOM).any(),
        "BILLED": keep_bills,
    }
    return frozenset(name for name, is_needed in needed.items() if is_needed)


def load_kernel(needed: frozenset[str]) -> None:
    """Take a kernel with these features from its cache, or compile it, by letting a world without requests end."""
    fixed = {name: np.zeros(0, dtype=TABLES[name]) for name in FIXED}
    kernel_for(needed)(Run(fixed, np.zeros(0, TABLES["keys"]), np.zeros(0, TABLES["users"]), 1, groups=1).worlds)
    counting.load()


class Run:
    """The tables of one replication, and the world that points at them."""

    def __init__(
        self,
        fixed: Tables,
        keys: Rows,
        users: Rows,
        most_sessions: int,
        *,
        slots: int | None = None,
        groups: int = FIRST_GROUPS,
        keep_rounds: bool = False,
        keep_bills: bool = False,
    ) -> None:
        """`slots`: rows of sessions to begin with; fewer than `most_sessions` where `make_room` reads what ended."""
        slots = most_sessions if slots is None else min(slots, most_sessions)
        targets = fixed["targets"].copy()
        drafts = fixed["drafts"].copy() if "drafts" in fixed else np.zeros(0, TABLES["drafts"])
        replicas = fixed["replicas"].copy()
        for chain in ("head", "tail", "memory_head", "memory_tail", "batch_head", "unfinished", *ENGINE_CHAINS):
            replicas[chain] = NONE
        replicas["blocks"] = replicas["given"] = np.repeat(targets["blocks"], targets["count"])
        streams = fixed["streams"]
        own_devices = fixed["devices"].copy() if "devices" in fixed else np.zeros(0, TABLES["devices"])
        devices, queued = int(drafts["count"].sum()), bool(drafts["queued"].any())
        tied = int(streams["tied"].max(initial=1))
        # An event makes at most two jobs for each device of a session, or one for each member of a batch.
        an_event = max(2 * tied, int(drafts["batch_cap"].max())) if queued else 0
        room = FIRST_JOBS + an_event if queued else 0
        # Where batches may be stopped, their ends stay in the heap: room for as many as there are other events.
        # A session has two where a round that was foreseen has become void.
        events = 2 * slots + users.size + replicas.size + streams.size + devices + room
        sizes = {
            "heap": 2 * events if queued else events,
            "draft_jobs": room,
            "woken": replicas.size,
            "woken_devices": devices,
            "work": streams.size,
            "sessions": slots,
            "speculations": slots,
            "tied": slots * tied,
            "seats": slots if (targets["engine"] | targets["capped"]).any() else 0,
            "groups": groups,
            "rounds": groups if keep_rounds else 1,
            "bills": slots if keep_bills else 0,
            "replica_clocks": replicas.size if keep_bills else 0,
            "device_clocks": devices if keep_bills else 0,
            "ended": slots,
            "vacant": slots,
            **_ways(fixed, slots),
        }
        sizes["heap"] += sizes["flights"] + fixed["happenings"].size
        made = {name: np.zeros(size, dtype=TABLES[name]) for name, size in sizes.items()}
        own = {"targets": targets, "drafts": drafts, "replicas": replicas, "users": users.copy(), "keys": keys}
        own["devices"] = own_devices
        own["talks"] = fixed["talks"].copy() if "talks" in fixed else np.zeros(0, TABLES["talks"])
        own["lanes"] = fixed["lanes"].copy() if "lanes" in fixed else np.zeros(0, TABLES["lanes"])
        self.tables: dict[str, Rows] = {**fixed, **own, **made}
        self.worlds = np.zeros(1, dtype=WORLD)
        for name, table in self.tables.items():
            self.worlds[name] = address_of(table)
        self.worlds["stream_count"], self.worlds["user_count"] = streams.size, users.size
        self.worlds["device_count"] = devices
        self.worlds["most_sessions"], self.worlds["most_groups"] = most_sessions, groups
        self.worlds["slots"], self.worlds["keep_rounds"], self.worlds["keep_bills"] = slots, keep_rounds, keep_bills
        self.worlds["stages"], self.worlds["most_flights"] = made["reached"].size // slots, made["flights"].size
        self.worlds["faulty"], self.worlds["happening_count"] = fixed["spells"].size > 0, fixed["happenings"].size
        self.worlds["unfinished"] = self.worlds["free_flight"] = NONE
        self.worlds["left_job"], self.worlds["most_tied"] = NONE, tied
        self.worlds["spare_jobs"], self.worlds["jobs_an_event"], self.worlds["most_events"] = room, an_event, events
        self.tables["devices"]["pool"] = np.repeat(np.arange(drafts.size), drafts["count"])
        self._needed = features_of(fixed, keep_bills)
        self.mark_at(inf, NONE)

    def mark_at(self, at_ms: float, started: int) -> None:
        """Stop before session number `started` begins, or the first one at `at_ms` or later."""
        self.worlds["mark_ms"], self.worlds["mark_start"] = at_ms, started

    def watch(self, first: int, end: int) -> None:
        """Run on until the sessions first … end − 1 have their last token."""
        self.worlds["watched"], self.worlds["watched_end"] = first, end
        live = self.live()
        self.worlds["unfinished"] = np.count_nonzero((live["number"] >= first) & (live["number"] < end))

    def live(self) -> Rows:
        """A copy of the sessions that have not ended."""
        used = self.tables["sessions"]["done"][: int(self.worlds["fresh"][0])]
        return self.rows(np.flatnonzero(used == 0))

    def rows(self, slots: NDArray[np.int64]) -> Rows:
        """Copies of these sessions; where bills are kept, with the fields of theirs."""
        sessions = self.tables["sessions"][slots]
        if not self.worlds["keep_bills"][0]:
            return sessions
        billed = np.empty(slots.size, dtype=BILLED_SESSION)
        for table, names in ((sessions, SESSION.names), (self.tables["bills"][slots], BILL.names)):
            for name in names or ():
                billed[name] = table[name]
        return billed

    def advance(self, make_room: Callable[[Run, int], None] | None = None) -> int:
        """FINISHED or AT_MARK. Where a table is full `make_room(run, status)` empties it; else it grows."""
        make = make_room or Run.grow
        while True:
            status = kernel_for(self._needed)(self.worlds)
            if status in (FINISHED, AT_MARK):
                return status
            if status == BAD_WINDOW:
                self._refuse_window()
            make(self, status)

    def _refuse_window(self) -> None:
        index = int(self.worlds["refused_stream"][0]) - 1
        found, largest = int(self.worlds["refused_window"][0]), int(self.tables["policies"]["largest"][index])
        text = f"the policy chose a window of {found}, expected 0–{largest}; correct the policy, or its `largest`"
        raise PlanError("the plan that is replayed", [Problem(f"assignments[{index}].policy", text)])

    def grow(self, status: int) -> None:
        """Double what is full: the log, messages on their way, the sessions' slots, draft jobs or their events."""
        world = self.worlds
        if status == LOG_FULL:
            names = ["groups", "rounds"] if world["keep_rounds"][0] else ["groups"]
            world["most_groups"] *= 2
        elif status == FLIGHTS_FULL:
            names = ["flights", "flight_rounds", "heap"]
            world["most_flights"] *= 2
        elif status == SLOTS_FULL:
            names = ["sessions", "speculations", "tied", "seats", "bills", "ended", "vacant", "heap"]
            names += ["travels", "reached"]
            world["slots"] *= 2
        else:
            names = ["heap"]
            world["most_events"] *= 2
            if status == JOBS_FULL:
                names.append("draft_jobs")
                world["spare_jobs"] += self.tables["draft_jobs"].size
        for name in names:
            table = self.tables[name]
            self.tables[name] = np.concatenate([table, np.zeros_like(table)])
            world[name] = address_of(self.tables[name])

    def read(self) -> tuple[Rows, Rows, Rows]:
        """Sessions that have ended, groups of tokens and rounds since this was last asked; makes room.

        Groups and rounds are views of tables that the run writes over when it goes on.
        """
        world = self.worlds
        count, logged = int(world["endings"][0]), int(world["logged"][0])
        slots = self.tables["ended"]["slot"][:count]
        ended = self.rows(slots)
        # A row begins with zeros, and one that nobody has is not live.
        self.tables["sessions"][slots] = 0
        self.tables["sessions"]["done"][slots] = 1
        if world["keep_bills"][0]:
            self.tables["bills"][slots] = 0
        left = int(world["vacancies"][0])
        self.tables["vacant"]["slot"][left : left + count] = slots
        world["vacancies"], world["endings"], world["logged"] = left + count, 0, 0
        rounds = self.tables["rounds"][: logged if world["keep_rounds"][0] else 0]
        return ended, self.tables["groups"][:logged], rounds

    def mark(self) -> Mark:
        """Sums up to the next event, which is a request about to start."""
        replicas, devices = self.tables["replicas"], self.tables["devices"]
        at_ms = float(self.tables["heap"]["time_ms"][0])
        left_ms = np.where(replicas["stepping"] == 1, replicas["ends_ms"] - at_ms, 0.0)
        step_left_ms = np.minimum(left_ms, replicas["batch_step_ms"])
        return Mark(
            at_ms=at_ms,
            started=int(self.worlds["started"][0]),
            step_ms=replicas["step_ms"] - step_left_ms,
            draft_ms=replicas["draft_ms"] - (left_ms - step_left_ms),
            iterations=replicas["iterations"].copy(),
            jobs=replicas["jobs"].copy(),
            device_ms=devices["busy_ms"]
            - np.maximum(devices["free_ms"] - at_ms, 0.0)
            + np.where(devices["stepping"] == 1, at_ms - devices["began_ms"], 0.0),
            work=self.tables["work"].copy(),
            sent_ms=self.tables["lanes"]["busy_ms"] - np.maximum(self.tables["lanes"]["free_ms"] - at_ms, 0.0),
            sent_bytes=self.tables["lanes"]["bytes"].copy(),
        )


def _ways(fixed: Tables, slots: int) -> dict[str, int]:
    """Sizes of what is kept of messages: nothing where time does not matter on any way."""
    timed = fixed["streams"][fixed["streams"]["timed"] == 1]
    ways = [(int(way["down"]), int(way["down_end"])) for table in (timed, fixed["detours"]) for way in table]
    # Only past its first hop can a message down come to a thin link that others have come to since.
    flies = any((fixed["hops"]["lane"][first + 1 : end] != NONE).any() for first, end in ways if first < end)
    stages = max((end - first for first, end in ways), default=0) if flies else 0
    flights = FIRST_FLIGHTS if flies else 0
    return {
        "travels": slots if timed.size else 0,
        "reached": stages * slots,
        "flights": flights,
        "flight_rounds": flights,
    }
