"""Which of two plans is better: the objective, then fewer devices, then lower TPOT, then the simpler plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf

from dsd_plan.domain.scenario import Objective, Scenario
from dsd_plan.domain.step_time import decode_ms, prefill_ms, surface_of
from dsd_plan.domain.workload import ClosedRequests, RequestTrace, Workload
from dsd_plan.optimize.choices.budgets import FLEET, Limit, Reading
from dsd_plan.optimize.choices.candidates import cost_per_hour, device_total
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Candidate, Choice
from dsd_plan.optimize.choices.evaluate import PLAIN, Evaluator, Lens, Trial
from dsd_plan.optimize.choices.words import counts_words, in_parts, routing_words

Key = tuple[float, int, float, int, int, str]
"""Objective, devices, TPOT, complexity of the modes, sum of the windows, spelling: lower is better."""

SIGNIFICANT_DIGITS = 4
SAME_PRICE = 1e-3
"""Relative difference of two prices, or numbers of devices, that is none."""
"""What differs beyond these digits is a tie, and the next criterion decides."""


def rounded(value: float) -> float:
    """`value` to the digits that count."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A trial, seen through a lens: how good it is, and which budget it keeps least."""

    trial: Trial
    key: Key
    objective: float
    tpot_ms: float
    worst: Limit | None
    """The budget broken most, or kept most narrowly; None where nothing was promised or nothing is known."""
    value: float | None
    """What the plan makes of `worst`."""
    excess: float
    """By what share `worst` is broken; 0 or less: every budget is kept. Infinite where saturated."""
    latency_excess: float
    """The same over the workloads' budgets alone: another replica can only lower it."""

    @property
    def kept(self) -> bool:
        """Whether every budget is kept."""
        return self.excess <= 0.0

    @property
    def latency_kept(self) -> bool:
        """Whether every workload's budgets are kept, the fleet's aside."""
        return self.latency_excess <= 0.0

    @property
    def choice(self) -> Choice:
        """The choice that was tried."""
        return self.trial.choice


class Judge:
    """Reads trials for one scenario and one objective."""

    def __init__(self, evaluator: Evaluator, lens: Lens = PLAIN) -> None:
        self.evaluator = evaluator
        self.scenario = evaluator.scenario
        self.lens = lens
        self.minimize: Objective = self.scenario.search.minimize
        self.weights = tpot_weights(self.scenario)

    def judge(self, choice: Choice) -> Judged:
        """The verdict on one choice."""
        trial = self.evaluator.trial(choice)
        cost = cost_per_hour(self.scenario, choice.counts)
        devices = device_total(self.scenario, choice.counts)
        if trial.performance is None:
            key = (inf, devices, inf, *self.simplicity(choice))
            return Judged(trial, key, inf, inf, None, None, inf, inf)
        reading = self.lens.read(trial)
        tpot_ms = self.mean_tpot_ms(reading)
        objective = self.objective(cost, devices, reading, tpot_ms)
        worst, value, excess, latency_excess = self._worst(reading)
        if objective == inf:
            excess = inf  # what is not known cannot be the least
        key = (rounded(objective), devices, rounded(tpot_ms), *self.simplicity(choice))
        return Judged(trial, key, objective, tpot_ms, worst, value, excess, latency_excess)

    def objective(self, cost: float, devices: int, reading: Reading, tpot_ms: float) -> float:
        """The number that is minimized; infinite where it is not known."""
        if self.minimize == "cost":
            return cost
        if self.minimize == "devices":
            return float(devices)
        if self.minimize == "tpot":
            return tpot_ms
        energy = reading.get((FLEET, "energy_j_per_token"))
        return inf if energy is None else energy

    def mean_tpot_ms(self, reading: Reading) -> float:
        """Mean TPOT over the workloads in a reading, weighted by the tokens they ask for."""
        total = weight_sum = 0.0
        for (scope, quantity), value in reading.items():
            if quantity == "tpot_mean_ms" and self.weights[scope] > 0.0:
                if value is None:
                    return inf
                total += self.weights[scope] * value
                weight_sum += self.weights[scope]
        return total / weight_sum if weight_sum > 0.0 else 0.0

    def simplicity(self, choice: Choice) -> tuple[int, int, str]:
        """The last parts of a key: simpler modes first, smaller windows next, spelling to leave nothing to chance."""
        complexity = choice.splits + sum(SIMPLEST_FIRST.index(part.mode) for part, _ in choice.parts)
        windows = sum(part.window or 0 for part, _ in choice.parts)
        return complexity, windows, spelling(choice)

    def _worst(self, reading: Reading) -> tuple[Limit | None, float | None, float, float]:
        worst: Limit | None = None
        worst_value: float | None = None
        worst_excess, latency_excess = -inf, -inf
        for limit in self.evaluator.limits:
            if (limit.scope, limit.quantity) not in reading:
                continue
            value = reading[limit.scope, limit.quantity]
            slack = 0.0 if limit.of_fleet else self.lens.slack
            excess = limit.excess(value, slack)
            if worst is None or excess > worst_excess:
                worst, worst_value, worst_excess = limit, value, excess
            if not limit.of_fleet:
                latency_excess = max(latency_excess, excess)
        return worst, worst_value, worst_excess, latency_excess


MOST_NAMED = 8
"""Workloads that a plan in one line names."""


def better(best: Judged | None, other: Judged) -> Judged | None:
    """The better of two, of those that keep every budget."""
    if not other.kept:
        return best
    return other if best is None or other.key < best.key else best


def spelling(choice: Choice, scenario: Scenario | None = None) -> str:
    """A choice in one line, for breaking the last ties and for messages; many workloads are counted, not named.

    Messages give the scenario: its devices are then told over all copies of their sites.
    """
    if len(choice.candidates) > MOST_NAMED:
        modes = Counter(c.served.replace("_", " ") for c in choice.candidates)
        ways = [f"{number} workloads {mode}" for mode, number in sorted(modes.items())]
        number = sum(count for _, count in choice.counts) if scenario is None else device_total(scenario, choice.counts)
        return f"{', '.join(ways)} ({number} devices of {len(choice.counts)} types)"
    served: dict[str, list[str]] = {}
    for c in choice.candidates:
        served.setdefault(in_parts(c, _served), []).append(c.workload)
    ways = [way if len(served) == 1 else f"{' + '.join(names)}: {way}" for way, names in served.items()]
    if scenario is None:
        replicas = ", ".join(f"{count} × {name}" for name, count in choice.counts)
    else:
        replicas = counts_words(scenario, choice.counts)
    return f"{'; '.join(ways)} ({replicas})"


def _served(c: Candidate) -> str:
    draft = (
        f" with {c.draft_model} on {c.draft_device}, window {c.window}{_paths(c)}{routing_words(c)}"
        if c.window is not None
        else ""
    )
    return f"{c.mode.replace('_', ' ')} on {c.target_device}{draft}"


def _paths(candidate: Candidate) -> str:
    return f" on {candidate.paths} paths" if candidate.paths > 1 else ""


def tpot_weights(scenario: Scenario) -> dict[str, float]:
    """Tokens a second that each workload asks for, whatever the plan, so that plans are weighed alike.

    Closed users are counted as if each decoded plainly and alone on the first device that can serve them.
    """
    return {workload.name: _tokens_per_s(scenario, workload) for workload in scenario.workloads}


def _tokens_per_s(scenario: Scenario, workload: Workload) -> float:
    requests = workload.requests
    copies = scenario.site(workload.site).count
    if isinstance(requests, RequestTrace):
        after_first = float(requests.output_tokens.mean()) - 1.0
        return (workload.rate_per_s or requests.rate_per_s) * after_first
    after_first = requests.output_tokens - 1.0
    if not isinstance(requests, ClosedRequests):
        return requests.rate_per_s * copies * after_first
    alone_s = 0.0
    for device in scenario.devices:
        if workload.target in device.profiles:
            surface = surface_of(device.profiles[workload.target])
            step_ms = decode_ms(surface, 1.0, 1.0, requests.prompt_tokens + after_first / 2.0)
            alone_s = (prefill_ms(surface, 1.0, requests.prompt_tokens) + after_first * step_ms) / 1000.0
            break
    cycle_s = requests.think_s + alone_s
    return requests.users * copies * after_first / cycle_s if cycle_s > 0.0 else float(requests.users)
