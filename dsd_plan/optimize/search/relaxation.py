"""What a workload would need and get if it had every device to itself: no plan can do better by it.

Sound as long as another replica never slows a workload and another workload never speeds one up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, inf

from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.optimize.choices.budgets import FLEET
from dsd_plan.optimize.choices.candidates import Space, cost_per_hour, device_total, full_counts, site_copies
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts
from dsd_plan.optimize.choices.objective import Judge, rounded
from dsd_plan.optimize.choices.replicas import least_count

LowerKey = tuple[float, int, float, int, int]
"""A lower bound on a key, part by part, without the spelling."""


@dataclass(frozen=True, slots=True, eq=False)
class Alone:
    """One candidate with all devices to itself."""

    candidate: Candidate
    least: Mapping[str, int]
    """By device type: fewest replicas that keep the workload's budgets while all others are deployed in full."""
    work: Mapping[str, float]
    """By device type: replicas kept busy at full batches; 0 for closed users, who ask less where it is slow."""
    tpot_ms: float
    """Mean TPOT with every device deployed."""


def alone_by_workload(judge: Judge, space: Space) -> tuple[tuple[Alone, ...], ...]:
    """The candidates that keep their own workload's budgets when alone; the others can be in no plan."""
    return tuple(
        tuple(found for candidate in group if (found := _alone(judge, candidate)) is not None)
        for group in space.by_workload
    )


def _alone(judge: Judge, candidate: Candidate) -> Alone | None:
    chosen = (candidate,)
    counts = full_counts(judge.scenario, chosen)
    judged = judge.judge(Choice(chosen, counts))
    performance = judged.trial.performance
    if performance is None or not judged.latency_kept:
        return None
    closed = isinstance(judge.scenario.workload(candidate.workload).requests, ClosedRequests)
    saturation = {device.name: device.saturation for device in performance.devices}
    work, least = {}, {}
    for name, count in counts:
        work[name] = 0.0 if closed else (saturation.get(name) or 0.0) * count
        least[name] = least_count(judge, chosen, counts, name, floor(work[name]) + 1)
    return Alone(candidate, least, work, judged.tpot_ms)


def undominated(group: tuple[Alone, ...]) -> tuple[Alone, ...]:
    """Without the candidates that another on the same devices beats, or equals, in TPOT, work and replicas alike."""
    kept: list[Alone] = []
    for one in sorted(group, key=lambda found: (found.tpot_ms, found.candidate.window or 0)):
        if not any(_dominates(other, one) for other in kept):
            kept.append(one)
    return tuple(kept)


def _dominates(other: Alone, one: Alone) -> bool:
    return (
        other.candidate.devices == one.candidate.devices
        and other.candidate.mode == one.candidate.mode
        and other.tpot_ms <= one.tpot_ms
        and all(other.work[name] <= one.work[name] and other.least[name] <= one.least[name] for name in one.work)
    )


class Bounds:
    """Lower bounds on keys of whole plans, from what every workload needs alone."""

    def __init__(self, judge: Judge, alone: tuple[tuple[Alone, ...], ...]) -> None:
        self.judge = judge
        self.scenario = judge.scenario
        self.of = {found.candidate: found for group in alone for found in group}
        self._tokens_per_s = open_tokens_per_s(self.scenario)
        self.trust = trust_in(self.scenario)

    def least_counts(self, chosen: tuple[Candidate, ...]) -> Counts | None:
        """Fewest replicas of each device type that could do; None: not even all that are there."""
        full = full_counts(self.scenario, chosen)
        found = []
        for name, there in full:
            work = sum(self.of[c].work.get(name, 0.0) for c in chosen) * self.trust
            need = max(floor(work) + 1, *(self.of[c].least.get(name, 1) for c in chosen))
            if need > there:
                return None
            found.append((name, need))
        return tuple(found)

    def key(self, chosen: tuple[Candidate, ...], counts: Counts, tpot_ms: float | None = None) -> LowerKey:
        """No plan with these candidates and at least these counts has a smaller key.

        `tpot_ms`: a better bound on the mean TPOT, where one is known.
        """
        tpot_ms = max(self.tpot_ms(chosen), tpot_ms or 0.0)
        cost = cost_per_hour(self.scenario, counts)
        devices = device_total(self.scenario, counts)
        minimize = self.judge.minimize
        if minimize == "cost":
            objective = cost
        elif minimize == "devices":
            objective = float(devices)
        elif minimize == "tpot":
            objective = tpot_ms
        else:
            objective = self.energy_j_per_token(chosen, counts)
        complexity, windows, _ = self.judge.simplicity(Choice(chosen, counts))
        return rounded(objective), devices, rounded(tpot_ms), complexity, windows

    def tpot_ms(self, chosen: tuple[Candidate, ...]) -> float:
        """Mean TPOT if no workload met another."""
        weights = self.judge.weights
        total = sum(weights[c.workload] for c in chosen)
        if total <= 0.0:
            return 0.0
        return sum(weights[c.workload] * self.of[c].tpot_ms for c in chosen) / total

    def energy_j_per_token(self, chosen: tuple[Candidate, ...], counts: Counts) -> float:
        """Idle power of what is deployed and active power of the work at full batches, a token; 0 with closed users."""
        if self._tokens_per_s is None:
            return 0.0
        work = {name: sum(self.of[c].work.get(name, 0.0) for c in chosen) for name, _ in counts}
        factor = self.judge.lens.factors.get((FLEET, "", "energy_j_per_token"), 1.0)
        return factor * power_w(self.scenario, counts, work) / self._tokens_per_s


def power_w(scenario: Scenario, counts: Counts, work: Mapping[str, float]) -> float:
    """Idle power of what is deployed and active power of its work at full batches, over all copies of sites.

    `work` is a copy's, by device type.
    """
    total_w = 0.0
    for name, count in counts:
        device = scenario.device(name)
        profiles = device.profiles.values()
        idle_w = device.idle_w or min((p.idle_w or 0.0 for p in profiles), default=0.0)
        active_w = min((p.active_w or 0.0 for p in profiles), default=0.0)
        copies = site_copies(scenario, device)
        total_w += idle_w * count * copies + max(active_w - idle_w, 0.0) * (work[name] * copies)
    return total_w


def trust_in(scenario: Scenario) -> float:
    """Share of the work added up that a plan surely asks.

    Saturations add up exactly for affine laws; measured surfaces bend, so they are trusted a little less.
    """
    measured = any(profile.points for device in scenario.devices for profile in device.profiles.values())
    return 0.9 if measured else 1.0 - 1e-9


def open_tokens_per_s(scenario: Scenario) -> float | None:
    """Output tokens a second that open workloads ask for; None where closed users make it depend on the plan."""
    total = 0.0
    for workload in scenario.workloads:
        requests = workload.requests
        if isinstance(requests, ClosedRequests):
            return None
        if isinstance(requests, RequestTrace):
            total += (workload.rate_per_s or requests.rate_per_s) * float(requests.output_tokens.mean())
        else:
            copies = scenario.site(workload.site).count
            total += requests.rate_per_s * requests.output_tokens * copies
    return total if total > 0.0 else inf
