"""The front of any two or three of cost, energy, TPOT and devices: plans that no other beats in all of them.

Every whole plan that was predicted is looked at. Where a front is asked for, plans are searched for it as well: the
least of each axis, and the least of one while another is held below one limit after the other (ε-constraint).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from dsd_plan.domain.scenario import Objective, Scenario
from dsd_plan.domain.study_outlook import ParetoPoint
from dsd_plan.errors import InputError
from dsd_plan.optimize.choices.budgets import FLEET
from dsd_plan.optimize.choices.candidates import AnySpace, Space, cost_per_hour
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator, Lens, Trial, reading_of
from dsd_plan.optimize.choices.objective import Judge, Judged, rounded
from dsd_plan.optimize.choices.words import counts_words, plan_words
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.search.search import search

AXES: tuple[Objective, ...] = ("cost", "energy", "tpot", "devices")
USUAL: tuple[Objective, ...] = ("cost", "energy", "tpot")
"""Of the front that is drawn from what was predicted anyway; energy only where it is known."""
LIMITS = 8
"""Values between the ends of an axis below which it is held in turn."""
MOST = 24
"""Points of a front that are told: its ends, the chosen plan, and of the others as many as are evenly apart."""


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    values: tuple[float, ...]
    judged: Judged


class _Limited(Evaluator):
    """Another scenario's budgets over the same predictions: nothing is predicted twice."""

    def __init__(self, base: Evaluator, scenario: Scenario) -> None:
        super().__init__(scenario, base.predict)
        self._base = base

    def _ask(self, choice: Choice) -> Trial:
        known = self._base.trial(choice)
        if known.performance is None:
            return known
        return replace(known, reading=reading_of(known.performance, self.limits))


def front_axes(asked: Sequence[str]) -> tuple[Objective, ...]:
    """Two or three different axes, or none. Raises InputError saying what is wrong with them."""
    known = tuple(axis for axis in AXES if axis in asked)
    strange = [repr(axis) for axis in asked if axis not in AXES]
    if strange:
        raise InputError("--pareto", f"found {', '.join(strange)}, expected two or three of {', '.join(AXES)}")
    if asked and (len(known) != len(asked) or not 2 <= len(asked) <= 3):
        names = ", ".join(AXES)
        raise InputError("--pareto", f"found {', '.join(asked)}, expected two or three different ones of {names}")
    return tuple(axis for name in asked for axis in AXES if axis == name)


def pareto_front(
    confirmation: Confirmation, space: AnySpace, chosen: Choice, asked: Sequence[Objective] = ()
) -> tuple[ParetoPoint, ...]:
    """The front over `asked`, two or three axes that plans are searched for; empty: over what was predicted anyway.

    Plans keep every budget under the model as the replays corrected it. What has no known energy is on no front of it.
    """
    evaluator, lens = confirmation.evaluator, confirmation.lens
    judge = Judge(evaluator, lens)
    axes: tuple[Objective, ...] = tuple(asked)
    if asked and isinstance(space, Space):
        _search(evaluator, lens, space, axes, chosen)
    points = _points(judge, evaluator.trials(), axes or USUAL)
    if not points and not asked:
        axes = ("cost", "tpot")
        points = _points(judge, evaluator.trials(), axes)
    front = non_dominated(points)
    return tuple(_told(evaluator.scenario, point, chosen) for point in _spread(front, chosen))


def _search(evaluator: Evaluator, lens: Lens, space: Space, axes: Sequence[Objective], chosen: Choice) -> None:
    """Predict the plans that a front of these axes needs; the evaluator remembers them."""
    for axis in axes:
        search(_judge_of(evaluator, lens, axis), space)
    ends = non_dominated(_points(Judge(evaluator, lens), evaluator.trials(), axes))
    for held, least in (pair for one, other in combinations(axes, 2) for pair in ((one, other), (other, one))):
        if held not in ("cost", "energy") or not ends:
            continue
        at = list(axes).index(held)
        low, high = min(point.values[at] for point in ends), max(point.values[at] for point in ends)
        for step in range(LIMITS if high > low else 0):
            limit = low + (high - low) * (step + 0.5) / LIMITS
            search(_judge_of(_held(evaluator, held, limit), lens, least), space)


def _judge_of(evaluator: Evaluator, lens: Lens, axis: Objective) -> Judge:
    judge = Judge(evaluator, lens)
    judge.minimize = axis
    return judge


def _held(evaluator: Evaluator, axis: Objective, limit: float) -> Evaluator:
    """The same scenario with no more than `limit` of an axis; its own budget stays where that is tighter."""
    budgets = evaluator.scenario.budgets
    if axis == "cost":
        limited = replace(budgets, cost_per_hour=min(limit, budgets.cost_per_hour or limit))
    else:
        limited = replace(budgets, energy_j_per_token=min(limit, budgets.energy_j_per_token or limit))
    return _Limited(evaluator, replace(evaluator.scenario, budgets=limited))


def _points(judge: Judge, trials: Iterable[Trial], axes: Sequence[Objective]) -> list[_Point]:
    workloads = len(judge.scenario.workloads)
    found = []
    for trial in trials:
        if len(trial.choice.candidates) != workloads or trial.performance is None:
            continue
        judged = judge.judge(trial.choice)
        values = [_value(judge, judged, axis) for axis in axes]
        if judged.kept and None not in values:
            found.append(_Point(tuple(rounded(value or 0.0) for value in values), judged))
    return found


def _value(judge: Judge, judged: Judged, axis: Objective) -> float | None:
    if axis == "cost":
        return cost_per_hour(judge.scenario, judged.choice.counts)
    if axis == "devices":
        return float(judged.key[1])
    if axis == "tpot":
        return judged.tpot_ms
    return judge.lens.read(judged.trial).get((FLEET, "energy_j_per_token"))


def non_dominated(points: Iterable[_Point]) -> list[_Point]:
    """Points that no other is at least as good as in everything, by rising first value; of equal ones the simplest."""
    front: list[_Point] = []
    for point in sorted(points, key=lambda point: (point.values, point.judged.key[1:])):
        if not any(all(a <= b for a, b in zip(other.values, point.values, strict=True)) for other in front):
            front.append(point)
    return front


def _spread(front: list[_Point], chosen: Choice) -> list[_Point]:
    if len(front) <= MOST:
        return front
    keep = {round(i * (len(front) - 1) / (MOST - 1)) for i in range(MOST)}
    for axis in range(len(front[0].values)):
        keep.add(min(range(len(front)), key=lambda i: front[i].values[axis]))
    return [point for i, point in enumerate(front) if i in keep or point.judged.choice == chosen]


def _told(scenario: Scenario, point: _Point, chosen: Choice) -> ParetoPoint:
    judged = point.judged
    choice = judged.choice
    windows = [str(c.window) for c in choice.candidates if c.window is not None]
    return ParetoPoint(
        mode=", ".join(dict.fromkeys(sorted(choice.modes, key=SIMPLEST_FIRST.index))),
        window=", ".join(dict.fromkeys(windows)) or None,
        cost_per_hour=cost_per_hour(scenario, choice.counts),
        devices=judged.key[1],
        tpot_ms=judged.tpot_ms,
        energy_j_per_token=judged.trial.reading.get((FLEET, "energy_j_per_token")),
        chosen=choice == chosen,
        words=f"{plan_words(choice)} ({counts_words(scenario, choice.counts)})",
        plan=judged.trial.plan,
    )
