"""Parts of a study that do not wait for each other: whoever hands in a `RunAll` may have them worked out at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan

Task = Callable[[], Any]
RunAll = Callable[[Sequence[Task], Callable[[int], None]], list[Any]]
"""Results in the order of the tasks, the same whoever works them out. Told, in between, how many have ended."""


def one_by_one(tasks: Sequence[Task], ended: Callable[[int], None]) -> list[Any]:
    """Here, one after the other."""
    found = []
    for task in tasks:
        found.append(task())
        ended(len(found))
    return found


def _nothing(_: str) -> None:
    """Nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Something else that is worked out of the chosen plan while the study's parts are."""

    ask: Callable[[Plan, Performance, Performance], Any]
    """Given the plan, and it as predicted and as replayed."""
    found: list[Any] = field(default_factory=list)
    """Its answer, once there is one."""
    answered: Callable[[str], None] = _nothing
    """Told the verdict as soon as plans were weighed, before what lies around the decision is worked out."""


class Parts:
    """Tasks by name, to be worked out together."""

    def __init__(self) -> None:
        self._tasks: list[tuple[str, Task]] = []

    def add(self, name: str, *tasks: Task) -> None:
        """Tasks whose results are asked for by this name; those that take long are best added first."""
        self._tasks += [(name, task) for task in tasks]

    def work_out(self, run_all: RunAll, ended: Callable[[int, int], None]) -> dict[str, list[Any]]:
        """By name, the results in the order in which their tasks were added. `ended` is told how many of how many."""
        many = len(self._tasks)
        results = run_all([task for _, task in self._tasks], lambda done: ended(done, many))
        found: dict[str, list[Any]] = {}
        for (name, _), result in zip(self._tasks, results, strict=True):
            found.setdefault(name, []).append(result)
        return found
