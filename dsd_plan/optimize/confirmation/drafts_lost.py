"""What is left of a plan at its peak load when every draft away from its target is gone, and what would survive it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf

from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import BudgetCheck
from dsd_plan.domain.study_decision import BrokenBudget, DraftsLost
from dsd_plan.errors import InfeasibleError
from dsd_plan.optimize.choices.budgets import MANY_WORKLOADS, budget_checks
from dsd_plan.optimize.choices.candidates import cost_per_hour, site_copies
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts
from dsd_plan.optimize.choices.evaluate import Evaluator, Trial
from dsd_plan.optimize.choices.objective import Judge, Judged
from dsd_plan.optimize.choices.replicas import fitted_counts
from dsd_plan.optimize.choices.words import number
from dsd_plan.optimize.confirmation.confirm import Confirmation

MOST_TYPES = 4
"""Target types up to which the fewest replicas of each are looked for; beyond, all are raised alike."""
RAISES, FEW_RAISES = 5, 3
"""Halvings when all types are raised alike; of many workloads, whose predictions take a second each, fewer."""


def drafts_away(candidate: Candidate) -> bool:
    """Whether its draft runs on another device than its target, and may be lost while the target stays."""
    return candidate.draft_device is not None and candidate.draft_device != candidate.target_device


def _plain(candidate: Candidate) -> Candidate:
    """What drafts elsewhere decodes plainly; parts of split traffic that come to be served alike become one."""
    head = candidate.head
    if drafts_away(head):
        head = Candidate(head.workload, "target_only", head.target_model, head.target_device)
    if candidate.rest is None:
        return head
    rest = _plain(candidate.rest)
    return head if rest == head else replace(head, rest=rest, share=candidate.share)


class Survival:
    """Assesses choices, each once; `degraded_budgets` stand in for the budgets of workloads that have some."""

    def __init__(self, confirmation: Confirmation, peak: float = 1.0) -> None:
        scenario = confirmation.evaluator.scenario
        self.scenario = scenario
        self.accepted = any(workload.degraded_budgets is not None for workload in scenario.workloads)
        self._peak = peak
        self._confirmation = confirmation
        self._evaluator = Evaluator(_degraded(scenario), confirmation.evaluator.predict)
        self._known: dict[Choice, DraftsLost | None] = {}

    def of(self, choice: Choice) -> DraftsLost | None:
        """The assessment of one choice; None where no draft of it can be lost."""
        if choice not in self._known:
            lost = self.without_drafts(choice)
            self._known[choice] = None if lost is None else self._assess(choice, lost)
        return self._known[choice]

    def without_drafts(self, choice: Choice) -> Choice | None:
        """The same targets, on which every stream that drafts elsewhere decodes plainly; None where none does."""
        if not any(drafts_away(part) for part, _ in choice.parts):
            return None
        plain = tuple(_plain(candidate) for candidate in choice.candidates)
        used = {name for candidate in plain for name in candidate.devices}
        return Choice(plain, tuple((name, count) for name, count in choice.counts if name in used))

    def allows(self, choice: Choice) -> bool:
        """Whether a choice keeps the degraded budgets; where none are given every choice does."""
        return not self.accepted or self.lasts(choice)

    def lasts(self, choice: Choice) -> bool:
        """Whether the targets of a choice survive the loss of every draft, or there is none to lose."""
        lost = self.of(choice)
        return lost is None or lost.survives

    def refused(self, choices: Iterable[Choice]) -> InfeasibleError | None:
        """The error where these keep every budget and lose them with their drafts; None without any."""
        for choice in choices:
            lost = self.of(choice)
            if lost is not None and lost.saturates is not None:
                where, limit, value = f"{lost.saturates}: saturation", 1.0, lost.saturation or inf
            elif lost is not None and lost.broken:
                first = lost.broken[0]
                where, limit, value = f"{first.scope}: {first.budget}", first.limit, first.value or inf
            else:
                continue
            advice = "loosen degraded_budgets, or give more targets"
            return InfeasibleError(f"{where} with every draft lost", limit, value, advice)
        return None

    def trial(self, lost: Choice) -> Trial:
        """The model's word on what is left."""
        return self._evaluator.trial(lost)

    def checks(self, lost: Trial) -> tuple[BudgetCheck, ...]:
        """What is left beside the budgets that count then."""
        return budget_checks(self._evaluator.scenario, lost.performance, None)

    def needed(self, choice: Choice) -> Choice | None:
        """The choice with as many targets as survive; None where it survives as it is, or all that are there do not."""
        lost = self.of(choice)
        if lost is None or lost.survives or lost.targets_needed is None:
            return None
        copies = {device.name: site_copies(self.scenario, device) for device in self.scenario.devices}
        more = {name: count // copies[name] for name, count in lost.targets_needed.items()}
        return replace(choice, counts=tuple((name, more.get(name, count)) for name, count in choice.counts))

    def _judge(self) -> Judge:
        # Degraded budgets may ask for other numbers than those that were read from the replays.
        lens = self._confirmation.lens
        return Judge(self._evaluator, replace(lens, observed={}) if self.accepted else lens)

    def _assess(self, choice: Choice, lost: Choice) -> DraftsLost:
        judge = self._judge()
        found = judge.judge(lost)
        enough = lost.counts if found.latency_kept else self._enough(judge, lost)
        extra = None if enough is None else self._price(enough) - self._price(lost.counts)
        targets, needed = self._whole(lost.counts), None if enough is None else self._whole(enough)
        saturates, saturation = _busiest(found.trial)
        worst = None if found.worst is None or not found.worst.of_workload else found.worst.scope
        if worst is None and found.trial.performance is not None:
            worst = max(
                found.trial.performance.workloads, key=lambda w: (w.tpot_ms.p95 or inf, w.ttft_ms.p95 or inf)
            ).name
        seen = None if found.trial.performance is None or worst is None else found.trial.performance.workload(worst)
        broken = _broken(judge, found)
        return DraftsLost(
            survives=found.latency_kept,
            accepted=self.accepted,
            peak=self._peak,
            saturates=saturates,
            saturation=saturation,
            worst_workload=worst,
            ttft_p95_ms=None if seen is None else seen.ttft_ms.p95,
            tpot_p95_ms=None if seen is None else seen.tpot_ms.p95,
            broken=broken,
            targets=targets,
            targets_needed=needed,
            extra_cost_per_hour=extra,
            sentence=self._sentence(found, broken, saturates, saturation, targets, needed, extra),
        )

    def _enough(self, judge: Judge, lost: Choice) -> Counts | None:
        """Fewest replicas that survive, from those deployed on; None where all that are there do not."""
        full = tuple((name, judge.scenario.device(name).usable) for name, _ in lost.counts)
        if full == lost.counts or not judge.judge(replace(lost, counts=full)).latency_kept:
            return None
        if len(full) <= MOST_TYPES:
            return fitted_counts(judge, lost.candidates, lost.counts, full)
        return _raised(judge, lost, full)

    def _price(self, counts: Counts) -> float:
        return cost_per_hour(self.scenario, counts)

    def _whole(self, counts: Counts) -> dict[str, int]:
        return {name: count * site_copies(self.scenario, self.scenario.device(name)) for name, count in counts}

    def _sentence(
        self,
        found: Judged,
        broken: Sequence[BrokenBudget],
        saturates: str | None,
        saturation: float | None,
        targets: dict[str, int],
        needed: dict[str, int] | None,
        extra: float | None,
    ) -> str:
        kind = "degraded budget" if self.accepted else "budget"
        if found.latency_kept:
            if found.worst is None or not found.worst.of_workload or found.value is None:
                return (
                    f"with every draft lost at peak the targets stay stable ({number(saturation)} of what they can do)"
                )
            return (
                f"with every draft lost at peak the targets survive: {found.worst} {number(found.value)} for a {kind} "
                f"of {number(found.worst.limit)}"
            )
        if saturates is not None:
            what = f"{saturates} saturates ({number(saturation)} of the work it can do)"
        else:
            first = broken[0] if broken else None
            what = (
                "the targets find no steady state"
                if first is None or first.value is None
                else f"{first.scope}: {first.budget} is {number(first.value)} for a {kind} of {number(first.limit)}"
            )
        if needed is None:
            return f"with every draft lost at peak {what}, and not all targets that are there survive that"
        more = ", ".join(
            f"{count} {name} instead of {targets[name]}" for name, count in needed.items() if count != targets[name]
        )
        price = f", {number(extra)} an hour more" if extra else ""
        return f"with every draft lost at peak {what}; {more} would survive{price}"


def _degraded(scenario: Scenario) -> Scenario:
    """The scenario with the budgets that its users accept while every draft is gone."""
    return replace(
        scenario,
        workloads=tuple(
            w if w.degraded_budgets is None else replace(w, budgets=w.degraded_budgets) for w in scenario.workloads
        ),
    )


def _raised(judge: Judge, lost: Choice, full: Counts) -> Counts:
    """All types raised by one share of what is left of them, the smallest that survives, to a 32nd or an eighth."""
    low, high = 0.0, 1.0
    for _ in range(FEW_RAISES if len(lost.candidates) >= MANY_WORKLOADS else RAISES):
        middle = (low + high) / 2.0
        if judge.judge(replace(lost, counts=_between(lost.counts, full, middle))).latency_kept:
            high = middle
        else:
            low = middle
    return _between(lost.counts, full, high)


def _between(low: Counts, high: Counts, share: float) -> Counts:
    return tuple(
        (name, count + -int(-share * (most - count) // 1)) for (name, count), (_, most) in zip(low, high, strict=True)
    )


def _busiest(trial: Trial) -> tuple[str | None, float | None]:
    """The device type that saturates (None: none does), and the saturation of the busiest."""
    if trial.saturated is not None:
        return trial.saturated
    devices = () if trial.performance is None else trial.performance.devices
    return None, max((device.saturation for device in devices if device.saturation is not None), default=None)


def _broken(judge: Judge, found: Judged) -> tuple[BrokenBudget, ...]:
    """Budgets of workloads that are not kept, the worst first; none are told where there is no performance."""
    if found.trial.performance is None:
        return ()
    reading = judge.lens.read(found.trial)
    rows = [
        (limit.excess(value), BrokenBudget(scope=limit.scope, budget=limit.quantity, limit=limit.limit, value=value))
        for limit in judge.evaluator.limits
        if not limit.of_fleet and limit.excess(value := reading.get((limit.scope, limit.quantity))) > 0.0
    ]
    return tuple(row for _, row in sorted(rows, key=lambda pair: -pair[0]))
