"""`dsd-plan replay`."""

from __future__ import annotations

from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.terminal import say_json


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    seed: Seed = 0,
    requests: Requests = 4000,
    replications: Replications = 8,
    as_json: AsJson = False,
) -> None:
    """Every request, message and iteration is an event; nothing is shared with the analytic model."""
    from dsd_plan.cli.performance_table import show_performance
    from dsd_plan.files import load_scenario
    from dsd_plan.planning import replay

    given = load_scenario(scenario)
    performance = replay(given, plan_of(plan), seed=seed, requests=requests, replications=replications)
    if as_json:
        say_json(performance.to_dict())
    else:
        show_performance(performance, {workload.name: workload.budgets for workload in given.workloads})
