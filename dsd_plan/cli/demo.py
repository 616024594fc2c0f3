"""`dsd-plan demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.profile_measure import Asked, device_profiles
from dsd_plan.cli.provenance import command_line, this_machine
from dsd_plan.cli.report import write_page
from dsd_plan.cli.terminal import OnProgress, columns, progress, say, say_json, warn

if TYPE_CHECKING:
    from dsd_plan.domain.study import Study

EXAMPLE = "bundled-pair"
SCENARIOS = ("measured-pair", "large-target")
"""The pair as it is, and the same edge with a target of declared, realistic cost."""
MACHINE = "this-machine"
TRACE = "traces/bundled-pair.parquet"

Folder = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where everything is written.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Measure and record less: rougher numbers in a third of the time.")
]


def run(output: Folder = Path("dsd-plan-demo"), quick: Quick = False, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Measures the bundled pair here, records what it accepts, plans two fleets, replays them, writes one report.

    A busy machine is measured all the same, and the report says that it was busy.
    """
    from dsd_plan.files import write_study
    from dsd_plan.report import render_html, render_text

    prepare(output)
    with progress("1/4 measuring this machine") as on_progress:
        measure(output, quick, seed, on_progress)
    with progress("2/4 recording acceptance") as on_progress:
        record(output, quick, seed, on_progress)
    studies = []
    for number, name in enumerate(SCENARIOS, 3):
        with progress(f"{number}/4 planning {name}") as on_progress:
            study = plan(output / f"{name}.toml", seed, on_progress)
        write_study(output / f"{name}.study.json", study)
        studies.append(study)
    page = output / "report.html"
    write_page(page, render_html(studies))
    if as_json:
        say_json({"report": str(page), "verdicts": {study.name: study.verdict.answer for study in studies}})
        return
    for study in studies:
        say(render_text(study, columns()))
    say(f"The report: {page.resolve()}")


def prepare(output: Path) -> None:
    """Lay out the example in `output`; a folder that an earlier demo made is used again."""
    from dsd_plan.files import copy_example

    if not all((output / f"{name}.toml").is_file() for name in SCENARIOS):
        copy_example(EXAMPLE, output)


def measure(output: Path, quick: bool, seed: int, on_progress: OnProgress) -> None:
    """Profiles of the bundled pair on this machine, into the example's folder."""
    asked = Asked(
        folder=output / "profiles" / MACHINE,
        device=MACHINE,
        grid="quick",
        budget_s=6.0 if quick else 30.0,
        allow_contention=True,
        power="none",
        seed=seed,
    )
    for _, profile in device_profiles(asked, on_progress):
        contended = (profile.method or {}).get("contention")
        if contended is not None:
            warn(f"{profile.model} was measured while the machine was busy: {contended}")


def record(output: Path, quick: bool, seed: int, on_progress: OnProgress) -> None:
    """A token-level acceptance trace of the bundled pair, into the example's folder."""
    from dsd_plan.files import write_acceptance
    from dsd_plan.measure.acceptance.record import bundled_pair, record_acceptance

    trace = record_acceptance(bundled_pair(), requests=64 if quick else 192, seed=seed, on_progress=on_progress)
    write_acceptance(output / TRACE, trace)


def plan(scenario: Path, seed: int, on_progress: OnProgress) -> Study:
    """The study of one fleet."""
    from dsd_plan.files import load_scenario
    from dsd_plan.planning import optimize

    return optimize(
        load_scenario(scenario),
        seed=seed,
        on_progress=on_progress,
        command=command_line(),
        machine=this_machine(),
    )
