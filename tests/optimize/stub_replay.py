"""Observations made up from the stub model: off by a known factor, with a known interval, on shared luck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.performance import Performance, Quantiles, WorkloadPerformance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.confirmation.observation import Observation
from tests.optimize import stub_model

LUCK = (-1.0, 0.3, 0.9, -0.6, 1.1, -0.7)
"""One number a replication; the same for every plan."""

Factor = Callable[[Plan], float]


def observer(
    scenario: Scenario, factor: Factor = lambda plan: 1.0, noise: float = 0.01, alone: float = 0.0
) -> Callable[[Plan], Observation]:
    """Latencies: the stub's times `factor(plan)`; replications differ by `noise`, shared, and `alone`, not shared."""

    def observe(plan: Plan) -> Observation:
        try:
            truth = stub_model.predict(deploy(scenario, plan))
        except UnstableError:
            raise AssertionError(f"a saturated plan was replayed: {plan}") from None
        own = sum(ord(letter) for letter in repr(plan)) % 7 / 7.0 - 0.5
        runs = tuple(
            scaled(truth, factor(plan) * (1.0 + noise * luck + alone * own * (-1) ** index))
            for index, luck in enumerate(LUCK)
        )
        pooled = scaled(truth, factor(plan))
        return Observation(replace(pooled, workloads=tuple(_with_ci(w, noise) for w in pooled.workloads)), runs)

    return observe


def scaled(performance: Performance, factor: float) -> Performance:
    def quantiles(q: Quantiles) -> Quantiles:
        return Quantiles(*(), **{name: getattr(q, name) * factor for name in ("mean", "p50", "p95", "p99")})

    workloads = tuple(
        replace(
            w,
            requests=1000,
            ttft_ms=quantiles(w.ttft_ms),
            tpot_ms=quantiles(w.tpot_ms),
            itl_ms=quantiles(w.itl_ms),
            e2e_ms=quantiles(w.e2e_ms),
        )
        for w in performance.workloads
    )
    return replace(performance, source="replay", workloads=workloads)


def _with_ci(workload: WorkloadPerformance, noise: float) -> WorkloadPerformance:
    ci = {
        f"{metric}.{statistic}": (value * (1 - noise), value * (1 + noise))
        for metric in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
        for statistic in ("mean", "p50", "p95", "p99")
        for value in [getattr(getattr(workload, metric), statistic)]
    }
    return replace(workload, ci=ci)
