"""`dsd-plan predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, ScenarioPath
from dsd_plan.cli.terminal import say, say_json

Explain = Annotated[bool, typer.Option("--explain", help="Take a mean round apart, to be added up by hand.")]


def run(scenario: ScenarioPath, plan: PlanPath, explain: Explain = False, as_json: AsJson = False) -> None:
    """Means and quantiles come from closed forms, in milliseconds; `replay` checks them event by event.

    With --explain also where a round's time goes, part by part, and up to which round trip drafting at the edge
    beats plain decoding and a draft beside the target at this load.
    """
    from dsd_plan import explaining, planning
    from dsd_plan.cli.backcast_text import show_backcast
    from dsd_plan.cli.explain_table import explanation_json, show_explanation
    from dsd_plan.cli.performance_table import show_performance
    from dsd_plan.files import load_scenario

    given, chosen = load_scenario(scenario), plan_of(plan)
    explanation = explaining.explain(given, chosen) if explain else None
    performance = planning.predict(given, chosen) if explanation is None else explanation.performance
    if as_json:
        extra = {} if explanation is None else {"explain": explanation_json(explanation)}
        say_json(performance.to_dict() | extra)
        return
    show_performance(performance, {workload.name: workload.budgets for workload in given.workloads})
    if given.present is not None and given.present.plan == chosen:
        today = planning.backcast(given)
        if today is not None:
            show_backcast(today)
    if explanation is not None:
        say()
        show_explanation(explanation)
