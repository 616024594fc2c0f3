"""Why no plan keeps every budget: the one that binds, the nearest miss, and what the least relief would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import ceil, inf

from dsd_plan.domain.scenario import FleetBudgets, Objective, Scenario
from dsd_plan.errors import InfeasibleError, Problem, ScenarioError, few_digits
from dsd_plan.optimize.choices.budgets import FLEET, Limit
from dsd_plan.optimize.choices.candidates import AnySpace, WideSpace, site_copies, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import Evaluator, Lens, Trial
from dsd_plan.optimize.choices.objective import Judge, Judged, spelling
from dsd_plan.optimize.choices.words import count_words, number
from dsd_plan.optimize.search.search import search
from dsd_plan.optimize.verdict.physical import BearableLoad, bearable_load, floor_of, rounded_down

SLACKS = (0.05, 0.2, 0.8, 3.2, 12.8, 51.2, 204.8)
"""Shares by which latency budgets are loosened in turn, where no plan that was tried keeps the fleet's budgets."""
REFINEMENTS = 6
WAITS_FOR_EVER = "KV memory holds"
"""What the model says of a device whose memory cannot hold a single request."""
OBJECTIVE_OF: Mapping[str, Objective] = {"cost_per_hour": "cost", "energy_j_per_token": "energy"}
"""What a fleet budget limits, as something to minimize."""
MOST_TOLD = 2
"""Ways out that are told, and so replayed."""
MOST_TRIES = 3
"""Times that ways out are looked for, where the replays found no steady state in those before."""
MORE_DEVICES = (2, 4, 8)
"""Multiples of what is there that are tried when more replicas might help."""


@dataclass(frozen=True, slots=True)
class _Relief:
    """A budget that, raised (or lowered) to `value`, would be kept, and the plan that then keeps everything."""

    limit: Limit
    value: float
    judged: Judged
    scenario: Scenario
    others: tuple[tuple[Limit, float], ...] = ()
    """Further budgets that this plan breaks."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All that would have to give way."""
        return self.limit, *(limit for limit, _ in self.others)

    @property
    def share(self) -> float:
        return self.limit.excess(self.value)

    def __str__(self) -> str:
        wanted = []
        for limit, value in ((self.limit, self.value), *self.others):
            move = "lower" if limit.at_least else "raise"
            # A price of zero has no share by which it could be raised.
            share = f" ({value / limit.limit - 1.0:+.1%})" if limit.limit > 0.0 else ""
            wanted.append(f"{move} {limit} from {few_digits(limit.limit)} to {enough(value, limit.at_least)}{share}")
        return f"{' and '.join(wanted)} for {spelling(self.judged.choice, self.scenario)}"


def enough(value: float, at_least: bool) -> str:
    """A value to four digits such that a budget set to them is kept by it: rounded up, a floor down."""
    written = Decimal(repr(float(value)))
    step = Decimal(1).scaleb(written.adjusted() - 3)
    return few_digits(float(written.quantize(step, rounding=ROUND_FLOOR if at_least else ROUND_CEILING)))


def why_infeasible(
    evaluator: Evaluator,
    space: AnySpace,
    lens: Lens,
    replay: Callable[[Choice], Lens] | None = None,
    bears: Callable[[Choice, float], bool] | None = None,
) -> InfeasibleError | ScenarioError:
    """The error that says so. To be asked after a search with this lens has found nothing.

    `replay`: replays a plan and gives the lens that knows it; what budgets would have to be is then told as replayed.
    `bears`: whether a plan's replay under a share of the load keeps every budget; a load that is told is then replayed.
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
        what = f"a way to serve {', '.join(empty)}"
        return InfeasibleError(what, 1.0, 0.0, reasons, f"there is not {what}")
    reliefs, lens = _reliefs(evaluator, space, lens, replay)
    overloaded = [trial for trial in evaluator.trials() if trial.saturated is not None and _is_whole(evaluator, trial)]
    nearest = min(overloaded, key=_saturation, default=None)
    more = _with_more_devices(evaluator, lens, None if reliefs or nearest is None else nearest.saturated)
    if reliefs:
        least = reliefs[0]
        advice = [str(relief) for relief in reliefs[:MOST_TOLD]]
        floor = floor_of(evaluator, space, least.limit)
        # A floor is the model's: one that the replay went below is none.
        forced = "" if floor is None or not least.limit.limit < floor.value <= least.value else f"{floor.words}; "
        if not forced and least.limit.of_workload:
            load = bearable_load(evaluator, space, lens, bears=bears)
            more += [] if load is None or load.replayed else [load_words(load)]
            advice += [] if load is None or not load.replayed else [load_words(load)]
        # Only budgets that would have to give way are told as replayed.
        text = f"{forced}{'; or '.join([*advice, *(f'by the model, {one}' for one in more)])}"
        return InfeasibleError(str(least.limit), least.limit.limit, least.value, text)
    if nearest is not None:
        assert nearest.saturated is not None
        device, saturation = nearest.saturated
        found = f"{device} is offered {saturation:.4g} times what it can do, with all that there are"
        load = bearable_load(evaluator, space, lens, 1.0 / saturation, bears)
        below = rounded_down(1.0 / saturation)
        words = f"lower the load below {below:.2g} of today's" if load is None else load_words(load)
        advice = [*more, words, *_floors(evaluator, space)]
        if WAITS_FOR_EVER in nearest.unstable:
            found = nearest.unstable.partition("; ")[2]
            needed = _memory_needed(evaluator.scenario, device, saturation)
            advice = [*more, f"{device} needs memory_gib of {enough(needed, at_least=False)} or more"]
            return InfeasibleError(f"{device}: memory", 1.0, saturation, "; or ".join(advice), f"{device}: {found}")
        return InfeasibleError(f"{device}: saturation", 1.0, saturation, "; or ".join(advice), found)
    misfits = dict.fromkeys(trial.misfit for trial in evaluator.trials() if trial.misfit is not None)
    advice_text = "; ".join(misfits) or "its devices cannot serve all workloads at once: give each target its own type"
    return InfeasibleError("a plan that can be deployed", 1.0, 0.0, advice_text, "no plan can be deployed")


def _reliefs(
    evaluator: Evaluator, space: AnySpace, lens: Lens, replay: Callable[[Choice], Lens] | None
) -> tuple[list[_Relief], Lens]:
    """What could give way, the least first; replayed, as few as are told. What has no steady state there is none."""
    told: dict[frozenset[Limit], _Relief] = {}
    for _ in range(MOST_TRIES):
        found = [*_without_fleet_budgets(evaluator, space, lens), *_nearest_miss(evaluator, space, lens)]
        if not found and any(limit.of_fleet for limit in evaluator.limits):
            unlimited = _asked_anew(evaluator, replace(evaluator.scenario, budgets=FleetBudgets()))
            found = _with_slack(evaluator, unlimited, space, lens)
        found.sort(key=lambda relief: relief.share)
        if replay is None or not found:
            break
        known = all(relief.judged.choice in lens.observed for relief in found[:MOST_TOLD])
        for relief in found[:MOST_TOLD]:
            lens = replay(relief.judged.choice)
            for seen in _as_replayed(evaluator, relief, lens):
                least = told.get(frozenset(seen.limits), seen)
                told[frozenset(seen.limits)] = min(seen, least, key=lambda relief: relief.share)
        # A replay may have made more of a miss than the model did: another plan is then the nearest.
        if told and known:
            break
    return (sorted(told.values(), key=lambda relief: relief.share), lens) if told else (found, lens)


def _as_replayed(evaluator: Evaluator, relief: _Relief, lens: Lens) -> list[_Relief]:
    """The relief with what the replay of its plan makes of budgets; none where that is not known, or all are kept.

    A share of requests beside latencies that are raised stays as the model tells it: the replay knows the old ones.
    """
    seen = lens.read(relief.judged.trial)
    told = {limit: value for limit, value in ((relief.limit, relief.value), *relief.others) if limit.at_least}
    broken: list[tuple[Limit, float]] = []
    for limit in sorted(evaluator.limits, key=lambda limit: limit.at_least):
        value = seen.get((limit.scope, limit.quantity))
        if value is None and (limit.scope, limit.quantity) in seen:
            return []
        if limit.at_least and any(other.scope == limit.scope for other, _ in broken):
            value = told.get(limit)
        if value is not None and limit.excess(value) > 0.0:
            broken.append((limit, value))
    broken.sort(key=lambda pair: -pair[0].excess(pair[1]))
    return [replace(relief, limit=broken[0][0], value=broken[0][1], others=tuple(broken[1:]))] if broken else []


def _why_wide(evaluator: Evaluator, space: WideSpace, lens: Lens) -> InfeasibleError:
    """Of a large fleet: who cannot be served at all, or the plan that breaks its worst budget least."""
    from dsd_plan.optimize.wide.search import unserved

    judge = Judge(evaluator, lens)
    lost = unserved(judge, space.modes)
    if lost:
        some = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        what = f"no device keeps the budgets of {some}, not even at a light load"
        return InfeasibleError(f"budgets of {some}", 1.0, 0.0, "loosen them", what)
    tried = [judge.judge(trial.choice) for trial in evaluator.trials() if _is_whole(evaluator, trial)]
    known = [judged for judged in tried if judged.worst is not None and judged.value is not None]
    if known:
        nearest = min(known, key=lambda judged: (judged.excess, judged.key))
        assert nearest.worst is not None
        assert nearest.value is not None
        advice = f"the nearest plan breaks it by {nearest.excess:.1%}: loosen it, or have more devices"
        return InfeasibleError(str(nearest.worst), nearest.worst.limit, nearest.value, advice)
    what = "all targets together are too few for every workload"
    return InfeasibleError("room for every workload", 1.0, 0.0, "have more of them", what)


def load_words(load: BearableLoad) -> str:
    """Advice with a load that some plan bears."""
    return f"lower the load to {load.share:.2g} of today's{' (replayed)' if load.replayed else ''}"


def _floors(evaluator: Evaluator, space: AnySpace) -> list[str]:
    """Budgets that no device keeps at any load."""
    found = []
    for limit in evaluator.limits:
        floor = floor_of(evaluator, space, limit)
        if floor is not None and floor.value > limit.limit:
            found.append(f"raise {limit} from {few_digits(limit.limit)} in any case: {floor.words}")
    return found


def _memory_needed(scenario: Scenario, device: str, times: float) -> float:
    """GiB of a device on which the cache beside its largest model is `times` as large."""
    found = scenario.device(device)
    sizes = {model.name: model.weights_gib or 0.0 for model in scenario.models}
    weights = max((sizes.get(model, 0.0) for model in found.profiles), default=0.0)
    return weights + ((found.memory_gib or 0.0) - weights) * times


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
    """What each fleet budget would have to be at least if all others stay as they are."""
    found = []
    for limit in evaluator.limits:
        if not limit.of_fleet:
            continue
        budgets = replace(evaluator.scenario.budgets, **{limit.quantity: None})
        # Whatever the scenario minimizes: the least of this is asked for.
        least = replace(evaluator.scenario.search, minimize=OBJECTIVE_OF[limit.quantity])
        unlimited = replace(evaluator.scenario, budgets=budgets, search=least)
        best = search(Judge(_asked_anew(evaluator, unlimited), lens), space).best
        if best is not None:
            judge = Judge(evaluator, lens)
            value = lens.read(evaluator.trial(best.choice)).get((limit.scope, limit.quantity))
            if value is not None:
                found.append(_Relief(limit, value, judge.judge(best.choice), evaluator.scenario))
    return found


def _nearest_miss(evaluator: Evaluator, space: AnySpace, lens: Lens) -> list[_Relief]:
    """`_with_slack`, save that a share of requests is not loosened beside the latencies that it is a share of.

    Where a latency budget that nothing keeps makes the share nearly zero, the share says nothing of its own: the plan
    is looked for without it, and the share is what the plan makes of the latencies as they would be raised.
    """
    found = _with_slack(evaluator, evaluator, space, lens)
    latencies = {limit.scope for relief in found for limit in relief.limits if limit.of_workload and not limit.at_least}
    if not any(limit.at_least and limit.scope in latencies for relief in found for limit in relief.limits):
        return found
    scenario = evaluator.scenario
    without = [replace(w, budgets=replace(w.budgets, goodput_share=None)) for w in scenario.workloads]
    bare = _asked_anew(evaluator, replace(scenario, workloads=tuple(without)))
    reliefs = _with_slack(bare, bare, space, lens)
    return [_with_shares(evaluator, relief, lens) for relief in reliefs] or found


def _with_shares(evaluator: Evaluator, relief: _Relief, lens: Lens) -> _Relief:
    """A relief with the shares of requests that would have to be lowered beside its raised latencies."""
    scenario, raised = evaluator.scenario, [(relief.limit, relief.value), *relief.others]
    workloads = []
    for workload in scenario.workloads:
        limits = {limit.quantity: value for limit, value in raised if limit.scope == workload.name}
        workloads.append(replace(workload, budgets=replace(workload.budgets, **limits)))
    asked = _asked_anew(evaluator, replace(scenario, workloads=tuple(workloads)))
    reading = lens.read(asked.trial(relief.judged.choice))
    for limit in asked.limits:
        value = reading.get((limit.scope, limit.quantity))
        if limit.at_least and value is not None and limit.excess(value) > 0.0:
            raised.append((limit, value))
    return replace(relief, others=tuple(raised[1:]))


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
    return [_Relief(broken[0][0], broken[0][1], judged, evaluator.scenario, tuple(broken[1:]))]


def _nearest_tried(searched: Evaluator, lens: Lens) -> Judged | None:
    """Of the plans already predicted, the one that keeps the fleet's budgets and breaks the others least."""
    judge = Judge(searched, lens)
    tried = [judge.judge(trial.choice) for trial in searched.trials() if _is_whole(searched, trial)]
    near = [judged for judged in tried if judged.excess == judged.latency_excess < inf]
    return min(near, key=lambda judged: (judged.excess, judged.key), default=None)


def _with_more_devices(evaluator: Evaluator, lens: Lens, saturated: tuple[str, float] | None) -> list[str]:
    """How many devices of one type, instead of those there are, would keep every budget, and what they cost."""
    scenario, advice = evaluator.scenario, []
    for position, device in enumerate(scenario.devices):
        far = saturated is not None and saturated[0] == device.name and saturated[1] > MORE_DEVICES[-1] / 2
        factors = (*MORE_DEVICES, *((ceil(1.5 * saturated[1]),) if far and saturated is not None else ()))
        for factor in factors:
            devices = list(scenario.devices)
            devices[position] = replace(device, count=device.count * factor)
            larger = replace(scenario, devices=tuple(devices))
            best = search(Judge(_asked_anew(evaluator, larger), lens), space_of(larger)).best
            if best is not None:
                needed = dict(best.choice.counts).get(device.name, device.usable)
                if needed > device.usable:
                    paid = device.paid_for(needed)
                    price = (paid - device.count) * device.cost_per_hour * site_copies(scenario, device)
                    cost = f" ({number(price)} an hour more)" if price > 0.0 else ""
                    copies = site_copies(scenario, device)
                    wanted = count_words(scenario, device.name, paid)
                    advice.append(f"have {wanted} instead of {device.count * copies:,}{cost}")
                break
    return advice


def _asked_anew(evaluator: Evaluator, scenario: Scenario) -> Evaluator:
    return Evaluator(scenario, evaluator.predict)
