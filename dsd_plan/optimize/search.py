"""Finds the best choice in a space: all of it where it is small, best-first with bounds where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count as counting
from itertools import product
from math import prod

from dsd_plan.optimize.candidates import Candidate, Choice, Counts, Space, cost_per_hour, full_counts, with_count
from dsd_plan.optimize.descent import descend
from dsd_plan.optimize.objective import Judge, Judged, better
from dsd_plan.optimize.relaxation import Bounds, LowerKey, alone_by_workload
from dsd_plan.optimize.replicas import fitted_counts, least_counts

EXHAUSTIVE_CHOICES = 300
"""Spaces up to this size are tried in full."""
MOST_COMBINATIONS = 20_000
"""Joint assignments that best-first search may hold; beyond, one workload is changed at a time."""
MOST_CALLS = 1500
"""New predictions that one best-first search may ask for."""

EXHAUSTIVE = "exhaustive under the model"
MONOTONE = (
    "every assignment and every count under the model, taking that another replica never slows a workload "
    "and another workload never speeds one up"
)
RELAXED = (
    "a lower bound under the model: every workload with all devices to itself, sharing nothing but their cost; "
    "takes that another replica never slows a workload"
)


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of one search."""

    best: Judged | None
    """None: no choice keeps every budget."""
    bound: float | None
    """No plan has a smaller objective, within `scope`."""
    scope: str

    @property
    def gap(self) -> float | None:
        """How far above the bound the best is, as a share of it."""
        if self.best is None or self.bound is None:
            return None
        if self.best.objective <= self.bound:
            return 0.0
        return self.best.objective / self.bound - 1.0 if self.bound > 0.0 else None


def search(
    judge: Judge,
    space: Space,
    *,
    exhaustive_choices: int = EXHAUSTIVE_CHOICES,
    most_combinations: int = MOST_COMBINATIONS,
    most_calls: int = MOST_CALLS,
) -> Found:
    """Best choice of `space` as `judge` sees it. Deterministic: it counts predictions, not seconds."""
    if not all(space.by_workload):
        return Found(None, None, EXHAUSTIVE)
    if space.size <= exhaustive_choices and _choices(judge, space) <= exhaustive_choices:
        return _exhaust(judge, space)
    alone = alone_by_workload(judge, space)
    if not all(alone):
        return Found(None, None, MONOTONE)
    bounds = Bounds(judge, alone)
    within = Space(tuple(tuple(found.candidate for found in group) for group in alone), space.notes, space.must)
    if within.size > most_combinations:
        best, bound = descend(judge, within, bounds)
        return Found(best, bound, RELAXED)
    if judge.minimize == "tpot":
        return _downward(judge, within, bounds, most_calls)
    return _upward(judge, within, bounds, most_calls)


def _choices(judge: Judge, space: Space) -> int:
    return sum(
        prod(count for _, count in full_counts(judge.scenario, chosen)) for chosen in space.combinations()
    )


def _exhaust(judge: Judge, space: Space) -> Found:
    best: Judged | None = None
    for chosen in space.combinations():
        full = full_counts(judge.scenario, chosen)
        for numbers in product(*(range(1, there + 1) for _, there in full)):
            counts = tuple((name, number) for (name, _), number in zip(full, numbers, strict=True))
            best = better(best, judge.judge(Choice(chosen, counts)))
    return Found(best, None if best is None else best.objective, EXHAUSTIVE)


@dataclass(frozen=True, slots=True)
class _Node:
    chosen: tuple[Candidate, ...]
    counts: Counts
    tight: bool
    """Whether `counts` come from the whole assignment rather than from each workload alone."""


class _Front:
    """Nodes by the lower bound of their keys, and the best choice so far; what cannot beat it ends the search."""

    def __init__(self, judge: Judge, most_calls: int) -> None:
        self.best: Judged | None = None
        self.bound: float | None = None
        self._last_call = judge.evaluator.calls + most_calls
        self._evaluator = judge.evaluator
        self._heap: list[tuple[LowerKey, int, _Node]] = []
        self._order = counting()
        self._seen: set[_Node] = set()

    def push(self, key: LowerKey, node: _Node) -> None:
        if node not in self._seen:
            self._seen.add(node)
            heappush(self._heap, (key, next(self._order), node))

    def offer(self, judged: Judged) -> None:
        self.best = better(self.best, judged)

    def promising(self) -> Iterator[_Node]:
        """Nodes that may hold a better choice, until there is none or the predictions are spent."""
        while self._heap:
            key, _, node = heappop(self._heap)
            if self.best is not None and key >= self.best.key[:5]:
                break
            if self._evaluator.calls >= self._last_call:
                self.bound = key[0]
                return
            yield node
        self.bound = None if self.best is None else self.best.objective


def _upward(judge: Judge, space: Space, bounds: Bounds, most_calls: int) -> Found:
    """Cost, devices, energy: from the fewest replicas that could do, upward, cheapest first."""
    front = _Front(judge, most_calls)
    for chosen in space.combinations():
        counts = bounds.least_counts(chosen)
        if counts is not None and _affordable(judge, counts):
            front.push(bounds.key(chosen, counts), _Node(chosen, counts, tight=False))
    for node in front.promising():
        if node.tight:
            judged = judge.judge(Choice(node.chosen, node.counts))
            front.offer(judged)
            # Where latency is kept already, more replicas only cost and draw more.
            steps = () if judged.latency_kept else _neighbours(judge, node.counts, 1)
        elif judge.judge(Choice(node.chosen, full_counts(judge.scenario, node.chosen))).latency_kept:
            least = least_counts(judge, node.chosen, node.counts)
            front.offer(judge.judge(Choice(node.chosen, fitted_counts(judge, node.chosen, least))))
            steps = (least,)
        else:
            steps = ()
        for counts in steps:
            if _affordable(judge, counts):
                front.push(bounds.key(node.chosen, counts), _Node(node.chosen, counts, tight=True))
    return Found(front.best, front.bound, MONOTONE)


def _downward(judge: Judge, space: Space, bounds: Bounds, most_calls: int) -> Found:
    """TPOT: from everything that is there downward, until the fleet's budgets are kept, and on while it costs nothing."""
    front = _Front(judge, most_calls)
    for chosen in space.combinations():
        least = bounds.least_counts(chosen)
        if least is not None:
            full = full_counts(judge.scenario, chosen)
            front.push(bounds.key(chosen, least), _Node(chosen, full, tight=True))
    for node in front.promising():
        tpot_ms = 0.0
        if _affordable(judge, node.counts):
            judged = judge.judge(Choice(node.chosen, node.counts))
            front.offer(judged)
            if not judged.latency_kept:
                continue
            tpot_ms = judged.tpot_ms
        least = bounds.least_counts(node.chosen) or node.counts
        for counts in _neighbours(judge, node.counts, -1):
            front.push(bounds.key(node.chosen, least, tpot_ms), _Node(node.chosen, counts, tight=True))
    return Found(front.best, front.bound, MONOTONE)


def _neighbours(judge: Judge, counts: Counts, step: int) -> tuple[Counts, ...]:
    return tuple(
        with_count(counts, name, number + step)
        for name, number in counts
        if 1 <= number + step <= judge.scenario.device(name).count
    )


def _affordable(judge: Judge, counts: Counts) -> bool:
    limit = judge.scenario.budgets.cost_per_hour
    return limit is None or cost_per_hour(judge.scenario, counts) <= limit
