"""`dsd-plan replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.terminal import progress, say_json, warn

TABLE = "a table: Parquet, CSV or JSONL by the name's ending"
RequestsOut = Annotated[
    Path | None, typer.Option("--requests-out", metavar="FILE", help=f"Write every request, {TABLE}.")
]
RoundsOut = Annotated[
    Path | None, typer.Option("--rounds-out", metavar="FILE", help=f"Write every round of every request, {TABLE}.")
]
SeriesOut = Annotated[
    Path | None,
    typer.Option("--series-out", metavar="FILE", help=f"Write live sessions, rates and latency over time, {TABLE}."),
]
TimelineOut = Annotated[
    Path | None,
    typer.Option("--timeline", metavar="FILE", help="Write a stretch of the first replication for Perfetto (JSON)."),
]
TimelineSessions = Annotated[
    int, typer.Option("--timeline-sessions", min=1, help="Requests that the timeline follows to their end.")
]
TimelineSeconds = Annotated[
    float | None, typer.Option("--timeline-seconds", min=0.001, metavar="S", help="The timeline lasts so long instead.")
]


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    seed: Seed = 0,
    requests: Requests = None,
    replications: Replications = 8,
    requests_out: RequestsOut = None,
    rounds_out: RoundsOut = None,
    series_out: SeriesOut = None,
    timeline: TimelineOut = None,
    timeline_sessions: TimelineSessions = 40,
    timeline_seconds: TimelineSeconds = None,
    as_json: AsJson = False,
) -> None:
    """Every request, message and iteration is an event; nothing is shared with the analytic model.

    Ctrl-C ends the replay with what the replications say that have ended.
    """
    from dsd_plan import planning
    from dsd_plan.cli.performance_table import show_performance
    from dsd_plan.files import load_scenario, write_timeline

    given, chosen = load_scenario(scenario), plan_of(plan)
    if timeline is not None:
        events = planning.timeline(
            given, chosen, seed=seed, requests=requests, sessions=timeline_sessions, seconds=timeline_seconds
        )
        write_timeline(timeline, events, {"scenario": given.name, "seed": seed, "replication": 0})
    interrupted = False
    with progress("replay") as on_progress:
        try:
            performance = planning.replay(
                given,
                chosen,
                seed=seed,
                requests=requests,
                replications=replications,
                requests_out=requests_out,
                rounds_out=rounds_out,
                series_out=series_out,
                on_progress=on_progress,
            )
        except planning.Interrupted as stop:
            performance, interrupted = stop.performance, True
    if as_json:
        say_json(performance.to_dict())
    else:
        show_performance(performance, {workload.name: workload.budgets for workload in given.workloads})
    if interrupted:
        if as_json:
            warn(performance.notes[0])
        raise typer.Exit(ExitCode.INTERRUPTED)
