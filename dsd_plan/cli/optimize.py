"""`dsd-plan optimize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.provenance import command_line, this_machine
from dsd_plan.cli.terminal import columns, progress, say, say_json, warn

Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Study file to write (JSON).")]

Robust = Annotated[
    bool,
    typer.Option(
        "--robust",
        help="Plan for the bad end of the measured intervals (acceptance, RTT, step times) and search.robust_load.",
    ),
]

Pareto = Annotated[
    str | None,
    typer.Option(
        "--pareto", metavar="AXES", help="Search the front of two or three of cost,energy,tpot,devices: cost,energy."
    ),
]


def run(
    scenario: ScenarioPath,
    output: Output = None,
    seed: Seed = 0,
    requests: Requests = None,
    replications: Replications = 8,
    robust: Robust = False,
    pareto: Pareto = None,
    as_json: AsJson = False,
) -> None:
    """The winner is replayed event by event before it is believed; the study holds all that a report draws.

    Exit code 3 when no plan in the search keeps every budget; the message names the nearest miss, and `--json` prints
    it as {"infeasible": {"budget", "limit", "nearest", "found", "advice"}}.
    """
    from dsd_plan.cli.processes import on_all_cores
    from dsd_plan.errors import InfeasibleError
    from dsd_plan.files import load_scenario, write_study
    from dsd_plan.planning import optimize
    from dsd_plan.report import render_text

    with progress("planning") as on_progress:
        try:
            study = optimize(
                load_scenario(scenario),
                seed=seed,
                requests=requests,
                replications=replications,
                on_progress=on_progress,
                command=command_line(),
                machine=this_machine(),
                robust=robust,
                pareto=[] if pareto is None else [axis.strip() for axis in pareto.split(",")],
                run_all=on_all_cores,
                on_answer=lambda sentence: on_progress.say(f"The answer, before what it hangs on: {sentence}"),
            )
        except InfeasibleError as error:
            if as_json:
                say_json({"infeasible": error.to_dict()})
            raise
    if output is not None:
        write_study(output, study)
    if as_json:
        say_json(study.to_dict())
        return
    say(render_text(study, columns()).rstrip())
    if output is None:
        warn("the study was not saved; name a file with -o to render a report from it")
    else:
        say(f"wrote {output}; render it with: dsd-plan report {output} -o report.html")
