"""Finds the best choice in a space: all of it where it is small, best-first with bounds where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count as counting
from itertools import product
from math import prod

from dsd_plan.optimize.choices.candidates import AnySpace, Space, WideSpace, cost_per_hour, full_counts, with_count
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts
from dsd_plan.optimize.choices.objective import Judge, Judged, better
from dsd_plan.optimize.choices.replicas import fitted_counts, least_counts
from dsd_plan.optimize.search.around import SCOPE as AROUND
from dsd_plan.optimize.search.around import Around, search_around
from dsd_plan.optimize.search.descent import descend
from dsd_plan.optimize.search.milp import relaxed_objective
from dsd_plan.optimize.search.relaxation import Bounds, LowerKey, alone_by_workload, undominated
from dsd_plan.optimize.search.split import SCOPE as SPLIT
from dsd_plan.optimize.search.split import Splits, search_splits

EXHAUSTIVE_CHOICES = 300
"""Spaces up to this size are tried in full."""
MOST_CANDIDATES_KEPT = 200
"""Joint assignments above which candidates that another beats in everything are left out."""
MOST_COMBINATIONS = 20_000
"""Joint assignments that best-first search may hold; beyond, one workload is changed at a time."""
MOST_CALLS = 400
"""New predictions that the best-first part of one search may ask for."""
MOST_TIE_CALLS = 80
"""Of these, how many may go into plans that can win by TPOT alone, at the same objective and number of devices."""

EXHAUSTIVE = "exhaustive under the model"
MONOTONE = (
    "every assignment and count under the model, taking that another replica never slows a workload "
    "and another workload never speeds one up"
)
UNDOMINATED = (
    MONOTONE + ", and leaving out candidates that another on the same devices beats in TPOT, work and replicas"
)
RELAXED = (
    "a lower bound under the model: every workload with all devices to itself, sharing them only in what they cost; "
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
    space: AnySpace,
    seeds: Iterable[Choice] = (),
    *,
    exhaustive_choices: int = EXHAUSTIVE_CHOICES,
    most_combinations: int = MOST_COMBINATIONS,
    most_calls: int = MOST_CALLS,
) -> Found:
    """Best choice of `space` as `judge` sees it; `seeds` are choices of it that are known to be good.

    Deterministic: it counts predictions, not seconds.
    """
    if isinstance(space, WideSpace):
        return _wide(judge, space, seeds)
    if isinstance(space, Around):
        return Found(search_around(judge, space), None, AROUND)
    if isinstance(space, Splits):
        return Found(search_splits(judge, space), None, SPLIT)
    if not all(space.by_workload):
        return Found(None, None, EXHAUSTIVE)
    if space.size <= exhaustive_choices and _choices(judge, space) <= exhaustive_choices:
        return _exhaust(judge, space)
    alone = alone_by_workload(judge, space)
    scope = MONOTONE
    if prod(len(group) for group in alone) > MOST_CANDIDATES_KEPT:
        alone = tuple(undominated(group) for group in alone)
        scope = UNDOMINATED
    if not all(alone):
        return Found(None, None, scope)
    bounds = Bounds(judge, alone)
    within = Space(tuple(tuple(found.candidate for found in group) for group in alone), space.notes, space.must)
    front = _Front(judge, most_calls)
    for seed in seeds:
        front.offer(judge.judge(seed))
    large = within.size > most_combinations
    if large or (front.best is None and len(within.by_workload) > 1):
        # Where best-first follows, one start is enough to have something to beat.
        front.offer(descend(judge, within, bounds, starts=4 if large else 1))
    front.start()
    if large:
        return Found(front.best, relaxed_objective(bounds, within), RELAXED)
    if judge.minimize == "tpot":
        _downward(judge, within, bounds, front)
    else:
        _upward(judge, within, bounds, front)
    return Found(front.best, front.bound, scope)


def _wide(judge: Judge, space: WideSpace, seeds: Iterable[Choice]) -> Found:
    # Few scenarios are large: what only they need is loaded here.
    from dsd_plan.optimize.wide.search import SCOPE, search_wide

    found = search_wide(judge, space.modes)
    best = found.best
    for seed in seeds:
        best = better(best, judge.judge(seed))
    if best is not None and not space.holds(best.choice.candidates):
        best = None
    return Found(best, found.bound, SCOPE)


def _choices(judge: Judge, space: Space) -> int:
    return sum(prod(count for _, count in full_counts(judge.scenario, chosen)) for chosen in space.combinations())


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
        self._evaluator = judge.evaluator
        self._most_calls = most_calls
        self._last_call = 0
        self._heap: list[tuple[LowerKey, int, _Node]] = []
        self._order = counting()
        self._seen: set[_Node] = set()

    def start(self) -> None:
        """From now on predictions are counted."""
        self._last_call = self._evaluator.calls + self._most_calls

    def push(self, key: LowerKey, node: _Node) -> None:
        if node not in self._seen and self.may_win(key):
            self._seen.add(node)
            heappush(self._heap, (key, next(self._order), node))

    def offer(self, judged: Judged | None) -> None:
        if judged is not None:
            self.best = better(self.best, judged)

    def may_win(self, key: LowerKey) -> bool:
        return self.best is None or key < self.best.key[:5]

    def promising(self) -> Iterator[_Node]:
        """Nodes that may hold a better choice, until there is none or the predictions are spent."""
        tied = False
        while self._heap:
            key, _, node = heappop(self._heap)
            if not self.may_win(key):
                break
            if self.best is not None and key[:2] == self.best.key[:2] and not tied:
                tied = True
                self._last_call = min(self._last_call, self._evaluator.calls + MOST_TIE_CALLS)
            if self._evaluator.calls >= self._last_call:
                self.bound = key[0]
                return
            yield node
        self.bound = None if self.best is None else self.best.objective


def _upward(judge: Judge, space: Space, bounds: Bounds, front: _Front) -> None:
    """Cost, devices, energy: from the fewest replicas that could do, upward, cheapest first."""
    for chosen in space.combinations():
        counts = bounds.least_counts(chosen)
        if counts is not None and _affordable(judge, counts):
            front.push(bounds.key(chosen, counts), _Node(chosen, counts, tight=False))
    for node in front.promising():
        chosen = node.chosen
        if node.tight:
            judged = judge.judge(Choice(chosen, node.counts))
            front.offer(judged)
            # Where latency is kept already, more replicas only cost and draw more.
            steps = () if judged.latency_kept else _neighbours(judge, node.counts, 1)
        else:
            most = _most_counts(judge, bounds, front, node)
            judged = judge.judge(Choice(chosen, most))
            front.offer(judged)
            if not judged.latency_kept:
                continue
            least = least_counts(judge, chosen, node.counts, most)
            front.offer(judge.judge(Choice(chosen, fitted_counts(judge, chosen, least, most))))
            steps = (least,)
        for counts in steps:
            if _affordable(judge, counts):
                front.push(bounds.key(chosen, counts), _Node(chosen, counts, tight=True))


def _most_counts(judge: Judge, bounds: Bounds, front: _Front, node: _Node) -> Counts:
    """Of each device type, the most replicas with which the node could still win if all others had their fewest."""
    found = []
    for name, low in node.counts:
        high = judge.scenario.device(name).usable
        while low < high:
            middle = (low + high + 1) // 2
            counts = with_count(node.counts, name, middle)
            if front.may_win(bounds.key(node.chosen, counts)) and _affordable(judge, counts):
                low = middle
            else:
                high = middle - 1
        found.append((name, low))
    return tuple(found)


def _downward(judge: Judge, space: Space, bounds: Bounds, front: _Front) -> None:
    """TPOT: from everything that is there downward until the fleet's budgets are kept, and on while that is free."""
    for chosen in space.combinations():
        least = bounds.least_counts(chosen)
        if least is not None:
            front.push(bounds.key(chosen, least), _Node(chosen, full_counts(judge.scenario, chosen), tight=True))
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


def _neighbours(judge: Judge, counts: Counts, step: int) -> tuple[Counts, ...]:
    return tuple(
        with_count(counts, name, number + step)
        for name, number in counts
        if 1 <= number + step <= judge.scenario.device(name).usable
    )


def _affordable(judge: Judge, counts: Counts) -> bool:
    limit = judge.scenario.budgets.cost_per_hour
    return limit is None or cost_per_hour(judge.scenario, counts) <= limit
