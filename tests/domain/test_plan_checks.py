"""Plans that contradict themselves, and plans that do not fit their scenario."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.plan_checks import plan_misfits, plan_problems
from tests.domain.clinic import PLAN, SCENARIO, part


def assigned(**changes: Any) -> Plan:
    return replace(PLAN, assignments=part(PLAN.assignments, **changes))


def deployed(**changes: Any) -> Plan:
    return replace(PLAN, deployments=part(PLAN.deployments, **changes))


PLAIN = Assignment(workload="chat", mode="target_only", target_device="gpu")

CONTRADICTIONS: list[tuple[str, Plan, str]] = [
    ("assignments", replace(PLAN, assignments=()), "found none"),
    ("deployments", replace(PLAN, deployments=()), "found none"),
    ("assignments[0].window", assigned(window=None), 'mode "distributed" needs it'),
    ("assignments[0].draft_model", assigned(draft_model=None), "needs it"),
    ("assignments[0].draft_device", assigned(draft_device=None), "needs it"),
    ("assignments[0].window", assigned(mode="target_only"), "means nothing in mode target_only"),
    (
        "assignments[0].draft_device",
        assigned(mode="fused"),
        'in mode fused the draft runs on the target device ("gpu")',
    ),
    ("assignments[1].share", replace(PLAN, assignments=(*PLAN.assignments, replace(PLAIN, share=0.0))), "found 0"),
    ("assignments", assigned(share=0.9), 'the shares of "chat" sum to 0.9, expected 1'),
    ("assignments", replace(PLAN, assignments=(*PLAN.assignments, PLAIN)), "sum to 2"),
    ("deployments[2]", replace(PLAN, deployments=(*PLAN.deployments, PLAN.deployments[0])), "already deployments[0]"),
]

MISFITS: list[tuple[str, Plan, str]] = [
    ("scenario", replace(PLAN, scenario="other"), 'the plan is for "other", the scenario is "clinics"'),
    ("scenario", replace(PLAN, scenario="other"), 'write "scenario": "clinics" in the plan'),
    ("assignments[0].workload", assigned(workload="chta"), 'did you mean "chat"?'),
    ("assignments", assigned(workload="chta"), 'nobody serves workload "chat"'),
    ("assignments[0].target_device", assigned(target_device="gpus"), 'did you mean "gpu"?'),
    ("assignments[0].draft_device", assigned(draft_device="bx"), 'did you mean "box"?'),
    ("assignments[0].draft_model", assigned(draft_model="smol"), 'did you mean "small"?'),
    ("deployments[0].device", deployed(device="bo"), 'did you mean "box"?'),
    ("deployments[0].model", deployed(model="smol"), 'did you mean "small"?'),
    ("deployments[0].model", deployed(model="big"), '"box" has no profile for "big"'),
    ("deployments[0].count", deployed(count=5), '"box" is there 4 times'),
]


def test_a_plan_that_makes_sense_has_no_problems() -> None:
    assert plan_problems(PLAN) == ()
    assert plan_misfits(SCENARIO, PLAN) == ()
    fused = assigned(mode="fused", draft_device="gpu")
    assert (
        plan_problems(replace(fused, deployments=(*PLAN.deployments, Deployment(device="gpu", model="small", count=2))))
        == ()
    )


def test_thirds_sum_to_one() -> None:
    thirds = tuple(replace(PLAIN, share=share) for share in (0.1, 0.2, 0.7))
    assert plan_problems(replace(PLAN, assignments=thirds)) == ()


@pytest.mark.parametrize(("place", "plan", "says"), CONTRADICTIONS)
def test_a_contradiction_is_found_in_its_place(place: str, plan: Plan, says: str) -> None:
    found = [problem.text for problem in plan_problems(plan) if problem.place == place]
    assert any(says in text for text in found), plan_problems(plan)


@pytest.mark.parametrize(("place", "plan", "says"), MISFITS)
def test_a_misfit_is_found_in_its_place(place: str, plan: Plan, says: str) -> None:
    found = [problem.text for problem in plan_misfits(SCENARIO, plan) if problem.place == place]
    assert any(says in text for text in found), plan_misfits(SCENARIO, plan)
