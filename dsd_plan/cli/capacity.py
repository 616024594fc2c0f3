"""`dsd-plan capacity`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.terminal import progress, say, say_json
from dsd_plan.errors import InputError

Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the result here (JSON).")]
GrowthRate = Annotated[
    str | None, typer.Option("--growth", metavar="RATE", help="Load grows so fast: 5%/month (day, week, month, year).")
]
Until = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Last day of the growth: 2027-12-31.")]
Since = Annotated[
    str | None, typer.Option("--from", metavar="DATE", show_default="today", help="Day on which load is today's.")
]
Replay = Annotated[
    bool, typer.Option("--replay", help="Replay the plan a tenth below and above the first breaking load.")
]


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    growth: GrowthRate = None,
    until: Until = None,
    since: Since = None,
    replay: Replay = False,
    output: Output = None,
    seed: Seed = 0,
    requests: Requests = None,
    replications: Replications = 8,
    as_json: AsJson = False,
) -> None:
    """Load is grown in the analytic model until each budget breaks: of all workloads together, and of each alone.

    What breaks then is told with the device or link that is short, and what is behind it. Every type of device is
    tried with one more (what does it buy?) and one less (what still holds?). Exit code 3 when a budget is broken at
    today's load already; with --replay 4 when the event replay disagrees about where the first budget breaks.
    """
    from dsd_plan import planning
    from dsd_plan.cli.capacity_text import show_capacity
    from dsd_plan.files import load_scenario, write_json

    if (growth is None) != (until is None):
        missing, given = ("--growth", "--until") if growth is None else ("--until", "--growth")
        raise InputError(missing, f"is needed beside {given}; give both, e.g. --growth 5%/month --until 2027-12-31")
    if since is not None and growth is None:
        raise InputError("--from", "means nothing without --growth and --until; give them too")
    start = None if growth is None else _day(since)
    given_scenario, chosen = load_scenario(scenario), plan_of(plan)
    with progress("capacity") as on_progress:
        found = planning.capacity(
            given_scenario,
            chosen,
            growth=growth,
            start=start,
            until=until,
            confirm=replay,
            seed=seed,
            requests=requests,
            replications=replications,
            on_progress=on_progress,
        )
    body = found.to_dict()
    if output is not None:
        write_json(output, body)
    if as_json:
        say_json(body)
    else:
        show_capacity(found)
        if output is not None:
            say(f"wrote {output}")
    if found.replayed is not None and found.replayed.verdict == "disagrees":
        raise typer.Exit(ExitCode.DISAGREES)
    if not found.holds_now or any(not row.kept_now for row in found.budgets):
        raise typer.Exit(ExitCode.INFEASIBLE)


def _day(written: str | None) -> date:
    if written is None:
        return date.today()
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise InputError("--from", f'found "{written}", expected a day such as 2026-01-31') from None
