"""A plan over the hours of the day: sized at the peak, with as few on-demand devices as each other hour allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

from dsd_plan.domain.hours import HOURS, HOURS_A_MONTH, factors_at, varies, with_factors
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study_decision import HourOfDay
from dsd_plan.optimize.choices.budgets import MANY_WORKLOADS
from dsd_plan.optimize.choices.candidates import cost_per_hour, site_copies
from dsd_plan.optimize.choices.choice import Choice, Counts
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge, Judged, tpot_weights
from dsd_plan.optimize.choices.replicas import fitted_counts
from dsd_plan.optimize.confirmation.confirm import Confirmation

BUCKET = 0.05
"""Loads of hours are rounded up to these shares of the peak; hours that come to the same are worked out once."""

Level = tuple[float, ...]


class Days:
    """Choices over the day, each once. The confirmation's scenario is that of the peak hour."""

    def __init__(self, confirmation: Confirmation) -> None:
        self.scenario = confirmation.evaluator.scenario
        self.flat = not varies(self.scenario) or len(self.scenario.workloads) >= MANY_WORKLOADS
        """Nothing varies, or the fleet is so large that every hour is taken for the peak."""
        self._confirmation = confirmation
        self._evaluators: dict[Level, Evaluator] = {}
        self._known: dict[Choice, tuple[HourOfDay, ...]] = {}
        self._worst: dict[Choice, tuple[float | None, float | None]] = {}

    def of(self, choice: Choice) -> tuple[HourOfDay, ...]:
        """A row an hour; none where nothing varies."""
        if choice not in self._known:
            self._known[choice] = () if self.flat else self._day(choice)
        return self._known[choice]

    def cost_per_hour(self, choice: Choice) -> float:
        """Mean over the day."""
        rows = self.of(choice)
        return sum(row.cost for row in rows) / len(rows) if rows else cost_per_hour(self.scenario, choice.counts)

    def cost_per_month(self, choice: Choice) -> float:
        """Of 730 hours."""
        return HOURS_A_MONTH * self.cost_per_hour(choice)

    def worst_p95_ms(self, choice: Choice) -> tuple[float | None, float | None]:
        """Largest predicted p95 of TTFT and of TPOT of any workload in any hour; None where one has no steady state."""
        if self.flat:
            return _worst_p95_ms(self._confirmation.evaluator.trial(choice).performance)
        self.of(choice)
        return self._worst[choice]

    def _day(self, choice: Choice) -> tuple[HourOfDay, ...]:
        weights = tpot_weights(self.scenario)
        asked = [
            sum(weights[w.name] * factor for w, factor in zip(self.scenario.workloads, factors, strict=True))
            for factors in (factors_at(self.scenario, hour) for hour in range(HOURS))
        ]
        busiest = max(asked) or 1.0
        found: dict[Level, tuple[Judge, Judged]] = {}
        rows = []
        for hour in range(HOURS):
            level = _bucket(factors_at(self.scenario, hour))
            if level not in found:
                found[level] = self._at(choice, level)
            rows.append(self._row(hour, asked[hour] / busiest, choice, *found[level]))
        worsts = [_worst_p95_ms(judged.trial.performance) for _, judged in found.values()]
        ttfts, tpots = zip(*worsts, strict=True)
        self._worst[choice] = (
            None if None in ttfts else max(value for value in ttfts if value is not None),
            None if None in tpots else max(value for value in tpots if value is not None),
        )
        return tuple(rows)

    def _at(self, choice: Choice, level: Level) -> tuple[Judge, Judged]:
        """The choice at a level of load, on the fewest on-demand devices that keep every workload's budgets."""
        if min(level) >= 1.0:
            judge = Judge(self._confirmation.evaluator, self._confirmation.lens)
            return judge, judge.judge(choice)
        if level not in self._evaluators:
            scenario = with_factors(self.scenario, level)
            self._evaluators[level] = Evaluator(scenario, self._confirmation.evaluator.predict)
        # What was observed was observed at the peak.
        judge = Judge(self._evaluators[level], replace(self._confirmation.lens, observed={}))
        full = judge.judge(choice)
        if not full.latency_kept:
            return judge, full
        low: Counts = tuple((name, 1 if self._on_demand(name) else count) for name, count in choice.counts)
        counts = fitted_counts(judge, choice.candidates, low, choice.counts)
        return judge, judge.judge(replace(choice, counts=counts))

    def _on_demand(self, device: str) -> bool:
        return self.scenario.device(device).commitment == "on_demand"

    def _row(self, hour: int, load: float, choice: Choice, judge: Judge, judged: Judged) -> HourOfDay:
        counts = judged.choice.counts
        name, budget, share = _nearest(judge, judged)
        performance = judged.trial.performance
        seen = None if performance is None or name is None else performance.workload(name)
        return HourOfDay(
            hour=hour,
            load=load,
            devices=self._whole(counts),
            cost=cost_per_hour(self.scenario, counts),
            workload=name,
            ttft_p95_ms=None if seen is None else seen.ttft_ms.p95,
            tpot_p95_ms=None if seen is None else seen.tpot_ms.p95,
            budget=budget,
            budget_share=share,
            kept=judged.latency_kept,
        )

    def _whole(self, counts: Counts) -> dict[str, int]:
        return {name: count * site_copies(self.scenario, self.scenario.device(name)) for name, count in counts}


def _bucket(factors: tuple[float, ...]) -> Level:
    return tuple(max(BUCKET, min(1.0, BUCKET * ceil(round(factor / BUCKET, 9)))) for factor in factors)


def _nearest(judge: Judge, judged: Judged) -> tuple[str | None, str | None, float | None]:
    """The workload nearest to its budgets, that budget, value over limit; else the workload with the longest TPOT."""
    if judged.trial.performance is None:
        return None, None, None
    reading: Mapping[tuple[str, str], float | None] = judge.lens.read(judged.trial)
    shares = [
        (1.0 + limit.excess(value), limit)
        for limit in judge.evaluator.limits
        if not limit.of_fleet and (value := reading.get((limit.scope, limit.quantity))) is not None
    ]
    if shares:
        share, limit = max(shares, key=lambda pair: pair[0])
        return limit.scope, limit.quantity, share
    slowest = max(judged.trial.performance.workloads, key=lambda w: w.tpot_ms.p95 or 0.0)
    return slowest.name, None, None


def _worst_p95_ms(performance: Performance | None) -> tuple[float | None, float | None]:
    if performance is None:
        return None, None
    ttfts = [w.ttft_ms.p95 for w in performance.workloads if w.ttft_ms.p95 is not None]
    tpots = [w.tpot_ms.p95 for w in performance.workloads if w.tpot_ms.p95 is not None]
    return max(ttfts, default=None), max(tpots, default=None)


def day_words(days: Days, chosen: Choice, plain: Choice | None) -> str:
    """What a month costs over the day's hours, as the end of a verdict; nothing where no hour differs."""
    if days.flat:
        return ""
    mine = f" A month costs {days.cost_per_month(chosen):,.0f} over the hours of the day"
    if plain is None or plain == chosen:
        return f"{mine}."
    return f"{mine}, plain decoding {days.cost_per_month(plain):,.0f}."
