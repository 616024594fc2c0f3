"""`dsd-plan predict`."""

from __future__ import annotations

from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, ScenarioPath
from dsd_plan.cli.terminal import say_json


def run(scenario: ScenarioPath, plan: PlanPath, as_json: AsJson = False) -> None:
    """Means and quantiles come from closed forms, in milliseconds; `replay` checks them event by event."""
    from dsd_plan.cli.performance_table import show_performance
    from dsd_plan.files import load_scenario
    from dsd_plan.planning import predict

    given = load_scenario(scenario)
    performance = predict(given, plan_of(plan))
    if as_json:
        say_json(performance.to_dict())
    else:
        show_performance(performance, {workload.name: workload.budgets for workload in given.workloads})
