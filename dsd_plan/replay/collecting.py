"""Reads a run while it goes: whole sessions in the order of their numbers, with all of their groups of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsd_plan.replay.engine import Run
from dsd_plan.replay.kernel import FLIGHTS_FULL, HEAP_FULL, JOBS_FULL, SLOTS_FULL
from dsd_plan.replay.layout import Rows

NOT_EMPTIED = (FLIGHTS_FULL, JOBS_FULL, HEAP_FULL)
"""Full tables in which reading what has ended makes no room."""
CHUNK = 1 << 18
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
            self._hand_on(run, self._complete(run))
            self._enough = max(CHUNK, 2 * self._held)

    def finish(self, run: Run) -> None:
        """Hand on everything that is left, sessions that have not ended too."""
        self._read(run)
        self._sessions.append(run.live())
        self._hand_on(run, int(run.worlds["started"][0]))

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

    def _hand_on(self, run: Run, end: int) -> None:
        sessions, self._sessions = _parted(self._sessions, "number", end)
        rows = np.concatenate(self._groups)["session"] < end
        groups, self._groups = _split(self._groups, rows)
        rounds, self._rounds = _split(self._rounds, rows if sum(map(len, self._rounds)) else rows[:0])
        self._held = self._groups[0].size
        if sessions.size:
            self._take(Chunk(self._first, sessions[np.argsort(sessions["number"])], groups, rounds))
            self._first = end


def _parted(parts: list[Rows], column: str, end: int) -> tuple[Rows, list[Rows]]:
    rows = np.concatenate(parts)
    return _split([rows], rows[column] < end)


def _split(parts: list[Rows], chosen: np.ndarray) -> tuple[Rows, list[Rows]]:
    rows = np.concatenate(parts)
    if chosen.all():
        return rows, [rows[:0]]
    return rows[chosen], [rows[~chosen]]
