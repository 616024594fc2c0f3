"""What is asked is checked before it is computed: scenarios and plans may have been written in code."""

from __future__ import annotations

from dsd_plan.domain.checks import scenario_problems, without_rate
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.not_yet import PLAN, batched_draft_problems, not_predicted_problems, not_predicted_scenario
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.plan_checks import plan_misfits, plan_problems
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, ScenarioError


def check_scenario(scenario: Scenario) -> None:
    """Raises ScenarioError listing everything that contradicts itself."""
    problems = scenario_problems(scenario)
    if problems:
        raise ScenarioError(f"scenario {scenario.name}", problems)


def check_predictable(scenario: Scenario, plan: Plan | None = None) -> None:
    """What can only be replayed is not predicted as if it were not there."""
    problems = (*not_predicted_scenario(scenario), *without_rate(scenario))
    if problems:
        raise ScenarioError(f"scenario {scenario.name}", problems)
    problems = () if plan is None else (*not_predicted_problems(plan, PLAN), *batched_draft_problems(scenario, plan))
    if problems:
        raise PlanError(f"plan for {scenario.name}", problems)


def deployed_in(scenario: Scenario, plan: Plan) -> Deployed:
    """The plan in its scenario, both checked: they may have been written in code."""
    check_scenario(scenario)
    problems = (*plan_problems(plan), *plan_misfits(scenario, plan))
    if problems:
        raise PlanError(f"plan for {plan.scenario}", problems)
    return deploy(scenario, plan)


def lasting_in(scenario: Scenario, plan: Plan) -> Deployed:
    """As `deployed_in`, of requests that go on for a time."""
    problems = tuple(without_rate(scenario))
    if problems:
        raise ScenarioError(f"scenario {scenario.name}", problems)
    return deployed_in(scenario, plan)
