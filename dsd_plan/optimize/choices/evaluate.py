"""Asks the model once for every choice, and remembers what it said."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.budgets import FLEET, MANY_WORKLOADS, Limit, Reading, limits_of, quantity_of
from dsd_plan.optimize.choices.candidates import cost_per_hour, plan_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.side_by_side import RunAll, one_by_one

Predict = Callable[[Deployed], Performance]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What the model says of one choice: a performance, or why there is none."""

    choice: Choice
    plan: Plan
    performance: Performance | None
    reading: Reading
    """Every budgeted quantity, each workload's mean TPOT ("tpot_mean_ms") and the fleet's energy a token."""
    saturated: tuple[str, float] | None = None
    """Device type and its saturation, where the offered work is more than it can do."""
    unstable: str = ""
    """What the model says of that."""
    misfit: str | None = None
    """Why the choice cannot be deployed."""


class Evaluator:
    """Memo of trials. The same choice is never predicted twice, however often the search comes back to it."""

    def __init__(
        self, scenario: Scenario, predict: Predict, known: Iterable[Trial] = (), run_all: RunAll = one_by_one
    ) -> None:
        self.scenario = scenario
        self._run_all = run_all
        self.limits: tuple[Limit, ...] = limits_of(scenario)
        self.predict = predict
        self._trials: dict[Choice, Trial] = {trial.choice: trial for trial in known}
        self._parts: dict[Hashable, Performance] = {}
        self.kept: dict[object, object] = {}
        """What a search of this scenario keeps for the next."""

    @property
    def calls(self) -> int:
        """How many choices the model was asked about."""
        return len(self._trials)

    def knows(self, choice: Choice) -> bool:
        """Whether the model was asked about this choice."""
        return choice in self._trials

    def trial(self, choice: Choice) -> Trial:
        """The model's word on one choice; its candidates may be those of a part of the workloads."""
        known = self._trials.get(choice)
        if known is None:
            known = self._trials[choice] = self._ask(choice)
        return known

    def trials(self) -> tuple[Trial, ...]:
        """Everything asked so far, in order."""
        return tuple(self._trials.values())

    def _ask(self, choice: Choice) -> Trial:
        plan = plan_of(self.scenario, choice)
        return self._tried(choice, plan, lambda: deploy(self.scenario, plan))

    def _tried(self, choice: Choice, plan: Plan, deployed: Callable[[], Deployed]) -> Trial:
        try:
            performance = self._predicted(deployed())
        except UnstableError as error:
            return Trial(choice, plan, None, {}, saturated=(error.device, error.saturation), unstable=str(error))
        except PlanError as error:
            return Trial(choice, plan, None, {}, misfit="; ".join(problem.text for problem in error.problems))
        return Trial(choice, plan, performance, reading_of(performance, self.limits))

    def _predicted(self, deployed: Deployed) -> Performance:
        if len(deployed.streams) < MANY_WORKLOADS:
            return self.predict(deployed)
        from dsd_plan.optimize.choices.parts import predict_in_parts

        return predict_in_parts(deployed, self.predict, self._parts, self._run_all)


class Shifted(Evaluator):
    """The same with every deployment changed; where a change leaves one as it is, `other` knows it already."""

    def __init__(
        self, other: Evaluator, deployed: Callable[[Choice], Deployed], change: Callable[[Deployed], Deployed]
    ) -> None:
        super().__init__(other.scenario, other.predict)
        self._other = other
        self._deployed = deployed
        self._change = change

    def _ask(self, choice: Choice) -> Trial:
        try:
            here = self._deployed(choice)
        except PlanError:
            return self._other.trial(choice)
        there = self._change(here)
        if _same(there, here):
            return self._other.trial(choice)
        return self._tried(choice, here.plan, lambda: there)


def _same(one: Deployed, other: Deployed) -> bool:
    """Whether they hold the same things, not only equal ones."""
    pairs = ((one.streams, other.streams), (one.targets, other.targets), (one.drafts, other.drafts))
    return all(mine is theirs for some, others in pairs for mine, theirs in zip(some, others, strict=True))


class Repriced(Evaluator):
    """The same under another price list: what `other` was asked is not asked again."""

    def __init__(self, scenario: Scenario, other: Evaluator) -> None:
        super().__init__(scenario, other.predict)
        self._other = other

    def _ask(self, choice: Choice) -> Trial:
        trial = self._other.trial(choice)
        if trial.performance is None:
            return trial
        fleet, price = trial.performance.fleet, cost_per_hour(self.scenario, choice.counts)
        per_million = None if not fleet.tokens_per_s else price / (fleet.tokens_per_s * 3600.0) * 1e6
        fleet = replace(fleet, cost_per_hour=price, cost_per_million_tokens=per_million)
        performance = replace(trial.performance, fleet=fleet)
        return replace(trial, performance=performance, reading=reading_of(performance, self.limits))


def reading_of(performance: Performance, limits: tuple[Limit, ...]) -> Reading:
    """The numbers that the search looks at; limits of what is not in `performance` are passed over."""
    found: dict[tuple[str, str], float | None] = {}
    deployed = {device.name for device in performance.devices}
    for workload in performance.workloads:
        found[workload.name, "tpot_mean_ms"] = workload.tpot_ms.mean
    for limit in limits:
        if limit.of_fleet or (limit.scope, "tpot_mean_ms") in found or (limit.of_device and limit.scope in deployed):
            found[limit.scope, limit.quantity] = quantity_of(performance, limit.scope, limit.quantity)
    found[FLEET, "energy_j_per_token"] = performance.fleet.energy_j_per_token
    return found


@dataclass(frozen=True, slots=True)
class Lens:
    """How trials are read: the model's numbers corrected by what was observed, and budgets loosened by `slack`."""

    factors: Mapping[tuple[str, str, str], float]
    """observed / predicted by (workload or "fleet", its way or "", quantity)."""
    observed: Mapping[Choice, Reading]
    """Readings of plans that were replayed: these replace the model's."""
    unsteady: Mapping[str, float] = field(default_factory=dict)
    """By device type: the least predicted saturation at which a replay found no steady state."""
    slack: float = 0.0

    def read(self, trial: Trial) -> Reading:
        """The trial's numbers as this lens shows them."""
        seen = self.observed.get(trial.choice)
        if seen is not None:
            return seen
        if self._too_busy(trial):
            return dict.fromkeys(trial.reading)
        if not self.factors:
            return trial.reading
        ways: dict[str, str] = {candidate.workload: candidate.way for candidate in trial.choice.candidates}
        corrected: dict[tuple[str, str], float | None] = {}
        for (scope, quantity), value in trial.reading.items():
            factor = self.factors.get((scope, ways.get(scope, ""), quantity), 1.0)
            corrected[scope, quantity] = None if value is None else value * factor
        return corrected

    def corrected_by(self, trial: Trial) -> Lens:
        """With the trial's own replay, where there was one, before what other plans' replays said of the same ways."""
        seen = self.observed.get(trial.choice, {})
        ways = {candidate.workload: candidate.way for candidate in trial.choice.candidates}
        own = {
            (scope, ways.get(scope, ""), quantity): found / expected
            for (scope, quantity), expected in trial.reading.items()
            if expected and (found := seen.get((scope, quantity))) is not None
        }
        return replace(self, factors={**self.factors, **own})

    def _too_busy(self, trial: Trial) -> bool:
        devices = () if trial.performance is None else trial.performance.devices
        return any(
            device.saturation is not None and device.saturation >= self.unsteady.get(device.name, inf)
            for device in devices
        )


PLAIN = Lens(factors={}, observed={})
"""The model's numbers as they are."""
