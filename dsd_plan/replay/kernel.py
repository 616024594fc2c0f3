"""The event loop, compiled. Its rules: docs/invariants.md.

A few kinds of event drive everything. What lies between them (a message's way over links without a limit, the queue of
a draft device that drops no jobs) is arithmetic, because its end is known when it begins. All state lies in tables, so
the loop can stop between two events and be entered again. It is compiled as often as plans need different parts of it
(`features`), each of them kept in numba's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numba import njit, typeof
from numba.core.errors import NumbaError

from dsd_plan.replay.compiled import fingerprint, switched
from dsd_plan.replay.draft_queue import drop_job, start_woken_devices
from dsd_plan.replay.drafting import batch_ends, verdict_arrives
from dsd_plan.replay.faults import happens, resumes, returns
from dsd_plan.replay.features import DRAFTS_QUEUE, FAULTY, NAMES, TIMED
from dsd_plan.replay.foresight import job_arrives, settle_until
from dsd_plan.replay.heap import drop_first, kind_of
from dsd_plan.replay.layout import (
    BATCH_ENDS,
    DOWN_REACHES,
    EVENT,
    ITERATION_ENDS,
    JOB_ARRIVES,
    JOB_DROPPED,
    OPEN_REQUEST,
    PROMPT_ARRIVES,
    REPLICA,
    RESUMES,
    UP_REACHES,
    USER_REQUEST,
    VERDICT_ARRIVES,
    WORLD,
    Rows,
)
from dsd_plan.replay.links import go_up
from dsd_plan.replay.memory import row
from dsd_plan.replay.replica import prompt_arrives, start_woken
from dsd_plan.replay.requests import begin, open_request, user_request
from dsd_plan.replay.rounds import down_reaches, iteration_ends
from dsd_plan.replay.whole_program import optimised_at_the_end

FINISHED, AT_MARK, LOG_FULL, SLOTS_FULL, FLIGHTS_FULL, JOBS_FULL, HEAP_FULL, BAD_WINDOW = range(8)
"""Why the loop stopped: nothing left to wait for; a request is about to start where a mark was set; no room to log
tokens; no room for the request that is about to start; none for messages on their way down; none for the draft jobs
of the next event; none for the events that end the batches of draft devices; a policy
chose a window that there is not."""


def _made(version: int) -> Callable[[Rows], int]:
    def advance(worlds: Rows) -> int:
        world = worlds[0]
        assert version >= 0  # a constant of this function, and so part of its cache's key
        if world.begun == 0:
            begin(world)
        while True:
            event = row(world.heap, EVENT, 0)
            # Same-instant rule: replicas start only when every event of this instant has been processed.
            if world.events == 0 or event.time_ms > world.now_ms:
                start_woken(world)
                if DRAFTS_QUEUE and world.waking_devices > 0:
                    if world.events + world.waking_devices > world.most_events:
                        return HEAP_FULL
                    start_woken_devices(world)
                if world.events == 0 or world.unfinished == 0:
                    settle_until(world, event.time_ms)
                    return FINISHED
            if world.spare_jobs < world.jobs_an_event:
                return BAD_WINDOW if world.refused_stream > 0 else JOBS_FULL
            time_ms = event.time_ms
            kind = kind_of(event.turn)
            index = event.index
            if kind == ITERATION_ENDS:
                batch = row(world.replicas, REPLICA, index).batch
                if world.logged + batch > world.most_groups:
                    return LOG_FULL
                if TIMED and world.most_flights > 0 and world.flying + batch > world.most_flights:
                    return FLIGHTS_FULL
            elif kind == DOWN_REACHES:
                if world.logged == world.most_groups:
                    return LOG_FULL
            elif kind <= USER_REQUEST:
                if world.started == world.mark_start or time_ms >= world.mark_ms:
                    settle_until(world, time_ms)
                    return AT_MARK
                if world.vacancies == 0 and world.fresh == world.slots and world.started < world.most_sessions:
                    return SLOTS_FULL
            world.now_ms = time_ms
            drop_first(world)
            if kind == ITERATION_ENDS:
                iteration_ends(world, index)
            elif kind == JOB_ARRIVES:
                if FAULTY and world.faulty == 1:
                    returns(world, index)
                else:
                    job_arrives(world, index)
            elif kind == VERDICT_ARRIVES:
                verdict_arrives(world, index)
            elif kind == PROMPT_ARRIVES:
                prompt_arrives(world, index)
            elif kind == OPEN_REQUEST:
                open_request(world, index)
            elif kind == USER_REQUEST:
                user_request(world, index)
            elif DRAFTS_QUEUE and kind == BATCH_ENDS:
                batch_ends(world, index)
            elif DRAFTS_QUEUE and kind == JOB_DROPPED:
                drop_job(world, index)
            elif TIMED and kind == UP_REACHES:
                go_up(world, index, time_ms, False)
            elif TIMED and kind == DOWN_REACHES:
                down_reaches(world, index)
            elif FAULTY and kind == RESUMES:
                resumes(world, index)
            elif FAULTY:
                happens(world, index)

    return advance


PLAIN: frozenset[str] = frozenset()
BILLS = frozenset({"BILLED"})
WHOLE = frozenset(NAMES)
KERNELS = (PLAIN, BILLS, WHOLE)
"""What kernels can do: few, for each is compiled when the first plan needs it."""
_ONE_AT_A_TIME = Lock()


def kernel_for(needed: frozenset[str]) -> Callable[[Rows], int]:
    """The smallest kernel that has all these `features`: run the one world in the array until it stops, and why."""
    with _ONE_AT_A_TIME:
        return _compiled(next(able for able in KERNELS if needed <= able))


@lru_cache
def _compiled(features: frozenset[str]) -> Callable[[Rows], int]:
    suffix = "_".join(("", *(name.lower() for name in NAMES if name in features), "kernel"))
    switches = {name: name in features for name in NAMES}
    version = fingerprint()
    kernel, last = _dispatcher(version, switches, suffix)
    worlds = (typeof(np.zeros(1, dtype=WORLD)),)
    try:
        with optimised_at_the_end(suffix, last):
            kernel.compile(worlds)
    except (AttributeError, AssertionError, KeyError, TypeError, NumbaError):
        kernel, _ = _dispatcher(version, switches, suffix)
        kernel.compile(worlds)
    return kernel  # type: ignore[no-any-return]


def _dispatcher(version: int, switches: Mapping[str, bool], suffix: str) -> tuple[Any, str]:
    """A kernel that is yet to be compiled, and its name."""
    function = switched(_made(version), switches, suffix)
    return njit(cache=True, nogil=True)(function), function.__qualname__
