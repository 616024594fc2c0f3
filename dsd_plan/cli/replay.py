"""`dsd-plan replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson, PlanPath, ScenarioPath, Seed
from dsd_plan.cli.performance_table import show_performance
from dsd_plan.cli.terminal import say_json

Requests = Annotated[int, typer.Option("--requests", min=1, help="Requests in one replication, in total.")]
Replications = Annotated[
    int, typer.Option("--replications", min=1, help="Independent runs; two or more give intervals.")
]


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    seed: Seed = 1,
    requests: Requests = 2000,
    replications: Replications = 8,
    as_json: AsJson = False,
) -> None:
    """Every request, message and iteration is an event; nothing is shared with the analytic model."""
    from dsd_plan.files import load_plan, load_scenario
    from dsd_plan.planning import replay

    given = load_scenario(scenario)
    performance = replay(given, load_plan(plan), seed=seed, requests=requests, replications=replications)
    if as_json:
        say_json(performance.to_dict())
    else:
        show_performance(performance, {workload.name: workload.budgets for workload in given.workloads})
