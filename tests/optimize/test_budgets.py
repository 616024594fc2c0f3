"""Broken by how much, and judged by whom."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import FleetBudgets
from dsd_plan.errors import InfeasibleError
from dsd_plan.optimize.choices.budgets import Limit, budget_checks, limits_of, power_of_one, quantity_of
from dsd_plan.optimize.choices.candidates import full_counts, plan_of, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import PLAIN, Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.search.search import search
from dsd_plan.optimize.verdict.infeasible import why_infeasible
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import scaled


def test_excess_is_the_share_by_which_a_limit_is_broken() -> None:
    ceiling = Limit("chat", "tpot_p95_ms", 40.0)
    assert ceiling.excess(50.0) == pytest.approx(0.25)
    assert ceiling.excess(30.0) == pytest.approx(-0.25)
    assert ceiling.excess(None) == inf
    floor = Limit("chat", "goodput_share", 0.9)
    assert floor.excess(0.75) == pytest.approx(0.2)
    assert floor.excess(1.0) == pytest.approx(-0.1)
    assert floor.excess(0.0) == inf


def test_slack_loosens_ceilings_and_floors_alike() -> None:
    assert Limit("chat", "tpot_p95_ms", 40.0).excess(44.0, slack=0.1) == pytest.approx(0.0)
    assert Limit("chat", "goodput_share", 0.88).excess(0.8, slack=0.1) == pytest.approx(0.0)
    assert Limit("chat", "tpot_p95_ms", 40.0).excess(39.0, slack=-0.1) > 0.0


def test_a_fleet_that_may_cost_nothing_is_kept_by_nothing_else() -> None:
    assert Limit("fleet", "cost_per_hour", 0.0).excess(0.0) < 0.0
    assert Limit("fleet", "cost_per_hour", 0.0).excess(0.01) == inf


def test_every_budget_of_a_scenario_is_found() -> None:
    given = scenario(
        workloads=(chat(tpot_p95_ms=40.0, goodput_share=0.9), chat(name="notes", ttft_p50_ms=300.0)),
        budgets=FleetBudgets(cost_per_hour=9.0, energy_j_per_token=2.0),
    )
    assert [str(limit) for limit in limits_of(given)] == [
        "chat: tpot_p95_ms",
        "chat: goodput_share",
        "notes: ttft_p50_ms",
        "fleet: energy_j_per_token",
        "fleet: cost_per_hour",
    ]


def test_a_budget_that_only_the_model_keeps_is_not_kept() -> None:
    given = scenario(workloads=(chat(tpot_p95_ms=30.0),))
    plain = space_of(given).by_workload[0][:1]
    predicted = stub_model.predict(deploy(given, plan_of(given, Choice(plain, full_counts(given, plain)))))
    given = scenario(workloads=(chat(tpot_p95_ms=1.05 * (quantity_of(predicted, "chat", "tpot_p95_ms") or 0.0)),))
    assert [check.kept for check in budget_checks(given, predicted, None)] == [True]
    (check,) = budget_checks(given, predicted, scaled(predicted, 1.1))
    assert not check.kept
    assert check.replayed is not None
    assert check.replayed.point == pytest.approx(1.1 * (check.predicted or 0.0))


def test_requests_of_one_token_keep_every_budget_between_tokens() -> None:
    """There is no gap that could be too long; without a steady state nothing is kept."""
    given = scenario(workloads=(chat(tpot_p95_ms=30.0, itl_p99_ms=50.0, ttft_p95_ms=900.0),))
    plain = space_of(given).by_workload[0][:1]
    predicted = stub_model.predict(deploy(given, plan_of(given, Choice(plain, full_counts(given, plain)))))
    unknown = predicted.workloads[0].tpot_ms.__class__()
    one_token = replace(predicted.workloads[0], tpot_ms=unknown, itl_ms=unknown)
    told = replace(predicted, workloads=(one_token,))
    checks = budget_checks(given, told, told)
    assert all(check.kept for check in checks)
    assert {check.budget for check in checks if check.predicted is None and check.replayed is None} == {
        "tpot_p95_ms",
        "itl_p99_ms",
    }
    nothing = replace(one_token, ttft_ms=unknown, e2e_ms=unknown)
    assert not any(check.kept for check in budget_checks(given, replace(predicted, workloads=(nothing,)), None))


def test_power_is_of_one_device_and_kept_by_devices_that_are_not_there() -> None:
    """Two GPUs of 75 W idle and 600 W at work: the stub's busy share of each, and nothing of what is not deployed."""
    given = scenario(budgets=FleetBudgets(power_w={"gpu": 400.0, "edge-box": 10.0}))
    plain = space_of(given).by_workload[0][:1]
    predicted = stub_model.predict(deploy(given, plan_of(given, Choice(plain, (("gpu", 2),)))))
    busy = predicted.devices[0].busy or 0.0
    gpu, box = budget_checks(given, predicted, None)
    assert (gpu.scope, gpu.budget, gpu.limit) == ("gpu", "power_w", 400.0)
    assert gpu.predicted == pytest.approx(75.0 + busy * 525.0)
    assert gpu.kept == (75.0 + busy * 525.0 <= 400.0)
    assert (box.predicted, box.kept) == (0.0, True)
    unknown = replace(predicted, devices=tuple(replace(device, power_w=None) for device in predicted.devices))
    assert not budget_checks(given, unknown, None)[0].kept


def test_a_power_limit_buys_another_device() -> None:
    """At one GPU it draws 75 + busy · 525 W; what is below that takes a second one, at the least cost."""
    free = search(Judge(Evaluator(given := scenario(), stub_model.predict)), space_of(given)).best
    assert free is not None
    assert free.trial.performance is not None
    draws = power_of_one(free.trial.performance, "gpu") or 0.0
    limited = replace(given, budgets=FleetBudgets(power_w={"gpu": 0.95 * draws}))
    judge = Judge(Evaluator(limited, stub_model.predict))
    found = search(judge, space_of(limited)).best
    assert found is not None
    assert found.trial.performance is not None
    assert (power_of_one(found.trial.performance, "gpu") or 0.0) <= 0.95 * draws
    assert found.objective >= free.objective
    impossible = replace(given, budgets=FleetBudgets(power_w={"gpu": 70.0}))
    evaluator = Evaluator(impossible, stub_model.predict)
    assert search(Judge(evaluator), space_of(impossible)).best is None
    reason = why_infeasible(evaluator, space_of(impossible), PLAIN)
    assert isinstance(reason, InfeasibleError)
    assert (reason.budget, reason.limit) == ("gpu: power_w", 70.0)
    assert reason.nearest > 75.0


def test_a_power_limit_without_a_known_power_is_refused() -> None:
    law = StepLaw(step_ms=4.0)
    mute = replace(edge_box(), idle_w=None, profiles={"small": declared_profile("edge-box", "small", law)})
    given = scenario(devices=(mute, gpu()), budgets=FleetBudgets(power_w={"edge-box": 20.0, "gpu": 500.0}))
    (problem,) = scenario_problems(given)
    assert problem.place == 'budgets.power_w["edge-box"]'
    assert "give its idle_w and active_w in its profile of small" in problem.text


@pytest.mark.parametrize(
    ("scope", "quantity", "words"),
    [
        ("chat", "tpot_p95_ms", "TPOT p95 of chat"),
        ("chat", "ttft_p99_ms", "TTFT p99 of chat"),
        ("chat", "goodput_share", "goodput share of chat"),
        ("fleet", "cost_per_hour", "cost an hour of the fleet"),
        ("gpu", "power_w", "power of gpu"),
    ],
)
def test_a_budget_in_a_sentence_is_no_key(scope: str, quantity: str, words: str) -> None:
    assert Limit(scope, quantity, 1.0).words == words
