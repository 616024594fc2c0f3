"""Reads a run while it goes: whole sessions in the order of their numbers, with all of their groups of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsd_plan.replay.counting import parted
from dsd_plan.replay.engine import Run
from dsd_plan.replay.kernel import FLIGHTS_FULL, HEAP_FULL, JOBS_FULL, SLOTS_FULL
from dsd_plan.replay.layout import Rows

NOT_EMPTIED = (FLIGHTS_FULL, JOBS_FULL, HEAP_FULL)
"""Full tables in which reading what has ended makes no room."""
CHUNK = 1 << 16
"""Groups of tokens that are worth looking at together; more wait only where sessions that began earlier still run."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Sessions first, first + 1, …, and what they left. All have ended, except in the last chunk of a run."""

    first: int
    sessions: Rows
    groups: Rows
    rounds: Rows
    """Parallel to `groups` where rounds are kept, else empty."""


class Collector:
    """Hands on what a run logs.

    A session is handed on when it and all that began before it have ended and their users have read the last
    token. So chunks follow from the run alone, an instant of interest that lies ahead is never behind a
    chunk, and memory grows with the live sessions and not with the length of the run.
    """

    def __init__(self, take: Callable[[Chunk], None]) -> None:
        self._take = take
        self._enough = CHUNK
        self._first = 0
        self._sessions: list[Rows] = []
        self._groups: list[Rows] = []
        self._rounds: list[Rows] = []
        self._held = 0

    def make_room(self, run: Run, status: int) -> None:
        """Empty the run's tables; more slots where most sessions are live."""
        ended = self._read(run)
        grows = 2 * ended < run.tables["sessions"].size if status == SLOTS_FULL else status in NOT_EMPTIED
        if grows:
            run.grow(status)
        if self._held >= self._enough:
            self._hand_on(self._complete(run))
            self._enough = max(CHUNK, 2 * self._held)
        else:
            # What was read is a view of the run's own tables.
            self._groups[-1], self._rounds[-1] = self._groups[-1].copy(), self._rounds[-1].copy()

    def finish(self, run: Run) -> None:
        """Hand on everything that is left, sessions that have not ended too."""
        self._read(run)
        self._sessions.append(run.live())
        self._hand_on(int(run.worlds["started"][0]))

    def _read(self, run: Run) -> int:
        ended, groups, rounds = run.read()
        self._sessions.append(ended)
        self._groups.append(groups)
        self._rounds.append(rounds)
        self._held += groups.size
        return int(ended.size)

    def _complete(self, run: Run) -> int:
        """The first session that has not ended, or whose last token is still on its way."""
        live = run.live()["number"]
        first = int(live.min()) if live.size else int(run.worlds["started"][0])
        for ended in self._sessions:
            late = ended["number"][ended["last_ms"] >= run.worlds["now_ms"][0]]
            if late.size:
                first = min(first, int(late.min()))
        return first

    def _hand_on(self, end: int) -> None:
        rows = np.concatenate(self._sessions)
        before = rows["number"] < end
        sessions, self._sessions = rows[before], [rows[~before]]
        groups, self._groups = _split(self._groups, end)
        rounds, self._rounds = _split(self._rounds, end)
        self._held = self._groups[0].size
        if sessions.size:
            self._take(Chunk(self._first, sessions[np.argsort(sessions["number"])], groups, rounds))
            self._first = end


def _split(parts: list[Rows], end: int) -> tuple[Rows, list[Rows]]:
    """Rows of sessions before `end`, and the others."""
    total = sum(part.size for part in parts)
    ready, rest = np.empty(total, dtype=parts[0].dtype), np.empty(total, dtype=parts[0].dtype)
    count = left = 0
    for part in parts:
        found = parted(part, end, ready[count:], rest[left:])
        count, left = count + found, left + part.size - found
    return ready[:count], [rest[:left].copy()]
