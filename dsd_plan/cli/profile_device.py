"""`dsd-plan profile device`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import OnProgress, progress, say_json

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile


class GridName(StrEnum):
    """How many steps are measured."""

    QUICK = "quick"
    FULL = "full"


Folder = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Writes FOLDER/DEVICE/MODEL.json.")]
DeviceName = Annotated[str, typer.Option("--device", metavar="DEVICE", help="What to call this machine.")]
Grid = Annotated[GridName, typer.Option("--grid", help="quick: a coarse grid; full: every batch and window.")]
BudgetS = Annotated[float, typer.Option("--budget-s", min=0.1, help="Seconds to spend on each model.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="BLAS threads.")]
AllowContention = Annotated[
    bool, typer.Option("--allow-contention", help="Measure a busy machine too; the profile says that it was.")
]


def run(
    output: Folder = Path("profiles"),
    device: DeviceName = "this-machine",
    grid: Grid = GridName.QUICK,
    budget_s: BudgetS = 20.0,
    threads: Threads = 1,
    allow_contention: AllowContention = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Times decode, verify and prefill steps of the bundled target and draft over batch, tokens and context.

    A machine that is busy with something else is refused: its numbers would be the other work's too.
    """
    from dsd_plan.cli.profile_text import describe_profile, show_profile
    from dsd_plan.files import write_profile

    written = []
    with progress("measuring") as on_progress:
        for profile in measured(
            device,
            grid=grid,
            budget_s=budget_s,
            threads=threads,
            allow_contention=allow_contention,
            seed=seed,
            on_progress=on_progress,
        ):
            path = output / device / f"{profile.model}.json"
            write_profile(path, profile)
            written.append(describe_profile(str(path), profile))
    if as_json:
        say_json({"profiles": written})
        return
    for told in written:
        show_profile(told)


def measured(
    device: str,
    *,
    grid: GridName,
    budget_s: float,
    threads: int,
    allow_contention: bool,
    seed: int,
    on_progress: OnProgress,
) -> tuple[LatencyProfile, ...]:
    """Profiles of the bundled target and draft on this machine. Raises MeasurementError where it is not free."""
    from dsd_plan.measure.device import profile_device
    from dsd_plan.measure.grid import FULL_GRID, QUICK_GRID
    from dsd_plan.measure.record import bundled_pair
    from dsd_plan.measure.runner import TransformerRunner

    pair = bundled_pair()
    runners = (TransformerRunner(pair.target, pair.target_name), TransformerRunner(pair.draft, pair.draft_name))
    return tuple(
        profile_device(
            runner,
            device=device,
            grid=FULL_GRID if grid is GridName.FULL else QUICK_GRID,
            budget_s=budget_s,
            threads=threads,
            seed=seed,
            allow_contention=allow_contention,
            on_progress=on_progress,
        )
        for runner in runners
    )
