"""`dsd-plan replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Requests, ScenarioPath, Seed
from dsd_plan.cli.replay_whole import refuse_others, replay_whole
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
    int | None,
    typer.Option(
        "--timeline-sessions", min=1, show_default="40", help="Requests that the timeline follows to their end."
    ),
]
TimelineSeconds = Annotated[
    float | None, typer.Option("--timeline-seconds", min=0.001, metavar="S", help="The timeline lasts so long instead.")
]
Whole = Annotated[
    bool,
    typer.Option("--whole", help="Play recorded requests once, all of them to the last token, overload included."),
]
REPLICATIONS = 8
TIMELINE_SESSIONS = 40


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    seed: Seed = 0,
    requests: Requests = None,
    replications: Annotated[
        int | None,
        typer.Option("--replications", min=1, show_default="8", help="Independent runs; two or more give intervals."),
    ] = None,
    whole: Whole = False,
    requests_out: RequestsOut = None,
    rounds_out: RoundsOut = None,
    series_out: SeriesOut = None,
    timeline: TimelineOut = None,
    timeline_sessions: TimelineSessions = None,
    timeline_seconds: TimelineSeconds = None,
    as_json: AsJson = False,
) -> None:
    """Every request, message and iteration is an event; nothing is shared with the analytic model.

    With --whole a recording is played once from its first request to its last token, overload included: what this very
    run would have seen. Ctrl-C ends the replay with what the replications say that have ended.
    """
    from dsd_plan import planning
    from dsd_plan.cli.performance_table import show_performance
    from dsd_plan.files import load_scenario, write_timeline

    if not whole:
        refuse_without_sense(timeline, timeline_sessions, timeline_seconds)
    given, chosen = load_scenario(scenario), plan_of(plan)
    if whole:
        refuse_others(
            {
                "--requests": requests,
                "--replications": replications,
                "--rounds-out": rounds_out,
                "--series-out": series_out,
                "--timeline": timeline,
                "--timeline-sessions": timeline_sessions,
                "--timeline-seconds": timeline_seconds,
            }
        )
        replay_whole(given, chosen, seed, requests_out, as_json)
        return
    sessions = TIMELINE_SESSIONS if timeline_sessions is None else timeline_sessions
    if timeline is not None:
        events = planning.timeline(
            given, chosen, seed=seed, requests=requests, sessions=sessions, seconds=timeline_seconds
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
                replications=REPLICATIONS if replications is None else replications,
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
            warn(next(note for note in performance.notes if note.startswith("interrupted")))
        raise typer.Exit(ExitCode.INTERRUPTED)


def refuse_without_sense(timeline: Path | None, sessions: int | None, seconds: float | None) -> None:
    """How long a timeline lasts is said once, and only where there is one. Raises typer.BadParameter."""
    lasting = [
        name
        for name, value in (("--timeline-sessions", sessions), ("--timeline-seconds", seconds))
        if value is not None
    ]
    if lasting and timeline is None:
        verb = "mean" if len(lasting) > 1 else "means"
        raise typer.BadParameter(f"{' and '.join(lasting)} {verb} nothing without --timeline FILE; give it too")
    if len(lasting) > 1:
        raise typer.BadParameter(f"{' and '.join(lasting)} both say how long the timeline lasts; keep one")
