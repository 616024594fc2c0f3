"""The plans that a decision lies between, each with its windows and replicas chosen anew wherever inputs move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from dsd_plan.domain.scenario import Scenario
from dsd_plan.optimize.choices.candidates import Space, full_counts, site_copies, with_count
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts, same_but_window
from dsd_plan.optimize.choices.objective import Judge, Judged
from dsd_plan.optimize.choices.replicas import least_count
from dsd_plan.optimize.search.descent import raised

Grounds = Literal["budgets", "objective", "devices", "tpot"]
"""What one plan is ahead of another by: the first of these in which they differ."""

LOOK_AHEAD = 2
"""Windows in a row that may be no better: whole devices make a price go up and down with the window."""
SAME = 1e-3
"""Relative difference of two numbers that is none."""


@dataclass(frozen=True, slots=True)
class Rival:
    """One way for the whole fleet: a plan to start from, and the windows that each workload may have."""

    start: Choice
    families: tuple[tuple[Candidate, ...], ...]
    """By workload, candidates that differ in nothing but the window, ascending."""

    @property
    def modes(self) -> tuple[str, ...]:
        """The mode of each workload, which is what the decision is about; both where its parts differ."""
        return self.start.served


@dataclass(frozen=True, slots=True)
class Lead:
    """By what, and how many times, one plan is better than another; above 1: it is."""

    by: Grounds
    ratio: float


def rivals_of(space: Space, choices: Iterable[Choice]) -> tuple[Rival, ...]:
    """One rival for each combination of modes among `choices`; the first of it stands for it."""
    found: dict[tuple[str, ...], Rival] = {}
    for choice in choices:
        families = families_of(space, choice.candidates)
        if all(families):
            found.setdefault(choice.served, Rival(choice, families))
    return tuple(found.values())


def families_of(space: Space, chosen: Iterable[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    """By workload, the candidates that differ from the chosen one in nothing but the window, ascending."""
    return tuple(
        tuple(sorted((_parted(c, mine) for c in group if same_but_window(c, mine)), key=lambda c: c.window or 0))
        for mine, group in zip(chosen, space.by_workload, strict=True)
    )


def _parted(candidate: Candidate, mine: Candidate) -> Candidate:
    """With the other part of `mine`, where its traffic is split: shares and that part's window stay."""
    return candidate if mine.rest is None else replace(candidate, rest=mine.rest, share=mine.share)


def best_near(judge: Judge, rival: Rival, near: Choice) -> Judged:
    """The rival's best plan as `judge` sees it, by windows downhill from `near` and fewest replicas.

    Windows of all speculating workloads move together by one place of their lists. What keeps no budget at any window
    tried is the nearest miss.
    """
    best = settled(judge, near)
    for step in (1, -1):
        here, patience = best, LOOK_AHEAD
        while patience > 0 and (other := moved(rival, here.choice, step)) is not None:
            here = settled(judge, other)
            patience = LOOK_AHEAD if nearer(here, best) else patience - 1
            best = here if nearer(here, best) else best
    return best


def settled(judge: Judge, start: Choice) -> Judged:
    """The assignment of `start` with the replicas that suit the objective; in full where even those break a budget."""
    chosen, scenario = start.candidates, judge.scenario
    counts = full_counts(scenario, chosen)
    dearest_first = sorted(start.counts, key=lambda pair: -_price(judge, pair[0]))
    # What fewer keep all of them keep: mostly the first that is fitted tells.
    few = judge.minimize != "tpot" and judge.judge(Choice(chosen, with_count(counts, *dearest_first[0]))).latency_kept
    if not few:
        judged = judge.judge(Choice(chosen, counts))
        if not judged.latency_kept or (judge.minimize == "tpot" and judged.kept):
            return judged
    for name, number in dearest_first:
        counts = with_count(counts, name, _least_near(judge, chosen, counts, name, number))
    judged = judge.judge(Choice(chosen, counts))
    return raised(judge, judged) if judge.minimize == "tpot" and judged.kept else judged


def _price(judge: Judge, name: str) -> float:
    """Of one more replica, as far as the objective counts it; at its price where the objective does not."""
    device = judge.scenario.device(name)
    copies = site_copies(judge.scenario, device)
    return copies * (1.0 if judge.minimize == "devices" else device.cost_per_hour)


def _least_near(judge: Judge, chosen: tuple[Candidate, ...], counts: Counts, name: str, near: int) -> int:
    """Fewest replicas of `name` that keep the workloads' budgets: mostly `near`, so that is asked first."""

    def kept(number: int) -> bool:
        return judge.judge(Choice(chosen, with_count(counts, name, number))).latency_kept

    if not kept(near):
        return least_count(judge, chosen, counts, name, near + 1)
    if near == 1 or not kept(near - 1):
        return near
    return least_count(judge, chosen, with_count(counts, name, near - 1), name)


def moved(rival: Rival, choice: Choice, step: int) -> Choice | None:
    """Every window a place up or down its list, where there is one; None: none can move."""
    found = []
    for mine, family in zip(choice.candidates, rival.families, strict=True):
        at = family.index(mine) + step
        found.append(family[at] if 0 <= at < len(family) else mine)
    return None if tuple(found) == choice.candidates else Choice(tuple(found), choice.counts)


def nearer(other: Judged, best: Judged) -> bool:
    """Whether `other` is better, or where neither keeps every budget, misses by less."""
    if other.kept or best.kept:
        return other.kept and (not best.kept or other.key < best.key)
    return (other.excess, other.key) < (best.excess, best.key)


def lead(other: Judged, here: Judged) -> Lead:
    """How far `other` is ahead of `here`: by keeping the budgets, else by the objective, devices, mean TPOT."""
    if not other.kept or not here.kept:
        return Lead("budgets", 1.0 if other.kept == here.kept else inf if other.kept else 0.0)
    ratio = _ratio(here.objective, other.objective)
    if abs(ratio - 1.0) > SAME:
        return Lead("objective", ratio)
    if here.key[1] != other.key[1]:
        return Lead("devices", here.key[1] / other.key[1])
    return Lead("tpot", _ratio(here.tpot_ms, other.tpot_ms))


def _ratio(one: float, other: float) -> float:
    if one == other:
        return 1.0
    return one / other if other > 0.0 else inf


def device_types(scenario: Scenario, rivals: Iterable[Rival]) -> tuple[str, ...]:
    """Device types that any of them runs on, in the scenario's order."""
    used = {name for rival in rivals for name, _ in rival.start.counts}
    return tuple(device.name for device in scenario.devices if device.name in used)
