"""The capacity in a study follows the replay of its plan, so that it says the same as its tipping points."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.capacity.as_replayed import as_replayed
from dsd_plan.capacity.breaking import RESOLUTION
from dsd_plan.capacity.run import capacity_of
from dsd_plan.domain.performance import Performance, Quantiles
from dsd_plan.domain.scenario import FleetBudgets
from dsd_plan.model import predict
from tests.model.systems import Chat, system

DEPLOYED = system(Chat(mode="target_only", rate_per_s=0.5), batch_cap=8)
PREDICTED = predict(DEPLOYED)


def seen(factor: float) -> Performance:
    (one,) = PREDICTED.workloads
    tpot = Quantiles(p95=(one.tpot_ms.p95 or 0.0) * factor)
    return replace(PREDICTED, source="replay", workloads=(replace(one, tpot_ms=tpot),))


def test_a_budget_breaks_where_the_model_meets_what_is_left_of_it() -> None:
    """The replay is 10 % slower: a budget of 33 ms breaks where the model says 30 ms."""
    (workload,) = DEPLOYED.scenario.workloads
    at_light_load = PREDICTED.workloads[0].tpot_ms.p95
    assert at_light_load is not None

    def load(factor: float, model: float) -> float | None:
        budgets = replace(workload.budgets, tpot_p95_ms=1.15 * at_light_load * factor)
        given = replace(DEPLOYED.scenario, workloads=(replace(workload, budgets=budgets),), budgets=FleetBudgets())
        return capacity_of(given, DEPLOYED.plan, as_replayed(predict, PREDICTED, seen(model))).load

    assert load(1.1, 1.1) == pytest.approx(load(1.0, 1.0), rel=2 * RESOLUTION)
    tighter, looser = load(1.0, 1.1), load(1.0, 1.0)
    assert tighter is not None
    assert looser is not None
    assert tighter < looser


def test_what_the_replay_does_not_know_stays_as_it_was() -> None:
    found = as_replayed(predict, PREDICTED, seen(2.0))(DEPLOYED)
    assert found.workloads[0].ttft_ms == PREDICTED.workloads[0].ttft_ms
    assert found.workloads[0].tpot_ms.mean == PREDICTED.workloads[0].tpot_ms.mean
    assert found.workloads[0].tpot_ms.p95 == pytest.approx(2.0 * (PREDICTED.workloads[0].tpot_ms.p95 or 0.0))
    assert as_replayed(predict, PREDICTED, replace(seen(2.0), steady=False)) is predict
