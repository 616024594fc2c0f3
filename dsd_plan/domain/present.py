"""The system as it is today: its plan, and what was measured of it under the load that the scenario gives."""

from __future__ import annotations

from typing import Literal

from dsd_plan.domain.performance import WorkloadPerformance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.records import Name, NonNegative, Positive, Probability, record

METRICS = ("ttft", "tpot", "itl", "e2e")
STATISTICS = ("mean", "p50", "p95", "p99")
SCALARS = ("tokens_per_s", "tokens_per_round", "acceptance_rate", "energy_j_per_token")


@record
class Measured:
    """What was measured of one workload; None: not measured."""

    workload: Name
    ttft_mean_ms: Positive | None = None
    ttft_p50_ms: Positive | None = None
    ttft_p95_ms: Positive | None = None
    ttft_p99_ms: Positive | None = None
    tpot_mean_ms: Positive | None = None
    tpot_p50_ms: Positive | None = None
    tpot_p95_ms: Positive | None = None
    tpot_p99_ms: Positive | None = None
    itl_mean_ms: Positive | None = None
    itl_p50_ms: Positive | None = None
    itl_p95_ms: Positive | None = None
    itl_p99_ms: Positive | None = None
    e2e_mean_ms: Positive | None = None
    e2e_p50_ms: Positive | None = None
    e2e_p95_ms: Positive | None = None
    e2e_p99_ms: Positive | None = None
    tokens_per_s: Positive | None = None
    tokens_per_round: Positive | None = None
    acceptance_rate: Probability | None = None
    energy_j_per_token: NonNegative | None = None

    def values(self) -> tuple[tuple[str, float], ...]:
        """(metric, value) of everything measured, metrics named as in agreements: "ttft_ms.p95", "tokens_per_s"."""
        found = []
        for metric in METRICS:
            for statistic in STATISTICS:
                value = getattr(self, f"{metric}_{statistic}_ms")
                if value is not None:
                    found.append((f"{metric}_ms.{statistic}", float(value)))
        found += [(name, float(getattr(self, name))) for name in SCALARS if getattr(self, name) is not None]
        return tuple(found)


@record
class Present:
    """The plan that runs today, and its measurements."""

    plan: Plan
    measured_at: Literal["users", "servers"] = "users"
    """Where latencies were taken; at the servers the way between is in neither TTFT nor E2E."""
    measured: tuple[Measured, ...] = ()


def value_of(workload: WorkloadPerformance, metric: str) -> float | None:
    """A metric's value by its name in agreements."""
    name, _, statistic = metric.partition(".")
    found = getattr(workload, name)
    value: float | None = getattr(found, statistic) if statistic else found
    return value
