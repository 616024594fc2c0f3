"""What a user is told when no plan keeps every budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import FleetBudgets, Scenario
from dsd_plan.errors import InfeasibleError, ScenarioError
from dsd_plan.optimize.candidates import space_of
from dsd_plan.optimize.evaluate import PLAIN, Evaluator
from dsd_plan.optimize.infeasible import why_infeasible
from dsd_plan.optimize.objective import Judge
from dsd_plan.optimize.search import search
from tests.optimize import stub_model
from tests.optimize.brute_force import best_plan
from tests.optimize.small_scenarios import chat, gpu, scenario


def why(given: Scenario) -> InfeasibleError:
    evaluator, space = Evaluator(given, stub_model.predict), space_of(given)
    assert search(Judge(evaluator), space).best is None
    error = why_infeasible(evaluator, space, PLAIN)
    assert isinstance(error, InfeasibleError)
    return error


def with_tpot_p95(given: Scenario, limit: float) -> Scenario:
    workload = replace(given.workloads[0], budgets=replace(given.workloads[0].budgets, tpot_p95_ms=limit))
    return replace(given, workloads=(workload,))


def test_the_nearest_miss_is_the_least_that_would_do() -> None:
    given = scenario(workloads=(chat(rate_per_s=20.0, tpot_p95_ms=5.0),))
    error = why(given)
    assert error.budget == "chat: tpot_p95_ms"
    assert error.limit == 5.0
    assert error.nearest > 5.0
    assert best_plan(with_tpot_p95(given, error.nearest * 1.001), stub_model.predict) is not None
    assert best_plan(with_tpot_p95(given, error.nearest * 0.98), stub_model.predict) is None
    assert f"raise chat: tpot_p95_ms from 5 to {error.nearest:.4g}" in str(error)


def test_a_price_that_is_too_low_is_named_with_the_price_that_would_do() -> None:
    given = scenario(
        workloads=(chat(rate_per_s=20.0),), budgets=FleetBudgets(cost_per_hour=3.0), modes=("target_only",)
    )
    error = why(given)
    assert error.budget == "fleet: cost_per_hour"
    dearer = best_plan(replace(given, budgets=FleetBudgets()), stub_model.predict)
    assert dearer is not None
    assert error.nearest == pytest.approx(dearer.objective)


def test_two_budgets_that_only_give_way_together_are_both_named() -> None:
    given = scenario(
        workloads=(chat(rate_per_s=30.0, tpot_p95_ms=5.0),),
        budgets=FleetBudgets(cost_per_hour=3.0),
        modes=("target_only",),
    )
    text = str(why(given))
    assert "cost_per_hour from 3 to" in text
    assert "tpot_p95_ms from 5 to" in text


def test_more_devices_are_advised_where_they_would_do() -> None:
    given = scenario(
        devices=(gpu(count=1),), workloads=(chat(rate_per_s=30.0, tpot_p95_ms=40.0),), modes=("target_only",)
    )
    text = str(why(given))
    larger = replace(given, devices=(replace(given.devices[0], count=8),))
    best = best_plan(larger, stub_model.predict)
    assert best is not None
    assert f"have {best.plan.deployments[0].count} × gpu instead of 1" in text


def test_a_load_that_nothing_can_bear_names_the_saturated_device() -> None:
    error = why(scenario(devices=(gpu(count=1),), workloads=(chat(rate_per_s=5000.0),)))
    assert error.budget == "gpu: saturation"
    assert error.limit == 1.0
    assert error.nearest > 1.0
    assert f"lower the load below {1 / error.nearest:.0%} of today's" in str(error)


@pytest.mark.parametrize("minimize", ["cost", "energy"])
def test_energy_that_nobody_knows_is_a_fault_of_the_input(minimize: str) -> None:
    law = StepLaw(step_ms=20.0, per_token_ms=0.1)
    unmeasured = replace(gpu(), profiles={"large": declared_profile("gpu", "large", law)})
    budgets = FleetBudgets(energy_j_per_token=1.0) if minimize == "cost" else None
    given = scenario(devices=(unmeasured,), budgets=budgets, minimize=minimize)
    evaluator, space = Evaluator(given, stub_model.predict), space_of(given)
    assert search(Judge(evaluator), space).best is None
    error = why_infeasible(evaluator, space, PLAIN)
    assert isinstance(error, ScenarioError)
    assert "give active_w" in str(error)


def test_a_workload_that_nothing_can_serve_is_named() -> None:
    given = scenario(devices=(replace(gpu(), memory_gib=10.0),))
    error = why_infeasible(Evaluator(given, stub_model.predict), space_of(given), PLAIN)
    assert "a way to serve chat" in str(error)
    assert "need 70.0 GiB" in str(error)
