"""Keys whose capability is still to come: each is refused by name, none is refused at a value that works."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.not_yet import PLAN as PLAN_TABLE
from dsd_plan.domain.not_yet import SCENARIO as SCENARIO_TABLE
from dsd_plan.domain.not_yet import (
    batched_draft_problems,
    draft_device_problems,
    not_predicted_problems,
    not_predicted_scenario,
    priority_problems,
)
from dsd_plan.domain.plan import Plan, Policy
from dsd_plan.domain.plan_checks import plan_problems
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import Scenario, Search
from dsd_plan.domain.workload import Budgets
from tests.domain.clinic import PLAN, SCENARIO, part

S = SCENARIO


def device(**changes: Any) -> Scenario:
    return replace(S, devices=part(S.devices, 1, **changes))


def law(**changes: Any) -> Scenario:
    bent = declared_profile("gpu", "big", StepLaw(step_ms=1.0, **changes))
    return device(profiles=S.devices[1].profiles | {"big": bent})


def draft(**changes: Any) -> Scenario:
    """With these keys on the device that only drafts."""
    return replace(S, devices=part(S.devices, 0, **changes))


def draft_law(**changes: Any) -> Scenario:
    bent = declared_profile("box", "small", StepLaw(step_ms=1.0, **changes))
    return draft(profiles=S.devices[0].profiles | {"small": bent})


SCENARIOS: dict[str, Scenario] = {
    "pairs[0].verify_via": replace(S, pairs=part(S.pairs, verify_via="reprompt")),
    "workloads[0].budgets.pace_tokens_per_s": replace(
        S, workloads=part(S.workloads, budgets=Budgets(pace_tokens_per_s=5.0))
    ),
    "workloads[0].budgets.stall_share": replace(S, workloads=part(S.workloads, budgets=Budgets(stall_share=0.1))),
}

ASSIGNED: dict[str, dict[str, Any]] = {
    "policy.kind": {"policy": Policy(kind="model_based")},
}
PLANS: dict[str, Plan] = {
    f"assignments[0].{key}": replace(PLAN, assignments=part(PLAN.assignments, **changes))
    for key, changes in ASSIGNED.items()
}
REPLAYED_SCENARIOS: dict[str, Scenario] = {
    'devices[0].profiles["small"].law.mixed_kv_token_us': draft_law(mixed_kv_token_us=0.1),
}
REPLAYED: dict[str, dict[str, Any]] = {
    "policy.kind": {"policy": Policy(kind="threshold")},
}
"""What only the replay can play."""


@pytest.mark.parametrize("place", SCENARIOS)
def test_a_scenario_key_is_refused(place: str) -> None:
    (problem,) = scenario_problems(SCENARIOS[place])
    assert problem.place == place
    assert problem.text.startswith("not supported yet: ")
    assert ";" in problem.text  # what to do instead


@pytest.mark.parametrize("place", PLANS)
def test_a_plan_key_is_refused(place: str) -> None:
    (problem,) = plan_problems(PLANS[place])
    assert problem.place == place
    assert problem.text.startswith("not supported yet: ")


@pytest.mark.parametrize("place", REPLAYED_SCENARIOS)
def test_a_scenario_key_that_is_only_replayed_is_not_predicted(place: str) -> None:
    assert scenario_problems(REPLAYED_SCENARIOS[place]) == ()
    assert not_predicted_problems(REPLAYED_SCENARIOS[place], SCENARIO_TABLE) == ()
    (problem,) = draft_device_problems(REPLAYED_SCENARIOS[place])
    assert problem.place == place
    assert "`dsd-plan replay` can play it" in problem.text


def test_targets_have_budgets_and_dearer_reads_predicted() -> None:
    (problem,) = draft_device_problems(draft(token_cap=8192))
    assert (problem.place, problem.text[:17]) == ("devices[0].token_cap", "not supported yet")
    assert draft_device_problems(device(token_cap=8192)) == draft_device_problems(law(mixed_kv_token_us=0.1)) == ()
    engine = device(token_cap=8192, max_sequences=64, profiles=law(mixed_kv_token_us=0.1).devices[1].profiles)
    assert draft_device_problems(engine) == not_predicted_problems(engine, SCENARIO_TABLE) == ()


@pytest.mark.parametrize("key", REPLAYED)
def test_a_plan_key_that_is_only_replayed_is_not_predicted(key: str) -> None:
    plan = replace(PLAN, assignments=part(PLAN.assignments, **REPLAYED[key]))
    assert plan_problems(plan) == ()
    problem = not_predicted_problems(plan, PLAN_TABLE)[-1]
    assert problem.place == f"assignments[0].{key}"
    assert "the analytic model cannot predict" in problem.text
    assert "`dsd-plan replay` can play it" in problem.text


@pytest.mark.parametrize("ways", [{"mode": "pipelined"}, {"candidates": 2, "draft_devices_per_session": 2}])
def test_batched_drafting_is_only_replayed_where_drafts_go_on_or_are_shared(ways: dict[str, Any]) -> None:
    drafted = replace(PLAN, assignments=part(PLAN.assignments, **ways))
    by_plan = replace(drafted, deployments=part(PLAN.deployments, 0, batch_cap=4))
    by_device = replace(S, devices=part(S.devices, 0, batch_cap=4))
    assert batched_draft_problems(S, replace(by_plan, assignments=PLAN.assignments)) == ()
    for scenario, plan in ((S, by_plan), (by_device, drafted)):
        assert plan_problems(plan) == ()
        (problem,) = batched_draft_problems(scenario, plan)
        assert problem.place == "deployments[0].batch_cap"
        assert "(found 4)" in problem.text
    assert batched_draft_problems(S, drafted) == ()


def test_batches_of_like_size_are_only_replayed() -> None:
    plan = replace(PLAN, deployments=part(PLAN.deployments, 1, batching="length_aware"))
    assert plan_problems(plan) == ()
    (problem,) = not_predicted_problems(plan, PLAN_TABLE)
    assert problem.place == "deployments[1].batching"


def test_priorities_are_only_replayed_where_they_differ() -> None:
    urgent = replace(S.workloads[0], name="urgent", priority=2)
    scenario = replace(S, workloads=(S.workloads[0], urgent))
    assert scenario_problems(scenario) == ()
    assert priority_problems(scenario) == not_predicted_scenario(scenario)
    (problem,) = priority_problems(scenario)
    assert problem.place == "workloads[1].priority"
    assert "(found 2)" in problem.text
    alike = replace(S, workloads=part(S.workloads, priority=-1))
    assert scenario_problems(alike) == priority_problems(alike) == ()


def test_every_row_of_the_tables_is_tried_above() -> None:
    assert len(SCENARIOS) == sum(not entry.replayed for entry in SCENARIO_TABLE)
    assert len(PLANS) == sum(not entry.replayed for entry in PLAN_TABLE)
    assert not any(entry.replayed for entry in SCENARIO_TABLE)
    # Batching has a test of its own.
    assert len(REPLAYED) + 1 == sum(entry.replayed for entry in PLAN_TABLE)


def test_what_changes_nothing_passes() -> None:
    assert scenario_problems(replace(S, search=Search())) == ()
    assert "pipelined" in Search().modes
    assert plan_problems(replace(PLAN, deployments=part(PLAN.deployments, 1, batch_cap=32))) == ()
    assert plan_problems(replace(PLAN, deployments=part(PLAN.deployments, 0, batch_cap=1))) == ()
