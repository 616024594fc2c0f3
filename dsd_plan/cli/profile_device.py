"""`dsd-plan profile device`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import progress, say_json, warn


class Backend(StrEnum):
    """What runs the model."""

    NUMPY = "numpy"
    TORCH = "torch"
    LLAMA_CPP = "llama.cpp"


class GridName(StrEnum):
    """How many steps are measured."""

    QUICK = "quick"
    FULL = "full"


class PowerKind(StrEnum):
    """What counts energy."""

    AUTO = "auto"
    NVML = "nvml"
    RAPL = "rapl"
    NONE = "none"


Folder = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Writes FOLDER/DEVICE/MODEL.json.")]
DeviceName = Annotated[str, typer.Option("--device", metavar="DEVICE", help="What to call this machine.")]
BackendName = Annotated[Backend, typer.Option("--backend", help="What runs the model; numpy runs the bundled pair.")]
Model = Annotated[
    Path | None, typer.Option("--model", metavar="PATH", help="torch: model folder; llama.cpp: GGUF file.")
]
Shape = Annotated[
    str | None,
    typer.Option("--shape", metavar="NAME|FILE", help="torch: a known shape or a config.json, with random weights."),
]
Layers = Annotated[
    str | None,
    typer.Option("--layers", metavar="A,B", help="torch: measure so many layers, twice, and scale to the whole model."),
]
Dtype = Annotated[str | None, typer.Option("--dtype", metavar="DTYPE", help="torch: number format, as bfloat16.")]
On = Annotated[str | None, typer.Option("--on", metavar="PART", help="torch: cpu, cuda, cuda:1, mps.")]
Binaries = Annotated[
    Path | None, typer.Option("--binaries", metavar="FOLDER", help="llama.cpp: where its programs are, if not on PATH.")
]
GpuLayers = Annotated[
    int | None, typer.Option("--gpu-layers", min=0, metavar="N", help="llama.cpp: layers given to the accelerator.")
]
Grid = Annotated[
    GridName, typer.Option("--grid", help="quick: half a minute, coarse; full: some minutes, fine enough to rely on.")
]
AXIS = "1,2,8"
Batch = Annotated[str | None, typer.Option("--batch", metavar=AXIS, help="Batches to measure, in place of the grid's.")]
NewTokens = Annotated[
    str | None, typer.Option("--new-tokens", metavar=AXIS, help="New tokens a sequence; a window of 4 verifies 5.")
]
Context = Annotated[str | None, typer.Option("--context", metavar=AXIS, help="Tokens in the cache already.")]
Prompt = Annotated[str | None, typer.Option("--prompt", metavar=AXIS, help="Prompt lengths to prefill.")]
BudgetS = Annotated[
    float | None,
    typer.Option("--budget-s", min=0.1, metavar="S", help="Most seconds for each model: 30 quick, 270 full."),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads that compute.")]
AllowContention = Annotated[
    bool, typer.Option("--allow-contention", help="Measure a busy machine too; the profile says that it was.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a measurement broke off.")]
Sustain = Annotated[
    str | None,
    typer.Option("--sustain", metavar="TIME", help="Then step without a pause for so long (30s, 10m): what is left?"),
]
Power = Annotated[PowerKind, typer.Option("--power", help="What counts energy; auto: what there is.")]
Energy = Annotated[bool, typer.Option("--energy", help="Count the energy of every point, not of a dozen.")]
ActiveW = Annotated[float | None, typer.Option("--active-w", min=0.001, help="Declared watts while stepping.")]
IdleW = Annotated[float | None, typer.Option("--idle-w", min=0.001, help="Declared watts while idle.")]


def run(
    output: Folder = Path("profiles"),
    device: DeviceName = "this-machine",
    backend: BackendName = Backend.NUMPY,
    model: Model = None,
    shape: Shape = None,
    layers: Layers = None,
    dtype: Dtype = None,
    on: On = None,
    binaries: Binaries = None,
    gpu_layers: GpuLayers = None,
    grid: Grid = GridName.FULL,
    batch: Batch = None,
    new_tokens: NewTokens = None,
    context: Context = None,
    prompt: Prompt = None,
    budget_s: BudgetS = None,
    threads: Threads = 1,
    allow_contention: AllowContention = False,
    resume: Resume = False,
    sustain: Sustain = None,
    power: Power = PowerKind.AUTO,
    energy: Energy = False,
    active_w: ActiveW = None,
    idle_w: IdleW = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Times decode, verify and prefill steps over batch, new tokens and context: of the bundled pair, or your model.

    A machine that is busy with something else is refused: its numbers would be the other work's too. What was
    measured is kept in FOLDER/DEVICE/MODEL.partial.json until the profile is written, so that --resume can go on.
    """
    from dsd_plan.cli.profile_measure import Asked, axes_of, device_profiles, doubts, seconds_of
    from dsd_plan.cli.profile_text import describe_profile, show_profile

    asked = Asked(
        folder=output / device,
        device=device,
        backend=backend.value,
        model=model,
        shape=shape,
        layers=layers,
        dtype=dtype,
        on=on,
        binaries=binaries,
        gpu_layers=gpu_layers,
        grid=grid.value,
        axes=axes_of(batch=batch, new_tokens=new_tokens, context=context, prompt=prompt),
        budget_s=budget_s if budget_s is not None else 30.0 if grid is GridName.QUICK else 270.0,
        threads=threads,
        allow_contention=allow_contention,
        resume=resume,
        sustain_s=None if sustain is None else seconds_of("--sustain", sustain),
        power=power.value,
        energy=energy,
        active_w=active_w,
        idle_w=idle_w,
        seed=seed,
    )
    with progress("measuring") as on_progress:
        written = device_profiles(asked, on_progress)
    told = [describe_profile(str(path), profile) for path, profile in written]
    for _, profile in written:
        for doubt in doubts(profile):
            warn(f"{profile.model}: {doubt}")
    if as_json:
        say_json({"profiles": told})
        return
    for one in told:
        show_profile(one)
