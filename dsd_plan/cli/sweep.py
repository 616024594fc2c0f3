"""`dsd-plan sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.terminal import progress, say, say_json, warn
from dsd_plan.errors import InputError

Vary = Annotated[
    list[str],
    typer.Option(
        "--vary",
        metavar="KEY=VALUES",
        help="low:high:count, low:high:count:log, or values with commas; several keys span a grid.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="A row a point and workload: Parquet, CSV or JSONL."),
]
Show = Annotated[
    str | None,
    typer.Option("--show", metavar="COLUMN", show_default="a budgeted latency", help="What the table shows."),
]
Page = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Draw one or two keys as a page that needs no network.")
]
Replay = Annotated[bool, typer.Option("--replay", help="Replay every point, all on the same luck, not predict it.")]


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    vary: Vary,
    show: Show = None,
    replay: Replay = False,
    output: Output = None,
    html: Page = None,
    seed: Seed = 0,
    requests: Requests = None,
    replications: Replications = 8,
    as_json: AsJson = False,
) -> None:
    """Keys are named as in the files: links[metro-region].rtt_ms, workloads[chat].requests.rate_per_s,
    pairs[0].acceptance.per_token, plan.assignments[chat].window. Beside them: load and workloads[chat].load (multiples
    of today's), pairs[0].first_accepted (acceptance of the first proposal, the law's shape kept).

    A point without a steady state, or that contradicts itself, is a row with the reason and no numbers. With -o the
    same command goes on where it was broken off: what is in the file, of the same inputs, is not computed again.
    """
    from dsd_plan.cli.sweep_text import column_to_show, show_sweep, write_sweep_page
    from dsd_plan.domain.sweep import axis_of
    from dsd_plan.measure.machine import cores
    from dsd_plan.sweep.run import Replays, sweep

    replays = Replays(seed=seed, requests=requests, replications=replications) if replay else None
    if not replay and (seed, requests, replications) != (0, None, 8):
        raise InputError("--seed, --requests, --replications", "mean nothing without --replay; give it too")
    axes = [axis_of(written) for written in vary]
    shown = column_to_show(show)
    if html is not None and len(axes) > 2:
        raise InputError("--html", f"a page draws one or two keys, found {len(axes)}; write a table with -o instead")
    with progress("sweep") as on_progress:
        found = sweep(
            scenario,
            plan_of(plan),
            axes,
            replays=replays,
            output=output,
            workers=cores(),
            initializer=ignore_interrupts,
            on_progress=on_progress,
        )
    if html is not None:
        write_sweep_page(html, scenario, found, shown)
    if as_json:
        say_json(found.to_dict())
    else:
        show_sweep(found, shown)
        for written in (output, html):
            if written is not None:
                say(f"wrote {written}")
    for note in found.notes:
        warn(note)
    if not found.complete:
        more = "run the same command again to go on" if output is not None else "nothing was written; -o keeps them"
        warn(f"interrupted: {len({row['point'] for row in found.rows})} of {found.points} points; {more}")
        raise typer.Exit(ExitCode.INTERRUPTED)


def ignore_interrupts() -> None:
    """In processes that work for this one: Ctrl-C is its business."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
