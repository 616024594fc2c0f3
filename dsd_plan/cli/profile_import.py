"""`dsd-plan profile import`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import say_json, warn

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile
    from dsd_plan.files.profile_import import ImportedProfile


class KindName(StrEnum):
    """The sources that can be read."""

    SPLITWISE = "splitwise"
    LAYER_TABLES = "layer-tables"
    LLAMA_BENCH = "llama-bench"
    LLAMA_BATCHED_BENCH = "llama-batched-bench"
    VLLM_FORWARD = "vllm-forward"
    DSD_SIM = "dsd-sim"
    VIDUR = "vidur"


Source = Annotated[Path, typer.Argument(metavar="FILE", help="What to import: a file, or the folder of its tables.")]
From = Annotated[KindName, typer.Option("--from", help="Which tool wrote it.")]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Writes FOLDER/DEVICE/MODEL.json.")]
DeviceName = Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="Name of the device.")]
ModelName = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Name of the model.")]
Layers = Annotated[int | None, typer.Option("--layers", min=1, help="Layers of the model, for tables of one layer.")]
Cite = Annotated[
    str | None, typer.Option("--cite", metavar="TEXT", help="Who measured it, where it was published, its licence.")
]


def run(
    source: Source,
    kind: From,
    output: Folder = Path("profiles"),
    device: DeviceName = None,
    model: ModelName = None,
    layers: Layers = None,
    cite: Cite = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Converts times that others measured into profiles, with a law fitted to them and where they are from.

    What the source does not tell stays unknown; rows that are derived, doubled or not one step are left out
    and counted. A source that is wrong anywhere is refused with everything that is wrong.
    """
    from dsd_plan.cli.profile_text import describe_profile, show_profile
    from dsd_plan.files import write_profile
    from dsd_plan.files.profile_import import ImportOptions, import_profile

    options = ImportOptions(device=device, model=model, layers=layers, citation=cite)
    imported = import_profile(source, kind.value, options)
    for warning in imported.warnings:
        warn(warning)
    profiles = [fitted(found, seed) for found in imported.profiles]
    written = []
    for profile in profiles:
        path = output / profile.device / f"{profile.model}.json"
        write_profile(path, profile)
        written.append(describe_profile(str(path), profile))
    if as_json:
        say_json({"profiles": written, "warnings": list(imported.warnings)})
        return
    for told in written:
        show_profile(told)


def fitted(found: ImportedProfile, seed: int) -> LatencyProfile:
    """The profile of imported points, with the law fitted to them. Raises MeasurementError for too few."""
    from dsd_plan.domain.profile import LatencyProfile
    from dsd_plan.measure.steps.fit import fit_step_law

    return LatencyProfile(
        device=found.device,
        model=found.model,
        origin="imported",
        fit=fit_step_law(found.points, seed=seed),
        points=found.points,
        backend=found.backend,
        precision=found.precision,
        software=found.software,
        measured_at=found.measured_at,
        method={key: value for key, value in found.method.items() if value is not None},
        citation=found.citation,
    )
