"""Why no plan keeps every budget: the one that binds, the nearest miss, and what the least relief would be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from dsd_plan.domain.scenario import FleetBudgets, Scenario
from dsd_plan.errors import InfeasibleError, Problem, ScenarioError
from dsd_plan.optimize.budgets import FLEET, Limit
from dsd_plan.optimize.candidates import AnySpace, WideSpace, space_of
from dsd_plan.optimize.evaluate import Evaluator, Lens, Trial
from dsd_plan.optimize.objective import Judge, Judged, spelling
from dsd_plan.optimize.search import search

SLACKS = (0.05, 0.2, 0.8, 3.2, 12.8, 51.2, 204.8)
"""Shares by which latency budgets are loosened in turn, where no plan that was tried keeps the fleet's budgets."""
REFINEMENTS = 6
MORE_DEVICES = (2, 4, 8)
"""Multiples of what is there that are tried when more replicas might help."""


@dataclass(frozen=True, slots=True)
class _Relief:
    """A budget that, raised (or lowered) to `value`, would be kept, and the plan that then keeps everything."""

    limit: Limit
    value: float
    judged: Judged
    others: tuple[tuple[Limit, float], ...] = ()
    """Further budgets that this plan breaks."""

    @property
    def share(self) -> float:
        return self.limit.excess(self.value)

    def __str__(self) -> str:
        move = "lower" if self.limit.at_least else "raise"
        wanted = [
            f"{move} {limit} from {limit.limit:.4g} to {value:.4g} ({limit.excess(value):+.1%})"
            for limit, value in ((self.limit, self.value), *self.others)
        ]
        return f"{' and '.join(wanted)} for {spelling(self.judged.choice)}"


def why_infeasible(evaluator: Evaluator, space: AnySpace, lens: Lens) -> InfeasibleError | ScenarioError:
    """The error that says so. To be asked after a search with this lens has found nothing.

    ScenarioError where energy decides and no device's power is known: that is no verdict on any plan.
    """
    unknown = _unknown_energy(evaluator)
    if unknown is not None:
        return unknown
    if isinstance(space, WideSpace):
        return _why_wide(evaluator, space, lens)
    empty = [w.name for w, group in zip(evaluator.scenario.workloads, space.by_workload, strict=True) if not group]
    if empty:
        reasons = "; ".join(space.notes) or "no device has a profile for its target"
        return InfeasibleError(f"a way to serve {', '.join(empty)}", 1.0, 0.0, reasons)
    reliefs = [*_without_fleet_budgets(evaluator, space, lens), *_with_slack(evaluator, evaluator, space, lens)]
    if not reliefs and any(limit.of_fleet for limit in evaluator.limits):
        unlimited = _asked_anew(evaluator, replace(evaluator.scenario, budgets=FleetBudgets()))
        reliefs = _with_slack(evaluator, unlimited, space, lens)
    more = _with_more_devices(evaluator, lens)
    if reliefs:
        least = min(reliefs, key=lambda relief: relief.share)
        advice = [str(relief) for relief in sorted(reliefs, key=lambda relief: relief.share)[:2]]
        return InfeasibleError(str(least.limit), least.limit.limit, least.value, "; or ".join([*advice, *more]))
    overloaded = [trial for trial in evaluator.trials() if trial.saturated is not None and _is_whole(evaluator, trial)]
    if overloaded:
        nearest = min(overloaded, key=_saturation)
        assert nearest.saturated is not None
        device, saturation = nearest.saturated
        advice = [*more, f"lower the load below {1.0 / saturation:.0%} of today's"]
        return InfeasibleError(f"{device}: saturation", 1.0, saturation, "; or ".join(advice))
    misfits = dict.fromkeys(trial.misfit for trial in evaluator.trials() if trial.misfit is not None)
    advice_text = "; ".join(misfits) or "its devices cannot serve all workloads at once: give each target its own type"
    return InfeasibleError("a plan that can be deployed", 1.0, 0.0, advice_text)


def _why_wide(evaluator: Evaluator, space: WideSpace, lens: Lens) -> InfeasibleError:
    """Of a large fleet: who cannot be served at all, or the plan that breaks its worst budget least."""
    from dsd_plan.optimize.wide.search import unserved

    judge = Judge(evaluator, lens)
    lost = unserved(judge, space.modes)
    if lost:
        some = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        return InfeasibleError(f"budgets of {some}", 1.0, 0.0, "no device keeps them even at a light load: loosen them")
    tried = [judge.judge(trial.choice) for trial in evaluator.trials() if _is_whole(evaluator, trial)]
    known = [judged for judged in tried if judged.worst is not None and judged.value is not None]
    if known:
        nearest = min(known, key=lambda judged: (judged.excess, judged.key))
        assert nearest.worst is not None
        assert nearest.value is not None
        advice = f"the nearest plan breaks it by {nearest.excess:.1%}: loosen it, or have more devices"
        return InfeasibleError(str(nearest.worst), nearest.worst.limit, nearest.value, advice)
    return InfeasibleError("room for every workload", 1.0, 0.0, "all targets together are too few: have more of them")


def _is_whole(evaluator: Evaluator, trial: Trial) -> bool:
    return len(trial.choice.candidates) == len(evaluator.scenario.workloads)


def _saturation(trial: Trial) -> float:
    return trial.saturated[1] if trial.saturated is not None else 0.0


def _unknown_energy(evaluator: Evaluator) -> ScenarioError | None:
    """An energy budget, or energy as the objective, cannot be judged where no device's power is known."""
    scenario = evaluator.scenario
    asked = scenario.budgets.energy_j_per_token
    whole = [t for t in evaluator.trials() if t.performance is not None and _is_whole(evaluator, t)]
    known = [t for t in whole if t.reading[FLEET, "energy_j_per_token"] is not None]
    if known or not whole or (asked is None and scenario.search.minimize != "energy"):
        return None
    place = "budgets.energy_j_per_token" if asked is not None else "search.minimize"
    text = (
        "no plan's energy is known, because a device's power is not; "
        "give active_w in its profiles (or laws) and idle_w, or leave energy out"
    )
    return ScenarioError(f"scenario {scenario.name}", [Problem(place, text)])


def _without_fleet_budgets(evaluator: Evaluator, space: AnySpace, lens: Lens) -> list[_Relief]:
    """What each fleet budget would have to be if all others stay as they are."""
    found = []
    for limit in evaluator.limits:
        if not limit.of_fleet:
            continue
        budgets = replace(evaluator.scenario.budgets, **{limit.quantity: None})
        best = search(Judge(_asked_anew(evaluator, replace(evaluator.scenario, budgets=budgets)), lens), space).best
        if best is not None:
            judge = Judge(evaluator, lens)
            value = lens.read(evaluator.trial(best.choice)).get((limit.scope, limit.quantity))
            if value is not None:
                found.append(_Relief(limit, value, judge.judge(best.choice)))
    return found


def _with_slack(evaluator: Evaluator, searched: Evaluator, space: AnySpace, lens: Lens) -> list[_Relief]:
    """The nearest miss: the plan that keeps everything once every workload's budgets are loosened by the least share.

    `searched` is `evaluator`, or one of the same scenario without its fleet's budgets.
    """
    best = _nearest_tried(searched, lens)
    tight, loose = 0.0, 0.0 if best is None else best.excess
    if best is None:
        for loose in SLACKS:
            best = search(Judge(searched, replace(lens, slack=loose)), space).best
            if best is not None:
                break
            tight = loose
    if best is None:
        return []
    for _ in range(REFINEMENTS):
        middle = (tight + loose) / 2
        found = search(Judge(searched, replace(lens, slack=middle)), space).best
        if found is None:
            tight = middle
        else:
            best, loose = found, middle
    reading = lens.read(evaluator.trial(best.choice))
    broken = []
    for limit in evaluator.limits:
        value = reading.get((limit.scope, limit.quantity))
        if value is not None and limit.excess(value) > 0.0:
            broken.append((limit, value))
    broken.sort(key=lambda pair: -pair[0].excess(pair[1]))
    if not broken:
        return []
    judged = Judge(evaluator, lens).judge(best.choice)
    return [_Relief(broken[0][0], broken[0][1], judged, tuple(broken[1:]))]


def _nearest_tried(searched: Evaluator, lens: Lens) -> Judged | None:
    """Of the plans already predicted, the one that keeps the fleet's budgets and breaks the others least."""
    judge = Judge(searched, lens)
    tried = [judge.judge(trial.choice) for trial in searched.trials() if _is_whole(searched, trial)]
    near = [judged for judged in tried if judged.excess == judged.latency_excess < inf]
    return min(near, key=lambda judged: (judged.excess, judged.key), default=None)


def _with_more_devices(evaluator: Evaluator, lens: Lens) -> list[str]:
    """How many devices of one type, instead of those there are, would keep every budget."""
    scenario, advice = evaluator.scenario, []
    for position, device in enumerate(scenario.devices):
        for factor in MORE_DEVICES:
            devices = list(scenario.devices)
            devices[position] = replace(device, count=device.count * factor)
            larger = replace(scenario, devices=tuple(devices))
            best = search(Judge(_asked_anew(evaluator, larger), lens), space_of(larger)).best
            if best is not None:
                needed = dict(best.choice.counts).get(device.name, device.usable)
                if needed > device.usable:
                    advice.append(f"have {device.paid_for(needed)} × {device.name} instead of {device.count}")
                break
    return advice


def _asked_anew(evaluator: Evaluator, scenario: Scenario) -> Evaluator:
    return Evaluator(scenario, evaluator.predict)
