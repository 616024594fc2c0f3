"""The public functions on the real model and the real replay."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import as_file, files

import pytest

from dsd_plan import crosscheck, load_plan, load_scenario, optimize, predict, replay
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import FaultWindow
from dsd_plan.domain.plan import Assignment, Deployment, Plan, Policy
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Study
from dsd_plan.errors import InfeasibleError, PlanError, ScenarioError, UnstableError
from dsd_plan.optimize.choices.budgets import quantity_of
from dsd_plan.planning import capacity
from dsd_plan.replay.run import replay as replay_deployed
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario

GIVEN = scenario(
    rtt_ms=12.0,
    devices=(edge_box(count=8, step_ms=2.0), gpu(count=3, step_ms=25.0, draft_step_ms=6.0)),
    workloads=(chat(rate_per_s=8.0, tpot_p95_ms=38.0, ttft_p95_ms=400.0),),
    windows=(2, 4),
)
PLAN = Plan(
    scenario="small",
    assignments=(
        Assignment(
            workload="chat",
            mode="distributed",
            target_device="gpu",
            draft_model="small",
            draft_device="edge-box",
            window=4,
        ),
    ),
    deployments=(
        Deployment(device="gpu", model="large", count=2),
        Deployment(device="edge-box", model="small", count=8),
    ),
)
FEW = {"requests": 600, "replications": 4}


@pytest.fixture(scope="module")
def study() -> Study:
    return optimize(GIVEN, seed=2, **FEW)


def test_prediction_and_replay_speak_the_same_language() -> None:
    predicted, replayed = predict(GIVEN, PLAN), replay(GIVEN, PLAN, seed=1, **FEW)
    assert (predicted.source, replayed.source) == ("model", "replay")
    for performance in (predicted, replayed):
        told = performance.to_dict()
        assert told["schema"] == "dsd-plan/performance/1"
        json.dumps(told, allow_nan=False)
        assert [w.name for w in performance.workloads] == ["chat"]
        assert performance.fleet.cost_per_hour == pytest.approx(2 * 4.0 + 8 * 0.05)


def test_threads_change_nothing() -> None:
    alone = replay_deployed(deploy(GIVEN, PLAN), seed=5, run_all=map, **FEW)
    assert replay(GIVEN, PLAN, seed=5, **FEW) == alone
    assert replay(GIVEN, PLAN, seed=6, **FEW) != alone


def test_the_shipped_example_is_predicted_replayed_and_checked() -> None:
    with as_file(files("dsd_plan") / "examples" / "metro-edge") as folder:
        given, plan = load_scenario(folder / "scenario.toml"), load_plan(folder / "plan.json")
    checked = crosscheck(given, plan, **FEW)
    assert checked.predicted == predict(given, plan)
    assert {a.workload for a in checked.agreements} == {*(w.name for w in given.workloads), "fleet"}
    json.dumps(checked.to_dict(), allow_nan=False)
    strict = crosscheck(given, plan, tolerance=1e-9, **FEW)
    assert all(agreement.verdict != "agrees" for agreement in strict.agreements if agreement.relative_error != 0.0)


def test_a_crosscheck_is_without_faults_on_both_sides_and_says_so() -> None:
    slow = FaultWindow(kind="slow_device", at_s=0.0, for_s=1e6, device="gpu", factor=3.0)
    faulty = replace(GIVEN, faults=(slow,))
    checked, calm = crosscheck(faulty, PLAN, **FEW), crosscheck(GIVEN, PLAN, **FEW)
    assert replay(faulty, PLAN, **FEW).workloads != calm.replayed.workloads
    assert checked.replayed.workloads == calm.replayed.workloads
    assert checked.agreements == calm.agreements
    assert any("replayed without the scenario's faults" in note for note in checked.replayed.notes)
    assert not any("faults" in note for note in calm.replayed.notes)


def test_what_stands_beside_the_model_is_replayed_without_faults_and_says_so() -> None:
    slow = FaultWindow(kind="slow_device", at_s=0.0, for_s=1e6, device="gpu", factor=3.0)
    faulty = replace(GIVEN, faults=(slow,))
    with_faults, without = optimize(faulty, seed=2, **FEW), optimize(GIVEN, seed=2, **FEW)
    assert with_faults.replayed.workloads == without.replayed.workloads
    assert with_faults.timeline == without.timeline
    assert any("replayed without the scenario's faults" in note for note in with_faults.replayed.notes)
    carried = [capacity(given, PLAN, confirm=True, **FEW) for given in (faulty, GIVEN)]
    assert carried[0].replayed == carried[1].replayed is not None
    assert [any("without the scenario's faults" in note for note in one.notes) for one in carried] == [True, False]


def test_a_plan_that_does_not_fit_is_refused_before_anything_runs() -> None:
    (assignment,) = PLAN.assignments
    with pytest.raises(PlanError, match="chta"):
        predict(GIVEN, replace(PLAN, assignments=(replace(assignment, workload="chta"),)))
    with pytest.raises(PlanError, match="not supported yet"):
        replay(GIVEN, replace(PLAN, assignments=(replace(assignment, policy=Policy(kind="wc_dnn")),)))
    with pytest.raises(PlanError, match="found 9"):
        crosscheck(GIVEN, replace(PLAN, deployments=(replace(PLAN.deployments[0], count=9), PLAN.deployments[1])))


def test_a_scenario_made_in_code_is_checked_like_a_file() -> None:
    workload = GIVEN.workloads[0]
    stalled = replace(GIVEN, workloads=(replace(workload, budgets=replace(workload.budgets, stall_share=0.1)),))
    for ask in (lambda: predict(stalled, PLAN), lambda: replay(stalled, PLAN), lambda: optimize(stalled)):
        with pytest.raises(ScenarioError, match="stall_share"):
            ask()
    capped = replace(GIVEN, devices=(replace(GIVEN.devices[0], token_cap=512), GIVEN.devices[1]))
    for ask in (lambda: predict(capped, PLAN), lambda: optimize(capped)):
        with pytest.raises(ScenarioError, match="token_cap: not supported yet"):
            ask()


def test_a_saturated_plan_is_an_error_in_the_model_and_null_in_the_replay() -> None:
    heavy = replace(GIVEN, workloads=(chat(rate_per_s=500.0),))
    with pytest.raises(UnstableError, match="gpu"):
        predict(heavy, PLAN)
    replayed = replay(heavy, PLAN, **FEW)
    assert not replayed.steady
    assert replayed.workload("chat").tpot_ms.mean is None


def test_the_winner_keeps_its_budgets_in_the_replay(study: Study) -> None:
    assert study.replayed.steady
    for budget in study.budgets:
        assert budget.kept
        assert budget.replayed is not None
        assert budget.replayed.point <= budget.limit
    again = replay(GIVEN, study.plan, seed=2, **FEW)
    assert again == study.replayed
    assert predict(GIVEN, study.plan) == study.predicted


def test_the_study_is_the_same_for_the_same_seed(study: Study) -> None:
    assert json.dumps(optimize(GIVEN, seed=2, **FEW).to_dict(), allow_nan=False) == json.dumps(study.to_dict())


def test_provenance_is_what_was_handed_in(study: Study) -> None:
    assert study.provenance.seed == 2
    assert study.provenance.created_at is None
    assert study.provenance.machine == {}
    made = optimize(GIVEN, seed=2, command="x", machine={"cpu": "y"}, created_at="2026-01-01T00:00:00Z", **FEW)
    assert (made.provenance.command, made.provenance.machine) == ("x", {"cpu": "y"})
    assert made.plan == study.plan


def test_no_option_is_better_than_the_chosen_one(study: Study) -> None:
    """By cost: whatever keeps every budget in its own replay costs as much or more."""
    for option in (*study.options, *study.alternatives):
        if option.replayed is None or option.chosen:
            continue
        kept = all(
            (value := quantity_of(option.replayed, b.scope, b.budget)) is not None and value <= b.limit
            for b in study.budgets
        )
        if kept:
            assert (option.cost_per_hour or 0.0) >= study.replayed.fleet.cost_per_hour - 1e-9


def test_what_nothing_can_keep_is_infeasible_with_the_nearest_number() -> None:
    impossible: Scenario = replace(GIVEN, workloads=(chat(rate_per_s=8.0, tpot_p95_ms=1.0),))
    with pytest.raises(InfeasibleError, match="chat: tpot_p95_ms allows 1, the nearest plan reaches") as caught:
        optimize(impossible, **FEW)
    assert caught.value.nearest > 1.0
