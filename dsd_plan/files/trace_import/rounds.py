"""Rounds gathered from a source, request by request."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsd_plan.domain.acceptance import RoundTrace, TraceMetadata
from dsd_plan.errors import Problem
from dsd_plan.files.trace_import.source import Imported, counts


class RoundsRead:
    """Collects (proposed, accepted) of rounds in order; steps without a proposal are counted, and left out."""

    def __init__(self) -> None:
        self._requests: list[int] = []
        self._proposed: list[int] = []
        self._accepted: list[int] = []
        self._tasks: list[str | None] = []
        self._seen = 0
        self._plain = 0

    def any(self) -> bool:
        """Whether a round was added."""
        return bool(self._proposed)

    def add_lists(
        self, proposed: Any, accepted: Any, place: str, problems: list[Problem], task: str | None = None
    ) -> None:
        """One request's rounds from two JSON lists; what is wrong with them is noted."""
        made_of, kept_of = (
            counts(proposed, f"{place} proposed", problems),
            counts(accepted, f"{place} accepted", problems),
        )
        if made_of is None or kept_of is None:
            return
        if len(made_of) != len(kept_of):
            problems.append(Problem(place, f"{len(made_of)} rounds proposed and {len(kept_of)} accepted"))
            return
        self._seen += 1
        for step, (made, kept) in enumerate(zip(made_of, kept_of, strict=True)):
            if kept > made:
                problems.append(Problem(f"{place}, round {step}", f"accepted {kept} of {made} proposed"))
            elif made == 0:
                self._plain += 1
            else:
                self._requests.append(self._seen - 1)
                self._proposed.append(made)
                self._accepted.append(kept)
                self._tasks.append(task)

    def imported(self, metadata: TraceMetadata, notes: tuple[str, ...] = ()) -> Imported:
        """The trace of all rounds; tasks only where every round has one."""
        if self._plain:
            notes = (*notes, f"{self._plain:,} steps proposed nothing and are left out")
        tasks = [task for task in self._tasks if task is not None]
        return Imported(
            RoundTrace(
                metadata=metadata,
                request_id=np.array(self._requests, dtype=np.int64),
                proposed=np.array(self._proposed, dtype=np.int64),
                accepted=np.array(self._accepted, dtype=np.int64),
                task=np.array(tasks) if len(tasks) == len(self._tasks) else None,
            ),
            notes,
        )
