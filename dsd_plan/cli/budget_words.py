"""Which latency budgets a performance keeps, in one sentence, and many workloads in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsd_plan.report.numbers import given_quantity, label, milliseconds, share

if TYPE_CHECKING:
    from dsd_plan.domain.performance import Performance, WorkloadPerformance
    from dsd_plan.domain.workload import Budgets

MOST_NAMED = 3
METRICS = (("ttft", "p95"), ("tpot", "mean"), ("tpot", "p95"))
"""What is told of each of many workloads."""


@dataclass(frozen=True, slots=True)
class Held:
    """One latency budget and what became of it."""

    workload: str
    metric: str
    """e.g. "tpot_ms.p95"."""
    value: float
    limit: float

    @property
    def kept(self) -> bool:
        """Whether the value is within the limit."""
        return self.value <= self.limit

    @property
    def words(self) -> str:
        """TPOT p95 of chat 62.5 ms of 50 ms."""
        limit = given_quantity(self.metric, self.limit)
        return f"{label(self.metric)} of {self.workload} {milliseconds(self.value)} of {limit}"


def held(performance: Performance, budgets: Mapping[str, Budgets]) -> list[Held]:
    """Every latency budget whose value is known, the tightest first: what is broken stands in front."""
    found = [row for workload in performance.workloads for row in _of(workload, budgets[workload.name])]
    return sorted(found, key=lambda row: -row.value / row.limit)


def _of(workload: WorkloadPerformance, budgets: Budgets) -> Iterator[Held]:
    for metric, statistic, limit in budgets.limits():
        value = getattr(getattr(workload, f"{metric}_ms"), statistic)
        if value is not None:
            yield Held(workload.name, f"{metric}_ms.{statistic}", value, limit)


def budget_sentence(performance: Performance, budgets: Mapping[str, Budgets]) -> str:
    """Whether every latency budget is kept; the tightest, or those that are broken. Empty where there is none."""
    rows = held(performance, budgets)
    if not rows:
        return ""
    broken = [row for row in rows if not row.kept]
    if not broken:
        which = "its latency budget" if len(rows) == 1 else f"all {len(rows):,} latency budgets"
        return f"✓ Keeps {which}; {'it takes' if len(rows) == 1 else 'the tightest:'} {rows[0].words}."
    which = "its latency budget" if len(rows) == 1 else f"{len(broken):,} of {len(rows):,} latency budgets"
    more = f", and {len(broken) - MOST_NAMED:,} more" if len(broken) > MOST_NAMED else ""
    return f"✗ Breaks {which}: {', '.join(row.words for row in broken[:MOST_NAMED])}{more}."


def workload_rows(performance: Performance, budgets: Mapping[str, Budgets]) -> list[tuple[str, ...]]:
    """A row a workload, that with the tightest budget first: latencies, share within budget, budgets kept."""
    rows = held(performance, budgets)
    order = {name: at for at, name in reversed(list(enumerate(row.workload for row in rows)))}
    told = sorted(performance.workloads, key=lambda workload: order.get(workload.name, len(rows)))
    return [_row(workload, [row for row in rows if row.workload == workload.name]) for workload in told]


def _row(workload: WorkloadPerformance, budgets: list[Held]) -> tuple[str, ...]:
    values = [milliseconds(getattr(getattr(workload, f"{metric}_ms"), statistic)) for metric, statistic in METRICS]
    broken = [label(row.metric) for row in budgets if not row.kept]
    kept = "" if not budgets else f"✗ {', '.join(broken)}" if broken else "✓"
    return workload.name, *values, share(workload.slo_attainment), kept
